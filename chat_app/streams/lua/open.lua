-- Make a producer the owner of a stream: from here on no append with an older token lands.
--
-- KEYS    state hash
-- ARGV    fencing token · lifetime of an open stream in ms
-- Returns {status, tail, stop flag, outcome}; status is ok, fenced (a newer producer owns it) or closed
-- Atomic so that the tail returned is the last one any older producer will ever write.
local function read(key)
  local fields, flat = {}, redis.call('HGETALL', key)
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return fields
end

local known = read(KEYS[1])
local tail = tonumber(known.tail or '0')
if known.outcome then return {'closed', tail, known.stop or '0', known.outcome} end
if known.token and tonumber(known.token) > tonumber(ARGV[1]) then return {'fenced', tail, '0', ''} end
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'tail', tostring(tail))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {'ok', tail, known.stop or '0', ''}
