#!lua flags=allow-oom
-- Reports a program: a full Redis must not make it look dead.
-- KEYS: instances    ARGV: id, what it says of itself as a JSON object, for how many ms it has run
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local times = string.format(',"since":%.0f,"heartbeat":%.0f}', now - ARGV[3], now)
redis.call('HSET', KEYS[1], ARGV[1], string.sub(ARGV[2], 1, -2) .. times)
