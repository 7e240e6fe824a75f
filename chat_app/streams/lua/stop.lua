-- Ask the producer of an open stream to end it.
--
-- KEYS    state hash · log
-- ARGV    channel that every process listens to · the stream's id
-- Returns {known, tail, outcome}: known is 0 when there is no such stream; outcome is '' while open
-- The producer gets the flag with its next append, and the message even if its model is silent.
-- Atomic so that a stream that closes meanwhile is not left with a flag that nobody reads.
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, 0, ''} end
local outcome = redis.call('HGET', KEYS[1], 'outcome')
if outcome then return {1, tonumber(redis.call('HGET', KEYS[1], 'tail')), outcome} end
redis.call('HSET', KEYS[1], 'stop', '1')
redis.call('PUBLISH', ARGV[1], ARGV[2])
return {1, redis.call('XLEN', KEYS[2]), ''}
