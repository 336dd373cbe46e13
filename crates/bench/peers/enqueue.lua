-- What the hand-written handlers use: the webhook-id once, then the stream.
-- KEYS: mark, stream   ARGV: seconds the mark lasts, webhook-id, type, body
if redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then
  return redis.call('XADD', KEYS[2], '*', 'id', ARGV[2], 'type', ARGV[3], 'body', ARGV[4])
end
return false
