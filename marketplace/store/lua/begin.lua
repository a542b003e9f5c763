-- Clear the projection and begin another, if nobody else has written since we looked.
-- KEYS: head, chain events, then every other key of the projection.  ARGV: fence seen ('' for none), new fence, market.
if (redis.call('HGET', KEYS[1], 'fence') or '') ~= ARGV[1] then
  return 0
end
redis.call('UNLINK', unpack(KEYS))
redis.call('HSET', KEYS[1], 'fence', ARGV[2], 'market', ARGV[3], 'changed', '0', 'ready', '0')
return 1
