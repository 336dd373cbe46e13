#!lua
-- Redrives a dead letter as a new entry: the original fields, received now, without attempts. Skips the dedupe check,
-- and records the action in the same step.
-- KEYS: dead, events, records   ARGV: dead id, family, records_max
-- A script can write about 4,000 fields at once: of a letter with more, added manually, the first are kept.
-- Returns the new entry's id, or nil when there is no such letter.
local FIELDS_MAX = 3900
local letter = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not letter then return nil end
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local fields, by_name = {}, {}
for i = 1, #letter[2], 2 do
  local name, value = letter[2][i], letter[2][i + 1]
  by_name[name] = value
  if string.sub(name, 1, 1) ~= '_' and #fields < 2 * FIELDS_MAX then
    if name == 'received_ms' then value = now end
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
end
local entry_id = redis.call('XADD', KEYS[2], '*', unpack(fields))
redis.call('XDEL', KEYS[1], ARGV[1])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', 'action', 'redrive', 'family', ARGV[2], 'dead_id', ARGV[1],
  'entry_id', entry_id, 'webhook_id', by_name.id or '', 'type', by_name.type or '', 'reason', by_name._reason or '')
return entry_id
