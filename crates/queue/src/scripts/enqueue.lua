#!lua
-- Takes events in, each once per webhook-id. Without allow-oom: a full Redis refuses all before anything is done.
-- The names that every entry has stand here and are not sent: Redis takes a tenth of a microsecond for each word.
-- KEYS: of each event: seen, events
-- ARGV: stream_length_max; of each event: seen_secs, id, project, type, timestamp, received_ms, body, how many words
-- follow, field, value, ...
-- Returns of each event: the entry id, nil for a duplicate, or an error, such as QUEUEFULL. None touches another.
local call, pcall = redis.call, redis.pcall
local full = redis.error_reply('QUEUEFULL the stream is at its limit')
local length_max = tonumber(ARGV[1])
local lengths = {}

-- Version 1 of the entry format. `at` is where the event's words begin.
local function add(events, at, more)
  return pcall('XADD', events, '*', 'v', '1', 'id', ARGV[at + 1], 'project', ARGV[at + 2], 'type', ARGV[at + 3],
    'timestamp', ARGV[at + 4], 'received_ms', ARGV[at + 5], 'body', ARGV[at + 6], unpack(ARGV, at + 8, at + 7 + more))
end

local function take_in(seen, events, at, more)
  local length = lengths[events] or pcall('XLEN', events)
  if type(length) == 'table' then return length end
  lengths[events] = length
  if length >= length_max then
    return call('EXISTS', seen) == 0 and full
  end
  -- With GET it answers nil instead of a table, which would be more to collect.
  local before = pcall('SET', seen, '1', 'NX', 'GET', 'EX', ARGV[at])
  if before then return type(before) == 'table' and before end
  local added = add(events, at, more)
  -- A mark without its entry would turn every later delivery of the event into a duplicate.
  if type(added) == 'table' and added.err then
    call('DEL', seen)
  else
    lengths[events] = length + 1
  end
  return added
end

local answers = {}
local at = 2
for n = 1, #KEYS / 2 do
  local more = tonumber(ARGV[at + 7])
  answers[n] = take_in(KEYS[2 * n - 1], KEYS[2 * n], at, more)
  at = at + 8 + more
end
return answers
