#!lua
-- Adds events to their streams, each once within the dedupe window. Without allow-oom: when memory is full, Redis
-- refuses the whole script before it starts.
-- Redis's clock selects the generation of a dedupe record, so the script builds the names of the record sets. All keys
-- have the same hash tag. (Redis Cluster is not supported.)
-- KEYS: seen (the index of generations, and the prefix of their record sets); for each event: events
-- ARGV: stream_length_max, generation_secs; for each event: shard, record, number of field arguments, field, value, ...
-- Returns for each event {'added', entry id}, {'duplicate', ''} or {'refused', error}; events do not affect each other.
local seen, length_max, generation_secs = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local now = tonumber(redis.call('TIME')[1])
local generation = math.floor(now / generation_secs)
local expires_at = (generation + 3) * generation_secs

local function enqueue(events, shard, record, first, last)
  local function record_set(back) return seen .. ':' .. (generation - back) .. ':' .. shard end
  for back = 0, 2 do
    if redis.call('SISMEMBER', record_set(back), record) == 1 then return {'duplicate', ''} end
  end
  if redis.call('XLEN', events) >= length_max then return {'refused', 'QUEUEFULL the stream is at its limit'} end
  local entry_id = redis.call('XADD', events, '*', unpack(ARGV, first, last))
  -- Last: a record without an entry would turn every later delivery of the event into a duplicate.
  redis.call('SADD', record_set(0), record)
  if redis.call('EXPIREAT', record_set(0), expires_at, 'NX') == 1 then
    redis.call('ZREMRANGEBYSCORE', seen, '-inf', now)
    redis.call('ZADD', seen, expires_at, generation)
    redis.call('EXPIREAT', seen, expires_at)
  end
  return {'added', entry_id}
end

local replies, at = {}, 3
for n = 2, #KEYS do
  local field_args = tonumber(ARGV[at + 2])
  local ok, reply = pcall(enqueue, KEYS[n], ARGV[at], ARGV[at + 1], at + 3, at + 2 + field_args)
  if not ok then reply = {'refused', type(reply) == 'table' and reply.err or tostring(reply)} end
  replies[n - 1] = reply
  at = at + 3 + field_args
end
return replies
