-- One step of the projection, whole or not at all, if nobody else has written since we looked.
-- KEYS: head, chain events, book, book expiry, refused, refused at.  ARGV: fence seen, the step as JSON.
-- step: head {field = value} · put {{key, field, value}} · drop {{key, field}} · rank {{key, member, score}}
--       · expired_before, refused_before (scores) · events {{id, text}}, events_kept
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then
  return 0
end
local step = cjson.decode(ARGV[2])
local _, events, book, book_expiry, refused, refused_at = unpack(KEYS)

for _, row in ipairs(step.put) do
  redis.call('HSET', row[1], row[2], row[3])
end
for _, row in ipairs(step.drop) do
  redis.call('HDEL', row[1], row[2])
  if row[1] == book then
    redis.call('ZREM', book_expiry, row[2])
  end
end
for _, row in ipairs(step.rank) do
  redis.call('ZADD', row[1], row[3], row[2])
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', book_expiry, '-inf', '(' .. step.expired_before)) do
  redis.call('HDEL', book, id)
end
redis.call('ZREMRANGEBYSCORE', book_expiry, '-inf', '(' .. step.expired_before)
for _, pair in ipairs(redis.call('ZRANGEBYSCORE', refused_at, '-inf', '(' .. step.refused_before)) do
  redis.call('HDEL', refused, pair)
end
redis.call('ZREMRANGEBYSCORE', refused_at, '-inf', '(' .. step.refused_before)
for field, value in pairs(step.head) do
  redis.call('HSET', KEYS[1], field, value)
end
-- The stream is a courtesy: ids only grow, so that after a rebuild readers are not told twice; refusals of old ids are fine.
for _, event in ipairs(step.events) do
  redis.pcall('XADD', events, 'MAXLEN', '~', step.events_kept, event[1], 'event', event[2])
end
return 1
