#!lua flags=allow-oom
-- Renews leases, but only those this consumer still holds.
-- KEYS: events                  ARGV: group, consumer, id, ...
-- Returns the ids whose lease is lost.
local lost = {}
for i = 3, #ARGV do
  if redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])[1] then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
