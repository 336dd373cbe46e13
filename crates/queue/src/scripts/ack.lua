#!lua flags=allow-oom
-- Removes entries permanently, and announces what became of them. Does not check the leases: the work is done, even if
-- another consumer has an entry now.
-- KEYS: events, delayed, attempts, changes
-- ARGV: group, kind, changes_max; for each entry (at most some hundreds): its id, the announced id, state
-- Returns how many entries existed; a repeated ack returns 0 and announces nothing.
local ids = {}
for i = 4, #ARGV, 3 do ids[#ids + 1] = ARGV[i] end
redis.call('XACK', KEYS[1], ARGV[1], unpack(ids))
redis.call('ZREM', KEYS[2], unpack(ids))
if redis.call('EXISTS', KEYS[3]) == 1 then
  for _, id in ipairs(ids) do
    redis.call('HDEL', KEYS[3], id, id .. '#crashes', id .. '#alone', id .. '#first_error', id .. '#last_error')
  end
end
local existed = redis.call('XDEL', KEYS[1], unpack(ids))
if existed > 0 then
  for i = 4, #ARGV, 3 do
    -- pcall: the work is done, even if the key was overwritten manually.
    redis.pcall('XADD', KEYS[4], 'MAXLEN', '~', ARGV[3], '*', 'kind', ARGV[2], 'id', ARGV[i + 1], 'state', ARGV[i + 2])
  end
end
return existed
