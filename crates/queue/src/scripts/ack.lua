#!lua flags=allow-oom
-- Removes entries permanently. Does not check the leases: the work is done, even if another consumer has an entry now.
-- KEYS: events, delayed, attempts    ARGV: group, id, ... (at most some hundreds)
-- Returns how many entries existed; a repeated ack returns 0.
redis.call('XACK', KEYS[1], unpack(ARGV))
redis.call('ZREM', KEYS[2], unpack(ARGV, 2))
if redis.call('EXISTS', KEYS[3]) == 1 then
  for i = 2, #ARGV do
    local id = ARGV[i]
    redis.call('HDEL', KEYS[3], id, id .. '#crashes', id .. '#alone', id .. '#first_error', id .. '#last_error')
  end
end
return redis.call('XDEL', KEYS[1], unpack(ARGV, 2))
