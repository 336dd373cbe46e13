#!lua flags=allow-oom
-- Claims entries whose delay is over, then entries whose lease expired. Claims nothing while every project is paused.
-- An expired lease is a crash of the consumer that held the entry, counted separately from failed attempts. Entries
-- that this consumer still processes are only renewed: its heartbeat was late, nothing crashed.
-- KEYS: events, delayed, attempts, pause of each project    ARGV: group, consumer, lease_ms, cursor, count, held id, ...
-- Returns {{PTTL of each pause}, 1 if all are paused, ms until the next entry is due or -1, next cursor, {id, ...}}.
local group, consumer, count = ARGV[1], ARGV[2], tonumber(ARGV[5])
local pauses, paused = {}, #KEYS > 3
for i = 4, #KEYS do
  local left = redis.call('PTTL', KEYS[i])
  pauses[i - 3] = left
  paused = paused and left ~= -2
end
if paused then return {pauses, 1, -1, ARGV[4], {}} end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held, claimed = {}, {}
for i = 6, #ARGV do held[ARGV[i]] = true end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, count)) do
  -- Never claim an entry with a live lease. The bodies never left the stream.
  if not redis.call('XPENDING', KEYS[1], group, id, id, 1)[1] then
    if redis.call('XCLAIM', KEYS[1], group, consumer, 0, id, 'FORCE', 'JUSTID')[1] then
      claimed[#claimed + 1] = id
      held[id] = true
    else
      redis.call('HDEL', KEYS[3], id, id .. '#crashes', id .. '#alone', id .. '#first_error', id .. '#last_error')
    end
  end
  redis.call('ZREM', KEYS[2], id)
end
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
local wait = -1
if first[2] then wait = math.max(0, tonumber(first[2]) - now) end

local cursor = ARGV[4]
if #claimed < count then
  local found = redis.call('XAUTOCLAIM', KEYS[1], group, consumer, ARGV[3], cursor, 'COUNT', count - #claimed, 'JUSTID')
  cursor = found[1]
  for _, id in ipairs(found[2]) do
    if not held[id] then
      redis.call('HINCRBY', KEYS[3], id .. '#crashes', 1)
      claimed[#claimed + 1] = id
    end
  end
end
return {pauses, 0, wait, cursor, claimed}
