-- Take a lead that nobody has, or keep one's own, for so long. 2: taken, 1: kept, 0: it is another's.
-- KEYS: the lead.  ARGV: token, milliseconds.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return holder and 1 or 2
