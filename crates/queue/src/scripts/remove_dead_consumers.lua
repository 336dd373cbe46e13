#!lua flags=allow-oom
-- Deletes the names of consumers that have nothing pending and have long been silent: workers that died. A name that is
-- deleted while its worker lives comes back with the worker's next command.
-- KEYS: events                  ARGV: group, consumer, silent_ms
-- Returns how many names are gone.
local gone = 0
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #flat, 2 do consumer[flat[i]] = flat[i + 1] end
  if consumer.name ~= ARGV[2] and consumer.pending == 0 and consumer.idle > tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    gone = gone + 1
  end
end
return gone
