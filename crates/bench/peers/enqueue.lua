-- Used by the hand-written handlers: deduplicates by webhook-id, then appends to the stream.
-- KEYS: dedupe key, stream   ARGV: TTL of the dedupe key in seconds, webhook-id, type, body
if redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then
  return redis.call('XADD', KEYS[2], '*', 'id', ARGV[2], 'type', ARGV[3], 'body', ARGV[4])
end
return false
