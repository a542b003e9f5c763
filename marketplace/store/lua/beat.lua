-- Note a sign of life, unless a later one is known: what is sent again says nothing new.  The last one known then.
-- KEYS: heartbeats, their stream.  ARGV: provider, at, what it signed ("signed_at signature", or nothing), how many the stream keeps.
local known = redis.call('HGET', KEYS[1], ARGV[1])
local last = known and tonumber(string.match(known, '^%d+'))
if last and last >= tonumber(ARGV[2]) then
  return last
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
local told = '{"provider":"' .. ARGV[1] .. '","at":' .. ARGV[2] .. '}'
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'name', 'heartbeat', 'event', told)
return tonumber(ARGV[2])
