#!lua flags=allow-oom
-- Deletes a dead letter permanently, and records the action in the same step.
-- KEYS: dead, records           ARGV: dead id, family, records_max
-- Returns 0 when there is no such letter.
local letter = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not letter then return 0 end
local by_name = {}
for i = 1, #letter[2], 2 do by_name[letter[2][i]] = letter[2][i + 1] end
redis.call('XDEL', KEYS[1], ARGV[1])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'action', 'discard', 'family', ARGV[2], 'dead_id', ARGV[1],
  'webhook_id', by_name.id or '', 'type', by_name.type or '', 'reason', by_name._reason or '')
return 1
