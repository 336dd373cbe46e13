#!lua flags=no-writes
-- Tells which entries are still in the stream: undelivered, pending or delayed.
-- KEYS: events, attempts        ARGV: id, ...
-- Returns {{id, attempts, last_error}, ...}.
local waiting = {}
for _, id in ipairs(ARGV) do
  if redis.call('XRANGE', KEYS[1], id, id)[1] then
    local kept = redis.call('HMGET', KEYS[2], id, id .. '#last_error')
    waiting[#waiting + 1] = {id, kept[1], kept[2]}
  end
end
return waiting
