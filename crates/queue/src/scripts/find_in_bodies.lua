#!lua flags=no-writes
-- Looks for texts in the bodies of entries. Redis is blocked meanwhile, so a step reads a limited number of bytes.
-- KEYS: events                  ARGV: from id, bytes_max, text, ...
-- Returns {id to continue after or '', {the number of each text that was found}}.
local PAGE = 5
local from, bytes, found, is_found = ARGV[1], 0, {}, {}
while bytes < tonumber(ARGV[2]) do
  local page = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', PAGE)
  for _, entry in ipairs(page) do
    from = '(' .. entry[1]
    for i = 1, #entry[2], 2 do
      local value = entry[2][i + 1]
      bytes = bytes + #value
      for number = 1, entry[2][i] == 'body' and #ARGV - 2 or 0 do
        if not is_found[number] and string.find(value, ARGV[number + 2], 1, true) then
          is_found[number] = true
          found[#found + 1] = number
        end
      end
    end
  end
  if #page < PAGE then return {'', found} end
end
return {from, found}
