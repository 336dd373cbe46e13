#!lua flags=allow-oom
-- Finds entries that were delivered but are neither pending nor delayed; a manual XACK or XGROUP DELCONSUMER strands
-- them. They become due now; neither an attempt nor a crash.
-- Redis cannot return ids without bodies, and is blocked while a script copies them. So entries are only read when the
-- counts do not match, and each step reads a limited number of bytes.
-- KEYS: events, delayed         ARGV: group, from id, count, bytes_max
-- Returns {id to continue after or '', number of stranded entries}, or the error NOGROUP without stream or group.
local last, pending
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err then groups = {} end -- no such stream
for _, flat in ipairs(groups) do
  local group = {}
  for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
  if group.name == ARGV[1] then last, pending = group['last-delivered-id'], group.pending end
end
if not last then return redis.error_reply('NOGROUP the group is missing') end
local all_delivered = not redis.call('XRANGE', KEYS[1], '(' .. last, '+', 'COUNT', 1)[1]
if all_delivered and redis.call('XLEN', KEYS[1]) == pending + redis.call('ZCARD', KEYS[2]) then return {'', 0} end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local from, stranded, bytes = ARGV[2], 0, 0
for _ = 1, tonumber(ARGV[3]) do
  local entry = redis.call('XRANGE', KEYS[1], from, last, 'COUNT', 1)[1]
  if not entry then return {'', stranded} end
  local id = entry[1]
  if not redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1] and not redis.call('ZSCORE', KEYS[2], id) then
    redis.call('ZADD', KEYS[2], now, id)
    stranded = stranded + 1
  end
  for _, text in ipairs(entry[2]) do bytes = bytes + #text end
  from = '(' .. id
  if bytes > tonumber(ARGV[4]) then break end
end
return {from, stranded}
