#!lua flags=no-writes
-- Returns the entries that are still in the stream: undelivered, pending or delayed.
-- KEYS: events, attempts        ARGV: id, ...
-- Returns {{id, attempts, last_error}, ...}.
local waiting = {}
for _, id in ipairs(ARGV) do
  if redis.call('XRANGE', KEYS[1], id, id)[1] then
    local history = redis.call('HMGET', KEYS[2], id, id .. '#last_error')
    waiting[#waiting + 1] = {id, history[1], history[2]}
  end
end
return waiting
