-- What has changed in the projection since a reader looked, all of it as of one moment.
-- KEYS: head, touched, heartbeats, then every hash that this reader's views are made of.  ARGV: the reader's fence ('' for none).
-- Answers: head {field, value …} · heartbeats {provider, at …} · {key, field, value or nil …}, or nil where that cannot be told
local touched, seen = KEYS[2], ARGV[1]
local head, beats = redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[3])
local fence = redis.call('HGET', KEYS[1], 'fence')
if not fence or fence == seen then
  return {head, beats, {}}
end
local at = redis.call('LPOS', touched, seen, 'RANK', -1)
if not at or redis.call('LINDEX', touched, -1) ~= fence then
  return {head, beats, false}
end
local viewed, told, changes = {}, {}, {}
for n = 4, #KEYS do
  viewed[KEYS[n]] = true
end
for _, row in ipairs(redis.call('LRANGE', touched, at + 1, -1)) do
  local key, field = row:match('^(%S+) (.+)$')  -- fences have no space
  if key and viewed[key] and not told[row] then
    told[row] = true
    local n = #changes
    changes[n + 1], changes[n + 2], changes[n + 3] = key, field, redis.call('HGET', key, field)
  end
end
return {head, beats, changes}
