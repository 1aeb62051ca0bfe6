-- A delivery is over.
--
-- octet:webhooks, octet:webhooks:<id>    lose it
--
-- ARGV: id, token. Returns 1, or 0 when the token does not hold it.

if redis.call('HGET', K.DELIVERY .. ARGV[1], 'token') ~= ARGV[2] then
  return 0
end
forget_delivery(ARGV[1])
return 1
