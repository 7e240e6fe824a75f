-- Append events to one or more streams, and close those that end.
--
-- KEYS    for each stream: its state hash, its log
-- ARGV    for each stream: fencing token · offset of the first event · 1 to restore a state the
--         store has lost, else 0 · outcome ('' while open) · lifetime of the keys in ms ·
--         number of events n · n frames
-- Returns for each stream: {status, tail, stop flag}; status is
--         ok      the events are in the log (also when they were there already: a retry)
--         fenced  a newer producer owns the stream; nothing was written
--         closed  the stream has ended before this; nothing was written
--         lost    the store has forgotten this producer, or the whole stream; nothing was written
--         gap     the log ends before the first event; nothing was written
-- Atomic because token, tail, events, outcome and the push to other processes must never be seen
-- apart: that is what fencing, dense offsets and "closed with the last event" rest on.
-- The streams of one call share nothing: each has its own keys and its own reply.
local function read(key)
  local fields, flat = {}, redis.call('HGETALL', key)
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return fields
end

local replies = {}
local arg = 1
for k = 1, #KEYS, 2 do
  local state, log = KEYS[k], KEYS[k + 1]
  local token, first, restore = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1]), ARGV[arg + 2] == '1'
  local outcome, ttl, count = ARGV[arg + 3], ARGV[arg + 4], tonumber(ARGV[arg + 5])
  local frames = arg + 6
  arg = frames + count

  local known = read(state)
  local owner = tonumber(known.token or '0')
  if owner < token and restore then
    redis.call('DEL', log)
    redis.call('HSET', state, 'token', tostring(token), 'tail', '0')
    redis.call('PEXPIRE', state, ttl)
    owner, known.tail = token, '0'
  end
  local tail = tonumber(known.tail or '0')
  local status = 'ok'
  if owner < token then
    status = 'lost'
  elseif owner > token then
    status = 'fenced'
  elseif known.outcome then
    -- A retry of the very close that landed is the same close.
    if not (known.outcome == outcome and tail == first + count - 1) then status = 'closed' end
  elseif first > tail + 1 then
    status = 'gap'
  else
    local fresh = {}
    for offset = tail + 1, first + count - 1 do
      local frame = ARGV[frames + offset - first]
      redis.call('XADD', log, offset .. '-0', 'f', frame)
      fresh[#fresh + 1] = frame
    end
    local last = tail + #fresh
    if #fresh > 0 then redis.call('HSET', state, 'tail', tostring(last)) end
    if tail == 0 and #fresh > 0 then redis.call('PEXPIRE', log, ttl) end
    if outcome ~= '' then
      redis.call('HSET', state, 'outcome', outcome)
      redis.call('PEXPIRE', state, ttl)
      redis.call('PEXPIRE', log, ttl)
    end
    if known.watched and (#fresh > 0 or outcome ~= '') then
      redis.call('PUBLISH', state, last .. ' ' .. outcome .. '\n' .. table.concat(fresh))
    end
    tail = last
  end
  replies[#replies + 1] = {status, tail, known.stop or '0'}
end
return replies
