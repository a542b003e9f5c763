-- The spans of a class over some time, and the levels before them, as of one block.
-- KEYS: head, history.  ARGV: class, seconds of a span, start of the first one, start of the last one.
-- Answers: ready, cursor, GPUs let before, GPUs listed before, then {start, row} of each span in which something happened
local head = redis.call('HMGET', KEYS[1], 'ready', 'cursor')
local class, seconds, from, upto = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local let, listed, at = 0, 0, tonumber(redis.call('HGET', KEYS[2], class .. ':first') or from)
local function row_of(size, start)
  return redis.call('HGET', KEYS[2], string.format('%s:%d:%d', class, size, start))
end
-- Whole days, then whole hours, then minutes, as far as each fits.
for _, size in ipairs({86400, 3600, 60}) do
  while at + size <= from do
    local row = row_of(size, at)
    if row then
      local span = cjson.decode(row)
      let, listed = let + span[8], listed + span[9]
    end
    at = at + size
  end
end
local found = {head[1] or '0', head[2] or '', let, listed}
for start = from, upto, seconds do
  local row = row_of(seconds, start)
  if row then
    found[#found + 1], found[#found + 2] = start, row
  end
end
return found
