#!lua flags=allow-oom
-- Removes a consumer: entries it was given but never saw are due immediately for others. Its name is kept while it
-- still holds an entry, because deleting a name deletes its pending entries.
-- KEYS: events, delayed         ARGV: group, consumer, count, held id, ...
-- Returns 1 when the name was removed.
local held = {}
for i = 4, #ARGV do held[ARGV[i]] = true end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, pending in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', ARGV[3], ARGV[2])) do
  if not held[pending[1]] then
    redis.call('XACK', KEYS[1], ARGV[1], pending[1])
    redis.call('ZADD', KEYS[2], now, pending[1])
  end
end
if redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])[1] then return 0 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
