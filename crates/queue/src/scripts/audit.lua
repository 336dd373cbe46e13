#!lua flags=allow-oom
-- Finds entries that were delivered but are neither pending nor delayed: an XACK or XGROUP DELCONSUMER by hand strands
-- them for ever. They are due now, neither an attempt nor a crash.
-- KEYS: events, delayed         ARGV: group, from id, count
-- Returns {id to go on after or '', how many were stranded}; the error NOGROUP without stream or group.
local last
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err then groups = {} end -- no such stream
for _, flat in ipairs(groups) do
  local group = {}
  for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
  if group.name == ARGV[1] then last = group['last-delivered-id'] end
end
if not last then return redis.error_reply('NOGROUP the group is missing') end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local page = redis.call('XRANGE', KEYS[1], ARGV[2], last, 'COUNT', ARGV[3])
local stranded = 0
for _, entry in ipairs(page) do
  local id = entry[1]
  if not redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1] and not redis.call('ZSCORE', KEYS[2], id) then
    redis.call('ZADD', KEYS[2], now, id)
    stranded = stranded + 1
  end
end
local go_on = ''
if #page == tonumber(ARGV[3]) then go_on = '(' .. page[#page][1] end
return {go_on, stranded}
