#!lua flags=allow-oom
-- Makes delayed entries due now. Their attempts and errors do not change.
-- KEYS: delayed                 ARGV: id, ...
-- Returns the ids of those that were still delayed.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = {}
for _, id in ipairs(ARGV) do
  if redis.call('ZADD', KEYS[1], 'XX', 'LT', 'CH', now, id) == 1 then due[#due + 1] = id end
end
return due
