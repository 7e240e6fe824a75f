-- Read the state of a stream, and start or stop its pushes to a process.
--
-- KEYS    state hash · log
-- ARGV    'read', 'watch' or 'leave' · channel of the process
-- Returns {known, tail, outcome, stop flag}: known is 0 when there is no such stream
-- Atomic so that every event is either within the returned tail or will be pushed.
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, 0, '', '0'} end
local stop = redis.call('HGET', KEYS[1], 'stop') or '0'
local outcome = redis.call('HGET', KEYS[1], 'outcome')
if outcome then return {1, tonumber(redis.call('HGET', KEYS[1], 'tail')), outcome, stop} end
if ARGV[1] ~= 'read' then
  local watchers = {}
  for channel in string.gmatch(redis.call('HGET', KEYS[1], 'watched') or '', '%S+') do
    if channel ~= ARGV[2] then watchers[#watchers + 1] = channel end
  end
  if ARGV[1] == 'watch' then watchers[#watchers + 1] = ARGV[2] end
  if #watchers > 0 then
    redis.call('HSET', KEYS[1], 'watched', table.concat(watchers, ' '))
  else
    redis.call('HDEL', KEYS[1], 'watched')
  end
end
return {1, redis.call('XLEN', KEYS[2]), '', stop}
