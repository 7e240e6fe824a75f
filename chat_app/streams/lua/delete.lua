-- Delete streams, whatever their state.
--
-- KEYS    for each stream: its state hash, its log
-- Returns how many keys existed
return redis.call('DEL', unpack(KEYS))
