#!lua flags=allow-oom
-- Claims entries whose lease ran out. Each time is a crash of the consumer that held the entry, counted apart from failed
-- attempts. Entries this consumer still works on are only kept alive: its heartbeat was late, nothing crashed.
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
