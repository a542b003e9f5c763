-- One step of the projection, whole or not at all, if nobody else has written since we looked.
-- KEYS: head, chain events, book, book expiry, refused, refused at, touched, undo.  ARGV: fence seen, the step as JSON.
-- step: head {field = value} · put {{key, field, value}} · drop {{key, field}} · rank {{key, member, score}}
--       · expired_before, refused_before (scores) · events {{id, text}}, events_kept · viewed {key}, touched_kept
--       · undo_from (block number: what was before steps from there on is kept; -1 where this step need not be taken back)
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then
  return 0
end
local step = cjson.decode(ARGV[2])
local _, events, book, book_expiry, refused, refused_at, touched, undo = unpack(KEYS)

-- What was before this step, for the day that its blocks leave the chain: rows as {key, field, value or false}, ranks alike.
local was, rows, ranks = redis.call('HMGET', KEYS[1], 'cursor', 'changed'), {}, {}
local keeps = step.undo_from >= 0 and was[1]
local function remember(key, field)
  if keeps then
    rows[#rows + 1] = {key, field, redis.call('HGET', key, field)}
  end
end
local function remember_rank(key, member)
  if keeps then
    ranks[#ranks + 1] = {key, member, redis.call('ZSCORE', key, member)}
  end
end

-- What this step changes of the rows that views are made of.
local is_viewed, news = {}, {}
for _, key in ipairs(step.viewed) do
  is_viewed[key] = true
end
local function note(key, field)
  if is_viewed[key] then
    news[#news + 1] = key .. ' ' .. field
  end
end
local function drop(key, field)
  remember(key, field)
  if redis.call('HDEL', key, field) == 1 then
    note(key, field)
  else
    -- Written down all the same. An append-only file that ends within a step, after a power cut, is taken up by Redis as if that
    -- part belonged to the next step: a row that only the lost step had must not come back with it.
    redis.call('HSET', key, field, '')
    redis.call('HDEL', key, field)
  end
end

for _, row in ipairs(step.put) do
  remember(row[1], row[2])
  redis.call('HSET', row[1], row[2], row[3])
  note(row[1], row[2])
end
for _, row in ipairs(step.drop) do
  drop(row[1], row[2])
  if row[1] == book then
    remember_rank(book_expiry, row[2])
    redis.call('ZREM', book_expiry, row[2])
  end
end
for _, row in ipairs(step.rank) do
  remember_rank(row[1], row[2])
  redis.call('ZADD', row[1], row[3], row[2])
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', book_expiry, '-inf', '(' .. step.expired_before)) do
  remember_rank(book_expiry, id)
  drop(book, id)
end
redis.call('ZREMRANGEBYSCORE', book_expiry, '-inf', '(' .. step.expired_before)
for _, pair in ipairs(redis.call('ZRANGEBYSCORE', refused_at, '-inf', '(' .. step.refused_before)) do
  remember_rank(refused_at, pair)
  drop(refused, pair)
end
redis.call('ZREMRANGEBYSCORE', refused_at, '-inf', '(' .. step.refused_before)
for field, value in pairs(step.head) do
  redis.call('HSET', KEYS[1], field, value)
end

-- Each entry: the number of the block that the projection was of, and how to return to it.
if keeps then
  local before = {cursor = was[1], changed = was[2], rows = rows, ranks = ranks}
  redis.call('RPUSH', undo, cjson.decode(was[1]).number .. ' ' .. cjson.encode(before))
  while tonumber(redis.call('LINDEX', undo, 0):match('^%d+')) < step.undo_from do
    redis.call('LPOP', undo)
    if redis.call('LLEN', undo) == 0 then
      break
    end
  end
else
  redis.call('UNLINK', undo)
end

-- Between two fences in the list of touched rows stands all that changed from one to the other. A list that does not end at the
-- fence we began from has missed a step, and one step that fills it alone is as well read whole: it begins anew then.
if redis.call('LINDEX', touched, -1) ~= ARGV[1] or #news >= step.touched_kept then
  redis.call('UNLINK', touched)
else
  for first = 1, #news, 1000 do
    redis.call('RPUSH', touched, unpack(news, first, math.min(first + 999, #news)))
  end
end
redis.call('RPUSH', touched, step.head.fence)
redis.call('LTRIM', touched, -step.touched_kept, -1)

-- The stream is a courtesy: ids only grow, so that after a rebuild readers are not told twice; refusals of old ids are fine.
for _, event in ipairs(step.events) do
  redis.pcall('XADD', events, 'MAXLEN', '~', step.events_kept, event[1], 'event', event[2])
end
return 1
