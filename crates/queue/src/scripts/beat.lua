#!lua flags=allow-oom
-- Renews the leases that this consumer still holds. Without any leases it still shows that the consumer is alive.
-- KEYS: events                  ARGV: group, consumer, id, ...
-- Returns the ids whose lease is lost.
if #ARGV == 2 then
  redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', 1, 'STREAMS', KEYS[1], '18446744073709551615-0')
end
local lost = {}
for i = 3, #ARGV do
  if redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])[1] then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
