-- A delivery was tried and failed: it is due again later.
--
-- octet:webhooks          the new time
-- octet:webhooks:<id>     one more attempt, no token
--
-- ARGV: id, token, delay (ms). Returns 1, or 0 when the token does not hold it.

local key = K.DELIVERY .. ARGV[1]
if redis.call('HGET', key, 'token') ~= ARGV[2] then
  return 0
end
redis.call('HINCRBY', key, 'attempts', 1)
redis.call('HSET', key, 'token', '')
redis.call('ZADD', K.OUTBOX, digits(now() + ARGV[3]), ARGV[1])
return 1
