#!lua
-- Takes events in, each once per webhook-id. Without allow-oom: a full Redis refuses all before anything is done.
-- KEYS: of each event: seen, events
-- ARGV: stream_length_max; of each event: seen_secs, how many words follow, field, value, ...
-- Returns of each event: the entry id, nil for a duplicate, or an error, such as QUEUEFULL. None touches another.
local full = redis.error_reply('QUEUEFULL the stream is at its limit')
local length_max = tonumber(ARGV[1])
local lengths = {}

local function take_in(seen, events, seen_secs, from, to)
  local length = lengths[events] or redis.pcall('XLEN', events)
  if type(length) == 'table' then return length end
  lengths[events] = length
  if length >= length_max then
    return redis.call('EXISTS', seen) == 0 and full
  end
  if not redis.call('SET', seen, '1', 'NX', 'EX', seen_secs) then return false end
  local added = redis.pcall('XADD', events, '*', unpack(ARGV, from, to))
  -- A mark without its entry would turn every later delivery of the event into a duplicate.
  if type(added) == 'table' and added.err then
    redis.call('DEL', seen)
  else
    lengths[events] = length + 1
  end
  return added
end

local answers = {}
local at = 2
for n = 1, #KEYS / 2 do
  local from, to = at + 2, at + 1 + tonumber(ARGV[at + 1])
  answers[n] = take_in(KEYS[2 * n - 1], KEYS[2 * n], ARGV[at], from, to)
  at = to + 1
end
return answers
