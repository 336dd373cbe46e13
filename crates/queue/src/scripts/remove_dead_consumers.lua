#!lua flags=allow-oom
-- Deletes consumers that have nothing pending and have been silent for long: dead workers. The name of a live worker is
-- recreated by its next command.
-- KEYS: events                  ARGV: group, consumer, silent_ms
-- Returns the number of deleted consumers.
local removed = 0
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #flat, 2 do consumer[flat[i]] = flat[i + 1] end
  if consumer.name ~= ARGV[2] and consumer.pending == 0 and consumer.idle > tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    removed = removed + 1
  end
end
return removed
