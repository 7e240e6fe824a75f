-- Ask the producer of an open stream to end it.
--
-- KEYS    state hash
-- Returns {known, tail, outcome}: known is 0 when there is no such stream; outcome is '' while open
-- Atomic so that a stream that closes meanwhile never keeps a flag nobody will read.
local tail = redis.call('HGET', KEYS[1], 'tail')
if not tail then return {0, 0, ''} end
local outcome = redis.call('HGET', KEYS[1], 'outcome')
if not outcome then redis.call('HSET', KEYS[1], 'stop', '1') end
return {1, tonumber(tail), outcome or ''}
