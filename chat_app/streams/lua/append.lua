-- Append events to one or more streams, and close those that end.
--
-- KEYS    for each stream: its state hash, its log
-- ARGV    lifetime of an open stream in ms · lifetime of a closed one; then for each stream:
--         fencing token · offset of the first event · 1 to restore a stream that the store has
--         lost, else 0 · outcome ('' while open) · number of events n · n frames
-- Returns for each stream one of
--         ok      the events are in the log (also if an earlier try put them there)
--         stop    the same, and a stop was requested
--         fenced  a newer producer owns the stream; nothing was written
--         closed  the stream had already ended; nothing was written
--         lost    the store has lost this token, or the whole stream; nothing was written
--         gap     the log lacks events before the first one; nothing was written
-- Atomic because token, events, outcome and the push to other processes must never be seen apart:
-- fencing, dense offsets and closing with the last event depend on it. The log's length is the
-- tail: offsets are dense and nothing is ever trimmed.
-- The streams of one call share nothing: each has its own keys and its own reply.
local call, number = redis.call, tonumber
local open_ttl, closed_ttl = ARGV[1], ARGV[2]

local function read(key)
  local fields, flat = {}, call('HGETALL', key)
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return fields
end

-- The messages to publish, by the channels of the watching processes: one for all streams with the
-- same watchers. It holds `<state key> <tail> <number of frames> <outcome>`, a blank line and the
-- frames of each stream.
local pushes = {}

local replies = {}
local arg = 3
for k = 1, #KEYS, 2 do
  local state, log = KEYS[k], KEYS[k + 1]
  local token, first, outcome = number(ARGV[arg]), number(ARGV[arg + 1]), ARGV[arg + 3]
  local restore, last = ARGV[arg + 2] == '1', first + number(ARGV[arg + 4]) - 1
  local before_first = arg + 5 - first -- the frame of an offset is ARGV[before_first + offset]
  arg = before_first + last + 1

  local known = read(state)
  local owner = number(known.token or '0')
  if owner < token and restore then
    call('DEL', log)
    call('HSET', state, 'token', tostring(token))
    call('PEXPIRE', state, open_ttl)
    owner = token
  end
  local tail = call('XLEN', log)
  local status = known.stop and 'stop' or 'ok'
  if owner < token then
    status = 'lost'
  elseif owner > token then
    status = 'fenced'
  elseif known.outcome then
    -- A retry of the close that landed is not an error.
    if known.outcome ~= outcome or number(known.tail) ~= last then status = 'closed' end
  elseif first > tail + 1 then
    status = 'gap'
  else
    for offset = tail + 1, last do
      call('XADD', log, offset .. '-0', 'f', ARGV[before_first + offset])
    end
    if tail == 0 and last > 0 then call('PEXPIRE', log, open_ttl) end
    if outcome ~= '' then
      call('HSET', state, 'outcome', outcome, 'tail', tostring(last))
      call('PEXPIRE', state, closed_ttl)
      call('PEXPIRE', log, closed_ttl)
    end
    if known.watched and (last > tail or outcome ~= '') then
      local pushed = pushes[known.watched] or {n = 0}
      pushes[known.watched] = pushed
      pushed[pushed.n + 1] = table.concat({state, last, last - tail, outcome}, ' ') .. '\n\n'
      for offset = tail + 1, last do
        pushed[pushed.n + 1 + offset - tail] = ARGV[before_first + offset]
      end
      pushed.n = pushed.n + 1 + last - tail
    end
  end
  replies[#replies + 1] = status
end
for channels, pushed in pairs(pushes) do
  local message = table.concat(pushed)
  for channel in string.gmatch(channels, '%S+') do call('PUBLISH', channel, message) end
end
return replies
