#!lua
-- Takes events in, each once per webhook-id. Without allow-oom: a full Redis refuses all before anything is done.
-- The names that every entry has stand here, and what a run of events has in common is sent once: each word costs Redis.
-- KEYS: of each run: events; of each event: seen
-- ARGV: stream_length_max, how many runs; of each run: how many events; of each run: seen_secs, project, type, how many
-- words of an event follow its body; of each event: id, timestamp, received_ms, body, field, value, ...
-- Returns of each event: the entry id, nil for a duplicate, or an error, such as QUEUEFULL. None touches another.
local call, pcall, type, KEYS, ARGV = redis.call, redis.pcall, type, KEYS, ARGV
local full = redis.error_reply('QUEUEFULL the stream is at its limit')
local length_max, runs = tonumber(ARGV[1]), tonumber(ARGV[2])
local lengths = {}

-- Version 1 of the entry format. `at` is where the event's words begin.
local function add(events, project, kind, at, more)
  return pcall('XADD', events, '*', 'v', '1', 'id', ARGV[at], 'project', project, 'type', kind, 'timestamp', ARGV[at + 1],
    'received_ms', ARGV[at + 2], 'body', ARGV[at + 3], unpack(ARGV, at + 4, at + 3 + more))
end

local function take_in(seen, seen_secs, events, project, kind, at, more)
  local length = lengths[events] or pcall('XLEN', events)
  if type(length) == 'table' then return length end
  lengths[events] = length
  if length >= length_max then
    return call('EXISTS', seen) == 0 and full
  end
  -- With GET it answers nil instead of a table, which would be more to collect.
  local before = pcall('SET', seen, '1', 'NX', 'GET', 'EX', seen_secs)
  if before then return type(before) == 'table' and before end
  local added = add(events, project, kind, at, more)
  -- A mark without its entry would turn every later delivery of the event into a duplicate.
  if type(added) == 'table' then
    call('DEL', seen)
  else
    lengths[events] = length + 1
  end
  return added
end

local answers, n = {}, 0
local at = 3 + 5 * runs
for run = 1, runs do
  local common = 4 * run + runs - 2
  local events, seen_secs, project, kind = KEYS[run], ARGV[common + 1], ARGV[common + 2], ARGV[common + 3]
  local more = tonumber(ARGV[common + 4])
  for _ = 1, tonumber(ARGV[2 + run]) do
    n = n + 1
    answers[n] = take_in(KEYS[runs + n], seen_secs, events, project, kind, at, more)
    at = at + 4 + more
  end
end
return answers
