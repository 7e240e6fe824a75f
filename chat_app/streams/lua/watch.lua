-- Read the state of a stream, and have its appends pushed from here on if the caller says so.
--
-- KEYS    state hash · log
-- ARGV    1 to have appends published on the channel named like the hash, else 0
-- Returns {known, tail, outcome, stop flag}: known is 0 when there is no such stream
-- Atomic so that every event is either below the returned tail or will be pushed.
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, 0, '', '0'} end
local stop = redis.call('HGET', KEYS[1], 'stop') or '0'
local outcome = redis.call('HGET', KEYS[1], 'outcome')
if outcome then return {1, tonumber(redis.call('HGET', KEYS[1], 'tail')), outcome, stop} end
if ARGV[1] == '1' then redis.call('HSET', KEYS[1], 'watched', '1') end
return {1, redis.call('XLEN', KEYS[2]), '', stop}
