-- Forget streams, whatever their state.
--
-- KEYS    for each stream: its state hash, its log
-- Returns how many keys there were
return redis.call('DEL', unpack(KEYS))
