-- Append to a log where it ends, and nowhere else; the length that it has then.
-- KEYS: log, serving of the log, hint.  ARGV: serving, offset, chunk, seconds to keep it.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  redis.call('UNLINK', KEYS[1])
end
local length = redis.call('STRLEN', KEYS[1])
if length == tonumber(ARGV[2]) and #ARGV[3] > 0 then
  length = redis.call('APPEND', KEYS[1], ARGV[3])
  redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[4])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
  redis.call('XADD', KEYS[3], 'MAXLEN', '1', '*', 'length', length)
  redis.call('EXPIRE', KEYS[3], ARGV[4])
end
return length
