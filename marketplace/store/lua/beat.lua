-- Note a sign of life, unless a later one is known: what is sent again says nothing new.  The last one known then.
-- KEYS: heartbeats.  ARGV: provider, at.
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known and tonumber(known) >= tonumber(ARGV[2]) then
  return tonumber(known)
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return tonumber(ARGV[2])
