-- Register a stream before anybody produces it, so that it can be followed and stopped.
--
-- KEYS    state hash
-- ARGV    lifetime in ms if nobody ever produces it
-- Returns 1 if it is new, 0 if it existed
-- Atomic so that a second call never resets a stream that has begun.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'token', '0')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
