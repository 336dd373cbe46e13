#!lua flags=allow-oom
-- Creates the group at 0 if it is missing, so that the stream is read from its start. Delayed entries are in the stream
-- too, so their set is deleted in the same step; otherwise they would run twice.
-- KEYS: events, delayed         ARGV: group
-- Returns 0 when the group existed, 1 when it was created, 2 when the stream was created too.
local missing = redis.call('EXISTS', KEYS[1]) == 0
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if made.err then
  if string.sub(made.err, 1, 9) == 'BUSYGROUP' then return 0 end
  return made
end
redis.call('DEL', KEYS[2])
return missing and 2 or 1
