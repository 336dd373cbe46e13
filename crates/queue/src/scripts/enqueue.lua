#!lua
-- Adds events to their streams, each once within the dedupe window. Without allow-oom: a full Redis refuses all of them
-- before anything is done.
-- Redis' clock decides the generation of a dedupe record, so the names of the record sets are made here. All keys have
-- the same hash tag. (Redis Cluster is not supported.)
-- KEYS: seen (the index of generations, and the prefix of their record sets); for each event: events
-- ARGV: stream_length_max, generation_secs; for each event: shard, record, how many words its fields are, field, value, ...
-- Returns for each event {'added', entry id}, {'duplicate', ''} or {'refused', error}: none touches another.
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
  -- Last: a record without its entry would turn every later delivery of the event into a duplicate.
  redis.call('SADD', record_set(0), record)
  if redis.call('EXPIREAT', record_set(0), expires_at, 'NX') == 1 then
    redis.call('ZREMRANGEBYSCORE', seen, '-inf', now)
    redis.call('ZADD', seen, expires_at, generation)
    redis.call('EXPIREAT', seen, expires_at)
  end
  return {'added', entry_id}
end

local answers, at = {}, 3
for n = 2, #KEYS do
  local words = tonumber(ARGV[at + 2])
  local ok, answer = pcall(enqueue, KEYS[n], ARGV[at], ARGV[at + 1], at + 3, at + 2 + words)
  if not ok then answer = {'refused', type(answer) == 'table' and answer.err or tostring(answer)} end
  answers[n - 1] = answer
  at = at + 3 + words
end
return answers
