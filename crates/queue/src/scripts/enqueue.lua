#!lua
-- Takes events in, each once per webhook-id. Without allow-oom: a full Redis refuses all before anything is done.
-- The names that every entry has stand here, and what a run of events has in common is sent once: each word costs Redis.
-- KEYS: of each run: events; of each event: seen
-- ARGV: stream_length_max; how many runs; of each run: how many events; of each run: seen_secs, project, type, how many
-- words of an event follow its body; of each event: id, timestamp, received_ms, body, field, value, ...
-- Returns of each event: the entry id, nil for a duplicate, or an error, such as QUEUEFULL. None touches another.
-- One event alone comes without numbers of runs and events, and its answer goes by itself: in quiet hours each finds
-- Redis' caches cold, and shall meet little.
local call, pcall, type, KEYS, ARGV = redis.call, redis.pcall, type, KEYS, ARGV
local length_max = tonumber(ARGV[1])

-- `length` is the stream's, or the error instead of it; `at` is where the event's words begin.
local function take_in(length, seen, seen_secs, events, project, kind, at, more)
  if type(length) == 'table' then return length end
  if length >= length_max then
    return call('EXISTS', seen) == 0 and redis.error_reply('QUEUEFULL the stream is at its limit')
  end
  -- With GET it answers nil instead of a table, which would be more to collect.
  local before = pcall('SET', seen, '1', 'NX', 'GET', 'EX', seen_secs)
  if before then return type(before) == 'table' and before end
  -- Version 1 of the entry format.
  local added = pcall('XADD', events, '*', 'v', '1', 'id', ARGV[at], 'project', project, 'type', kind,
    'timestamp', ARGV[at + 1], 'received_ms', ARGV[at + 2], 'body', ARGV[at + 3], unpack(ARGV, at + 4, at + 3 + more))
  -- A mark without its entry would turn every later delivery of the event into a duplicate.
  if type(added) == 'table' then call('DEL', seen) end
  return added
end

if #KEYS == 2 then
  -- With every 50th call Redis has Lua collect, before it answers: at Lua's own pace (200) a whole round, three times what
  -- an event takes. The rest is then collected as we go; Lua's memory grows from 60 to 130 KB (docs/benchmarks.md).
  local collect = rawget(_G, 'collectgarbage')
  if collect then collect('setstepmul', 50) end
  return take_in(pcall('XLEN', KEYS[1]), KEYS[2], ARGV[2], KEYS[1], ARGV[3], ARGV[4], 6, tonumber(ARGV[5]))
end

local runs, lengths = tonumber(ARGV[2]), {}
local answers, n = {}, 0
local at = 3 + 5 * runs
for run = 1, runs do
  local common = 4 * run + runs - 2
  local events, seen_secs, project, kind = KEYS[run], ARGV[common + 1], ARGV[common + 2], ARGV[common + 3]
  local more = tonumber(ARGV[common + 4])
  local length = lengths[events] or pcall('XLEN', events)
  for _ = 1, tonumber(ARGV[2 + run]) do
    n = n + 1
    local answer = take_in(length, KEYS[runs + n], seen_secs, events, project, kind, at, more)
    answers[n] = answer
    if type(answer) == 'string' then length = length + 1 end
    at = at + 4 + more
  end
  lengths[events] = length
end
return answers
