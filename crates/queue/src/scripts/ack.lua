#!lua flags=allow-oom
-- Removes an entry permanently. Does not check the lease: the work is done, even if another consumer has the entry now.
-- KEYS: events, delayed, attempts    ARGV: group, id
-- Returns 1 when the entry existed; a repeated ack returns 0.
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[2], ARGV[2] .. '#crashes', ARGV[2] .. '#alone', ARGV[2] .. '#first_error',
  ARGV[2] .. '#last_error')
return redis.call('XDEL', KEYS[1], ARGV[2])
