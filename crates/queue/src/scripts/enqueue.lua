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
local length_max, alone = tonumber(ARGV[1]), #KEYS == 2
local runs, at, answers, lengths = 1, 6

if not alone then
  runs = tonumber(ARGV[2])
  at, answers, lengths = 3 + 5 * runs, {}, {}
end

local n = 0
for run = 1, runs do
  -- Where the words of the run begin; `at` is where those of the event do.
  local common = alone and 2 or 4 * run + runs - 1
  local events, seen_secs, project, kind = KEYS[run], ARGV[common], ARGV[common + 1], ARGV[common + 2]
  local more = tonumber(ARGV[common + 3])
  local length = lengths and lengths[events] or pcall('XLEN', events)
  for _ = 1, alone and 1 or tonumber(ARGV[2 + run]) do
    n = n + 1
    local seen, answer = KEYS[runs + n]
    if type(length) == 'table' then
      answer = length
    elseif length >= length_max then
      answer = call('EXISTS', seen) == 0 and redis.error_reply('QUEUEFULL the stream is at its limit')
    else
      -- With GET it answers nil instead of a table, which would be more to collect.
      local before = pcall('SET', seen, '1', 'NX', 'GET', 'EX', seen_secs)
      if before then
        answer = type(before) == 'table' and before
      else
        -- Version 1 of the entry format.
        answer = pcall('XADD', events, '*', 'v', '1', 'id', ARGV[at], 'project', project, 'type', kind, 'timestamp',
          ARGV[at + 1], 'received_ms', ARGV[at + 2], 'body', ARGV[at + 3], unpack(ARGV, at + 4, at + 3 + more))
        -- A mark without its entry would turn every later delivery of the event into a duplicate.
        if type(answer) == 'table' then call('DEL', seen) else length = length + 1 end
      end
    end
    if alone then return answer end
    answers[n] = answer
    at = at + 4 + more
  end
  lengths[events] = length
end
return answers
