#!lua
-- Adds a stored event to its stream again, once per run of an operator's command.
-- KEYS: events, replayed        ARGV: stream_length_max, ttl_secs, field, value, ...
-- Returns the same as enqueue.lua for one event.
if redis.call('GET', KEYS[2]) then return {'duplicate', ''} end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return {'refused', 'QUEUEFULL the stream is at its limit'} end
local entry_id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 3))
redis.call('SET', KEYS[2], '1', 'EX', ARGV[2])
return {'added', entry_id}
