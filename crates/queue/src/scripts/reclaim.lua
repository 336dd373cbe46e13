#!lua flags=allow-oom
-- Takes over entries whose lease ran out. Each takeover is a crash of whoever held it, counted apart from failed
-- attempts. Entries this consumer still works on are only kept alive: its heartbeat was late, nothing crashed.
-- KEYS: events, attempts        ARGV: group, consumer, lease_ms, cursor, count, held id, ...
-- Returns {next cursor, {{id, attempts, crashes, alone, first_error, last_error, fields}, ...}}.
local held = {}
for i = 6, #ARGV do held[ARGV[i]] = true end
local found = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'COUNT', ARGV[5], 'JUSTID')
local taken = {}
for _, id in ipairs(found[2]) do
  local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
  if entry and not held[id] then
    local crashes = redis.call('HINCRBY', KEYS[2], id .. '#crashes', 1)
    local kept = redis.call('HMGET', KEYS[2], id, id .. '#alone', id .. '#first_error', id .. '#last_error')
    taken[#taken + 1] = {id, kept[1], crashes, kept[2], kept[3], kept[4], entry[2]}
  end
end
return {found[1], taken}
