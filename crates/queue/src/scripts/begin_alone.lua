#!lua flags=allow-oom
-- Records that an entry now runs alone in its worker. Putting it back removes the mark; a crash leaves it, so the mark
-- counts the crashes while the entry ran alone.
-- KEYS: events, attempts        ARGV: group, consumer, id, crashes alone so far
-- Returns 0 when the lease is lost.
local id = ARGV[3]
if not redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2])[1] then return 0 end
redis.call('HSET', KEYS[2], id .. '#alone', tonumber(ARGV[4]) + 1)
return 1
