#!lua flags=allow-oom
-- Takes entries whose delay is over. Their bodies never left the stream.
-- KEYS: events, delayed, attempts    ARGV: group, consumer, count
-- Returns {ms until the next one is due or -1, {{id, attempts, crashes, alone, first_error, last_error, fields}, ...}}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local taken = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[3])) do
  -- Never from under a live lease.
  if not redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1] then
    local claimed = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'FORCE')[1]
    if claimed then
      local kept = redis.call('HMGET', KEYS[3], id, id .. '#crashes', id .. '#alone', id .. '#first_error', id .. '#last_error')
      taken[#taken + 1] = {id, kept[1], kept[2], kept[3], kept[4], kept[5], claimed[2]}
    else
      redis.call('HDEL', KEYS[3], id, id .. '#crashes', id .. '#alone', id .. '#first_error', id .. '#last_error')
    end
  end
  redis.call('ZREM', KEYS[2], id)
end
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
local wait = -1
if first[2] then wait = math.max(0, tonumber(first[2]) - now) end
return {wait, taken}
