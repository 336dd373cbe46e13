#!lua flags=allow-oom
-- Creates the group where it is missing, at 0: what the stream holds is read from its start. Delayed entries lie in
-- the stream too, so their set is dropped in the same step, or they would run twice.
-- KEYS: events, delayed         ARGV: group
-- Returns 1 when the group was created.
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if made.err then
  if string.sub(made.err, 1, 9) == 'BUSYGROUP' then return 0 end
  return made
end
redis.call('DEL', KEYS[2])
return 1
