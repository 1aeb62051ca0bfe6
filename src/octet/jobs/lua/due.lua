-- Claims the deliveries that are due.
--
-- octet:webhooks          their lease, in place of the time when they were due
-- octet:webhooks:<id>     gets the token
--
-- ARGV: most, lease (ms), token. Returns the deliveries.

local time = now()
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.outbox, '-inf', digits(time), 'LIMIT', 0, ARGV[1]))
do
  redis.call('ZADD', K.outbox, digits(time + ARGV[2]), id)
  redis.call('HSET', K.delivery .. id, 'token', ARGV[3])
  found[#found + 1] = redis.call('HGETALL', K.delivery .. id)
end
return found
