#!lua flags=no-writes
-- Counts one family at one moment. Undelivered entries are counted page by page and not derived, so that the sum shows
-- when entries were lost between the sets. Beyond count_max entries or bytes_max bytes, where reading them all would
-- block Redis, the rest is derived.
-- KEYS: events, delayed, dead   ARGV: group, count_max, bytes_max
-- Returns {undelivered, pending, delayed, dead, age of the oldest entry in ms or -1, now in unix ms, time the oldest
-- undelivered entry was added in unix ms or -1, its project, due time of the first entry that is due or -1, its project}.
local PAGE = 5
local pending, delayed, last = 0, 0, '0-0'
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err then groups = {} end -- no such stream
for _, flat in ipairs(groups) do
  local group = {}
  for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
  if group.name == ARGV[1] then
    pending, last = group.pending, group['last-delivered-id']
    -- Without its group the delayed set does not count: recreating the group deletes it.
    delayed = redis.call('ZCARD', KEYS[2])
  end
end

local function came(entry) return tonumber(string.match(entry[1], '^%d+')) end

local function project(entry)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'project' then return entry[2][i + 1] end
  end
  return false
end

local undelivered, bytes, more, waits_since, waits_project = 0, 0, true, -1, false
while more and undelivered < tonumber(ARGV[2]) and bytes < tonumber(ARGV[3]) do
  local page = redis.call('XRANGE', KEYS[1], '(' .. last, '+', 'COUNT', PAGE)
  if undelivered == 0 and page[1] then
    waits_since, waits_project = came(page[1]), project(page[1])
  end
  for _, entry in ipairs(page) do
    last = entry[1]
    for _, text in ipairs(entry[2]) do bytes = bytes + #text end
  end
  undelivered = undelivered + #page
  more = #page == PAGE
end
if more then
  undelivered = math.max(undelivered, redis.call('XLEN', KEYS[1]) - pending - delayed)
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local oldest = -1
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if first then oldest = math.max(0, now - came(first)) end

local due, due_project = -1, false
if delayed > 0 then
  local next = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1)
  local entry = next[1] and redis.call('XRANGE', KEYS[1], next[1], next[1])[1]
  if entry then due, due_project = math.floor(tonumber(next[2])), project(entry) end
end
return {undelivered, pending, delayed, redis.call('XLEN', KEYS[3]), oldest, now, waits_since, waits_project, due,
  due_project}
