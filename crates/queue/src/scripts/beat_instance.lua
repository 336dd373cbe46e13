#!lua flags=allow-oom
-- Stores a program's heartbeat, even when memory is full: a live program must not look dead.
-- KEYS: instances    ARGV: id, description as a JSON object, uptime in ms
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local times = string.format(',"since":%.0f,"heartbeat":%.0f}', now - ARGV[3], now)
redis.call('HSET', KEYS[1], ARGV[1], string.sub(ARGV[2], 1, -2) .. times)
