#!lua flags=allow-oom
-- Takes again what this consumer was given but never got to see, because the reply was lost: its own pending entries
-- without those it works on. Nothing crashed, so nothing is counted.
-- KEYS: events, attempts        ARGV: group, consumer, count, held id, ...
-- Returns {{id, attempts, crashes, alone, first_error, last_error, fields}, ...}.
local held = {}
for i = 4, #ARGV do held[ARGV[i]] = true end
local taken = {}
local count = tonumber(ARGV[3])
for _, pending in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', count + #ARGV - 3, ARGV[2])) do
  local id = pending[1]
  if #taken < count and not held[id] then
    -- Deleted entries leave the pending list by this XCLAIM.
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'JUSTID')
    local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
    if entry then
      local kept = redis.call('HMGET', KEYS[2], id, id .. '#crashes', id .. '#alone', id .. '#first_error', id .. '#last_error')
      taken[#taken + 1] = {id, kept[1], kept[2], kept[3], kept[4], kept[5], entry[2]}
    end
  end
end
return taken
