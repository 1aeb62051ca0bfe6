-- A delivery is over.
--
-- octet:webhooks, octet:webhooks:<id>    lose it
--
-- ARGV: id, token. Returns 1, or 0 when the token does not hold it.

if redis.call('HGET', K.DELIVERY .. ARGV[1], 'token') ~= ARGV[2] then
  return 0
end
redis.call('DEL', K.DELIVERY .. ARGV[1])
redis.call('ZREM', K.OUTBOX, ARGV[1])
return 1
