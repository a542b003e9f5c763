-- One step of the projection, whole or not at all, if nobody else has written since we looked.
-- KEYS: head, chain events, book, book expiry, refused, refused at, touched.  ARGV: fence seen, the step as JSON.
-- step: head {field = value} · put {{key, field, value}} · drop {{key, field}} · rank {{key, member, score}}
--       · expired_before, refused_before (scores) · events {{id, text}}, events_kept · viewed {key}, touched_kept
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then
  return 0
end
local step = cjson.decode(ARGV[2])
local _, events, book, book_expiry, refused, refused_at, touched = unpack(KEYS)

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
  if redis.call('HDEL', key, field) == 1 then
    note(key, field)
  end
end

for _, row in ipairs(step.put) do
  redis.call('HSET', row[1], row[2], row[3])
  note(row[1], row[2])
end
for _, row in ipairs(step.drop) do
  drop(row[1], row[2])
  if row[1] == book then
    redis.call('ZREM', book_expiry, row[2])
  end
end
for _, row in ipairs(step.rank) do
  redis.call('ZADD', row[1], row[3], row[2])
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', book_expiry, '-inf', '(' .. step.expired_before)) do
  drop(book, id)
end
redis.call('ZREMRANGEBYSCORE', book_expiry, '-inf', '(' .. step.expired_before)
for _, pair in ipairs(redis.call('ZRANGEBYSCORE', refused_at, '-inf', '(' .. step.refused_before)) do
  drop(refused, pair)
end
redis.call('ZREMRANGEBYSCORE', refused_at, '-inf', '(' .. step.refused_before)
for field, value in pairs(step.head) do
  redis.call('HSET', KEYS[1], field, value)
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
