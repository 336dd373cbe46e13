#!lua flags=allow-oom
-- Makes an entry due again after a delay; its body stays in the stream. With an error it was a failed attempt; without
-- one (snooze, release) nothing is counted. A run alone that ends here did not crash, so its mark is reset.
-- KEYS: events, delayed, attempts    ARGV: group, consumer, id, delay_ms, alone, [error]
-- Returns 0 when the lease is lost.
local id = ARGV[3]
if not redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2])[1] then return 0 end
local time = redis.call('TIME')
local due = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[4])
redis.call('XACK', KEYS[1], ARGV[1], id)
redis.call('ZADD', KEYS[2], due, id)
if ARGV[5] == '0' then
  redis.call('HDEL', KEYS[3], id .. '#alone')
else
  redis.call('HSET', KEYS[3], id .. '#alone', ARGV[5])
end
if ARGV[6] then
  redis.call('HINCRBY', KEYS[3], id, 1)
  redis.call('HSETNX', KEYS[3], id .. '#first_error', ARGV[6])
  redis.call('HSET', KEYS[3], id .. '#last_error', ARGV[6])
end
return 1
