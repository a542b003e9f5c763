-- Leases that somebody has, or had, the newest openings first, as of one block.
-- KEYS: head, annals, leases.  ARGV: what their lines begin with, the place of the last one seen ('' for none), a word that their rows
-- have ('' for any), how many, how many lines may be looked at.
-- Answers: ready, cursor, the place from which the list goes on ('' at its end), then the rows.
local head = redis.call('HMGET', KEYS[1], 'ready', 'cursor')
local start, seen, word, most, looks = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local found = {head[1] or '0', head[2] or '', ''}
local top = seen == '' and '(' .. start .. '\127' or '(' .. start .. seen
local last = seen
while looks > 0 and #found < most + 3 do
  local lines = redis.call('ZREVRANGEBYLEX', KEYS[2], top, '[' .. start, 'LIMIT', 0, math.min(looks, 100))
  if #lines == 0 then
    return found
  end
  for _, line in ipairs(lines) do
    if #found == most + 3 then
      found[3] = last
      return found
    end
    looks = looks - 1
    last = line:sub(#start + 1, #start + 79)  -- the block's twelve digits, a dash, the lease
    local row = redis.call('HGET', KEYS[3], last:sub(14))
    -- A lease that was declined and opened again is found where it is now.
    if row and row:find('"openedInBlock":' .. tonumber(last:sub(1, 12)) .. ',', 1, true) and (word == '' or row:find(word, 1, true)) then
      found[#found + 1] = row
    end
  end
  top = '(' .. lines[#lines]
end
found[3] = last
return found
