#!lua flags=allow-oom
-- Moves an entry to the dead letters: its original fields, followed by fields that begin with an underscore. Announces it.
-- KEYS: events, delayed, attempts, dead, changes
-- ARGV: group, consumer, id, reason, error, kind, announced id, changes_max, [ms when OpenAI deletes the file]
-- A script can write about 4,000 fields at once. Of a larger entry, the fields of version 1 and FIELDS_MAX others are
-- kept; `_dropped_fields` is the number of the rest.
-- Returns 0 when the lease is lost.
local FIELDS_MAX = 1000
local id = ARGV[3]
if not redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2])[1] then return 0 end
local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
if entry then
  local history = redis.call('HMGET', KEYS[3], id, id .. '#crashes', id .. '#first_error')
  local time = redis.call('TIME')
  local known = {v = true, id = true, project = true, type = true, timestamp = true, received_ms = true, body = true,
    traceparent = true, replay_of = true}
  local letter, others, dropped = {}, 0, 0
  for i = 1, #entry[2], 2 do
    local name, value = entry[2][i], entry[2][i + 1]
    if not known[name] then others = others + 1 end
    if known[name] or others <= FIELDS_MAX then
      letter[#letter + 1] = name
      letter[#letter + 1] = value
    else
      dropped = dropped + 1
    end
    known[name] = nil -- only the first value counts
  end
  for _, added in ipairs({
    '_entry_id', id,
    '_reason', ARGV[4],
    '_attempts', tostring((tonumber(history[1]) or 0) + 1),
    '_crashes', history[2] or '0',
    '_first_error', history[3] or ARGV[5],
    '_last_error', ARGV[5],
    '_died_ms', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)),
  }) do letter[#letter + 1] = added end
  if dropped > 0 then
    letter[#letter + 1] = '_dropped_fields'
    letter[#letter + 1] = tostring(dropped)
  end
  if ARGV[9] then
    letter[#letter + 1] = '_file_expires_ms'
    letter[#letter + 1] = ARGV[9]
  end
  redis.call('XADD', KEYS[4], '*', unpack(letter))
  -- pcall: the letter is written, even if the key was overwritten manually.
  redis.pcall('XADD', KEYS[5], 'MAXLEN', '~', ARGV[8], '*', 'kind', ARGV[6], 'id', ARGV[7], 'state', 'dead')
end
redis.call('XACK', KEYS[1], ARGV[1], id)
redis.call('XDEL', KEYS[1], id)
redis.call('ZREM', KEYS[2], id)
redis.call('HDEL', KEYS[3], id, id .. '#crashes', id .. '#alone', id .. '#first_error', id .. '#last_error')
return 1
