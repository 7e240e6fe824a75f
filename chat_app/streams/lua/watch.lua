-- Read the state of a stream, and have its appends pushed from here on if the caller says so.
--
-- KEYS    state hash
-- ARGV    1 to have appends published on the channel named like the hash, else 0
-- Returns {known, tail, outcome, stop flag}: known is 0 when there is no such stream
-- Atomic so that every event is either below the returned tail or will be pushed.
local tail = redis.call('HGET', KEYS[1], 'tail')
if not tail then return {0, 0, '', '0'} end
local outcome = redis.call('HGET', KEYS[1], 'outcome')
if ARGV[1] == '1' and not outcome then redis.call('HSET', KEYS[1], 'watched', '1') end
return {1, tonumber(tail), outcome or '', redis.call('HGET', KEYS[1], 'stop') or '0'}
