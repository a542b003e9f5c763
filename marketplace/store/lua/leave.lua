-- Give a lead back, if it is still one's own; whether it was.
-- KEYS: the lead.  ARGV: token.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
