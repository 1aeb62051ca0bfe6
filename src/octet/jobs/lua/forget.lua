-- Forgets jobs that were done or cancelled long ago, and the oldest dead letters and deliveries
-- beyond their bounds; at most 500 of each at a time.
--
-- octet:ended                                       when jobs ended
-- octet:job:<id>, octet:callbacks:<id>, octet:jobs, octet:jobs:*    lose them
-- octet:dead, octet:dead:<id>                       lose letters, with their jobs
-- octet:webhooks, octet:webhooks-made, octet:webhooks:<id>    lose deliveries
-- octet:dropped                                     counts what went beyond the bounds
--
-- ARGV: how long jobs are kept (ms), most letters, most deliveries.
-- Returns how many jobs, letters and deliveries are forgotten.

local until_then = digits(now() - ARGV[1])
local ids = redis.call('ZRANGEBYSCORE', K.ENDED, '-inf', until_then, 'LIMIT', 0, 500)
for _, id in ipairs(ids) do
  forget_job(id)
end

local function oldest_beyond(set, made, most)
  local count = math.min(redis.call('ZCARD', set) - tonumber(most), 500)
  return count > 0 and redis.call('ZRANGE', made, 0, digits(count - 1)) or {}
end

local letters = oldest_beyond(K.DEAD, K.DEAD, ARGV[2])
for _, id in ipairs(letters) do
  discard(id, redis.call('HGET', K.DEAD_LETTER .. id, 'job') or '')
end
local deliveries = oldest_beyond(K.OUTBOX, K.OUTBOX_MADE, ARGV[3])
for _, id in ipairs(deliveries) do
  forget_delivery(id)
end
if #letters + #deliveries > 0 then
  redis.call('HINCRBY', K.DROPPED, 'letters', #letters)
  redis.call('HINCRBY', K.DROPPED, 'deliveries', #deliveries)
end
return {#ids, #letters, #deliveries}
