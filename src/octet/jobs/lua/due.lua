-- Claims the deliveries that are due.
--
-- octet:webhooks          their lease, in place of the time when they were due
-- octet:webhooks:<id>     gets the token
--
-- ARGV: most, lease (ms), token. Returns the deliveries.

local time = now()
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.OUTBOX, '-inf', digits(time), 'LIMIT', 0, ARGV[1]))
do
  redis.call('ZADD', K.OUTBOX, digits(time + ARGV[2]), id)
  redis.call('HSET', K.DELIVERY .. id, 'token', ARGV[3])
  found[#found + 1] = redis.call('HGETALL', K.DELIVERY .. id)
end
return found
