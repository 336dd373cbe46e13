#!lua flags=allow-oom
-- Claims entries that were delivered to this consumer in a reply that was lost: its pending entries without those it
-- processes. Nothing crashed, so nothing is counted.
-- KEYS: events                  ARGV: group, consumer, count, held id, ...
-- Returns their ids.
local held = {}
for i = 4, #ARGV do held[ARGV[i]] = true end
local claimed = {}
local count = tonumber(ARGV[3])
for _, pending in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', count + #ARGV - 3, ARGV[2])) do
  local id = pending[1]
  if #claimed < count and not held[id] then
    -- XCLAIM removes deleted entries from the pending list.
    claimed[#claimed + 1] = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'JUSTID')[1]
  end
end
return claimed
