#!lua flags=allow-oom
-- Pauses a project's family for all workers; never shortens a pause.
-- KEYS: pause, pauses           ARGV: ms, reason, member of the pauses set
-- Returns the remaining ms.
local left = redis.call('PTTL', KEYS[1])
local wanted = tonumber(ARGV[1])
if left >= wanted then return left end
redis.call('SET', KEYS[1], ARGV[2], 'PX', wanted)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Pauses that have ended are kept for a day: an entry that waited for a pause is overdue only from its end.
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - 86400000)
redis.call('ZADD', KEYS[2], now + wanted, ARGV[3])
return wanted
