-- Make a producer the owner of a stream: from now on no append with an older token lands.
--
-- KEYS    state hash · log
-- ARGV    fencing token · lifetime of an open stream in ms
-- Returns {status, tail, stop flag}; status is ok, fenced (a newer producer owns it) or closed
-- Atomic so that no older producer ever writes beyond the returned tail.
local tail = redis.call('XLEN', KEYS[2])
local stop = redis.call('HGET', KEYS[1], 'stop') or '0'
if redis.call('HGET', KEYS[1], 'outcome') then return {'closed', tail, stop} end
local owner = redis.call('HGET', KEYS[1], 'token')
if owner and tonumber(owner) > tonumber(ARGV[1]) then return {'fenced', tail, stop} end
redis.call('HSET', KEYS[1], 'token', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {'ok', tail, stop}
