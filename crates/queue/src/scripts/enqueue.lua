#!lua
-- Adds events to their streams, each once per dedupe key. Without allow-oom: a full Redis refuses all of them before
-- anything is done.
-- KEYS: for each event: events, dedupe key
-- ARGV: stream_length_max; for each event: ttl_secs, how many words its fields are, field, value, ...
-- Returns for each event {'added', entry id}, {'duplicate', ''} or {'refused', error}: none touches another.
local length_max = tonumber(ARGV[1])

local function enqueue(events, dedupe_key, ttl_secs, first, last)
  if redis.call('GET', dedupe_key) then return {'duplicate', ''} end
  if redis.call('XLEN', events) >= length_max then return {'refused', 'QUEUEFULL the stream is at its limit'} end
  local entry_id = redis.call('XADD', events, '*', unpack(ARGV, first, last))
  -- Last: a key without its entry would turn every later delivery of the event into a duplicate.
  redis.call('SET', dedupe_key, '1', 'EX', ttl_secs)
  return {'added', entry_id}
end

local answers, at = {}, 2
for n = 1, #KEYS / 2 do
  local words = tonumber(ARGV[at + 1])
  local ok, answer = pcall(enqueue, KEYS[2 * n - 1], KEYS[2 * n], ARGV[at], at + 2, at + 1 + words)
  if not ok then answer = {'refused', type(answer) == 'table' and answer.err or tostring(answer)} end
  answers[n] = answer
  at = at + 2 + words
end
return answers
