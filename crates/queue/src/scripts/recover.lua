#!lua flags=allow-oom
-- Claims again what this consumer was given but never got to see, because the reply was lost: its own pending entries
-- without those it works on. Nothing crashed, so nothing is counted.
-- KEYS: events                  ARGV: group, consumer, count, held id, ...
-- Returns their ids.
local held = {}
for i = 4, #ARGV do held[ARGV[i]] = true end
local claimed = {}
local count = tonumber(ARGV[3])
for _, pending in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', count + #ARGV - 3, ARGV[2])) do
  local id = pending[1]
  if #claimed < count and not held[id] then
    -- Deleted entries leave the pending list by this XCLAIM.
    claimed[#claimed + 1] = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'JUSTID')[1]
  end
end
return claimed
