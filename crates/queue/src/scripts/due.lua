#!lua flags=allow-oom
-- Claims entries whose delay is over. Their bodies never left the stream.
-- KEYS: events, delayed, attempts    ARGV: group, consumer, count
-- Returns {ms until the next entry is due or -1, {id, ...}}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local claimed = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[3])) do
  -- Never claim an entry with a live lease.
  if not redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1] then
    if redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'FORCE', 'JUSTID')[1] then
      claimed[#claimed + 1] = id
    else
      redis.call('HDEL', KEYS[3], id, id .. '#crashes', id .. '#alone', id .. '#first_error', id .. '#last_error')
    end
  end
  redis.call('ZREM', KEYS[2], id)
end
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
local wait = -1
if first[2] then wait = math.max(0, tonumber(first[2]) - now) end
return {wait, claimed}
