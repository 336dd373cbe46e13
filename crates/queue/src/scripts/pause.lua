#!lua flags=allow-oom
-- Lets every worker leave a project's family alone for a time; never shortens a pause.
-- KEYS: pause, pauses           ARGV: ms, reason, the pause's name among the pauses
-- Returns the ms that are left.
local left = redis.call('PTTL', KEYS[1])
local wanted = tonumber(ARGV[1])
if left >= wanted then return left end
redis.call('SET', KEYS[1], ARGV[2], 'PX', wanted)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Ended ones are kept for a day: what waited for the end of a pause is late only from then on.
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - 86400000)
redis.call('ZADD', KEYS[2], now + wanted, ARGV[3])
return wanted
