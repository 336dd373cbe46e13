#!lua flags=allow-oom
-- Gives an entry back, due after a delay: its body stays in the stream. With an error it was a failed attempt;
-- without one (snooze, hand-back) nothing is counted.
-- KEYS: events, delayed, attempts    ARGV: group, consumer, id, delay_ms, [error]
-- Returns 0 when the lease is lost.
local id = ARGV[3]
if not redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2])[1] then return 0 end
local time = redis.call('TIME')
local due = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[4])
redis.call('XACK', KEYS[1], ARGV[1], id)
redis.call('ZADD', KEYS[2], due, id)
if ARGV[5] then
  redis.call('HINCRBY', KEYS[3], id, 1)
  redis.call('HSETNX', KEYS[3], id .. '#first_error', ARGV[5])
  redis.call('HSET', KEYS[3], id .. '#last_error', ARGV[5])
end
return 1
