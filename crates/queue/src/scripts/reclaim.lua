#!lua flags=allow-oom
-- Claims entries whose lease expired. Each expiry is a crash of the consumer that held the entry, counted separately
-- from failed attempts. Entries that this consumer still processes are only renewed: its heartbeat was late, nothing
-- crashed.
-- KEYS: events, attempts        ARGV: group, consumer, lease_ms, cursor, count, held id, ...
-- Returns {next cursor, {id, ...}}.
local held = {}
for i = 6, #ARGV do held[ARGV[i]] = true end
local found = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'COUNT', ARGV[5], 'JUSTID')
local claimed = {}
for _, id in ipairs(found[2]) do
  if not held[id] then
    redis.call('HINCRBY', KEYS[2], id .. '#crashes', 1)
    claimed[#claimed + 1] = id
  end
end
return {found[1], claimed}
