#!lua
-- Takes an event in, once per webhook-id. Without allow-oom: a full Redis refuses it before anything is done.
-- KEYS: seen, events            ARGV: seen_secs, stream_length_max, field, value, ...
-- Returns the entry id, nil for a duplicate, or the error QUEUEFULL.
if redis.call('XLEN', KEYS[2]) >= tonumber(ARGV[2]) then
  if redis.call('EXISTS', KEYS[1]) == 1 then return nil end
  return redis.error_reply('QUEUEFULL the stream is at its limit')
end
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then return nil end
local added = redis.pcall('XADD', KEYS[2], '*', unpack(ARGV, 3))
-- A mark without its entry would turn every later delivery of the event into a duplicate.
if type(added) == 'table' and added.err then redis.call('DEL', KEYS[1]) end
return added
