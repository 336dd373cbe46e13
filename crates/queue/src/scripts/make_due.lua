#!lua flags=allow-oom
-- Ends the wait of delayed entries: they are due now. Their attempts and errors stay as they are.
-- KEYS: delayed                 ARGV: id, ...
-- Returns the ids of those that still waited.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = {}
for _, id in ipairs(ARGV) do
  if redis.call('ZADD', KEYS[1], 'XX', 'LT', 'CH', now, id) == 1 then due[#due + 1] = id end
end
return due
