-- Make the projection again what it was at an earlier block, whole or not at all, if nobody else has written since we looked.
-- KEYS: head, chain events, touched, undo, then every other key of the projection.
-- ARGV: fence seen, new fence, the block's number, the block as it was written, viewed keys as JSON, how many touched rows are kept.
-- Answers: 1 · 0 where somebody else wrote · -1 where nothing is kept that leads there
local head, events, touched, undo = unpack(KEYS)
if redis.call('HGET', head, 'fence') ~= ARGV[1] then
  return 0
end

-- How many of the newest steps have to go: down to the newest that began at that block.
local many = 0
for back = 1, redis.call('LLEN', undo) do
  local entry = redis.call('LINDEX', undo, -back)
  if entry:match('^%d+') == ARGV[3] and cjson.decode(entry:match(' (.+)$')).cursor == ARGV[4] then
    many = back
    break
  end
end
if many == 0 then
  return -1
end

local is_viewed, news = {}, {}
for _, key in ipairs(cjson.decode(ARGV[5])) do
  is_viewed[key] = true
end
local changed
for _ = 1, many do
  local before = cjson.decode(redis.call('RPOP', undo):match(' (.+)$'))
  changed = before.changed
  for at = #before.rows, 1, -1 do
    local key, field, value = unpack(before.rows[at])
    if value then
      redis.call('HSET', key, field, value)
    else
      redis.call('HDEL', key, field)
    end
    if is_viewed[key] then
      news[#news + 1] = key .. ' ' .. field
    end
  end
  for at = #before.ranks, 1, -1 do
    local key, member, score = unpack(before.ranks[at])
    if score then
      redis.call('ZADD', key, score, member)
    else
      redis.call('ZREM', key, member)
    end
  end
end
redis.call('HSET', head, 'cursor', ARGV[4], 'changed', changed, 'fence', ARGV[2])

if redis.call('LINDEX', touched, -1) ~= ARGV[1] or #news >= tonumber(ARGV[6]) then
  redis.call('UNLINK', touched)
else
  for first = 1, #news, 1000 do
    redis.call('RPUSH', touched, unpack(news, first, math.min(first + 999, #news)))
  end
end
redis.call('RPUSH', touched, ARGV[2])
redis.call('LTRIM', touched, -ARGV[6], -1)

-- What never happened is not told to readers who come later; ids may be given again.
local gone = redis.call('XRANGE', events, '(' .. ARGV[3] .. '-18446744073709551615', '+')
for _, entry in ipairs(gone) do
  redis.call('XDEL', events, entry[1])
end
if #gone > 0 then
  local last = redis.call('XREVRANGE', events, '+', '-', 'COUNT', 1)
  redis.call('XSETID', events, last[1] and last[1][1] or '0-1')
end
return 1
