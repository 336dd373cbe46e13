#!lua flags=allow-oom
-- Creates the group where it is missing, at 0: what the stream holds is read from its start. Delayed entries lie in
-- the stream too, so their set is dropped in the same step, or they would run twice.
-- KEYS: events, delayed         ARGV: group
-- Returns 0 when it was there, 1 when the group was created, 2 when the stream was too.
local missing = redis.call('EXISTS', KEYS[1]) == 0
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if made.err then
  if string.sub(made.err, 1, 9) == 'BUSYGROUP' then return 0 end
  return made
end
redis.call('DEL', KEYS[2])
return missing and 2 or 1
