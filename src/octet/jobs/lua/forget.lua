-- Forgets jobs that were done or cancelled long ago, at most 500 at a time.
--
-- octet:ended                                       when they ended
-- octet:job:<id>, octet:callbacks:<id>, octet:jobs, octet:jobs:*    lose them
--
-- ARGV: how long to keep (ms). Returns how many.

local until_then = digits(now() - ARGV[1])
local ids = redis.call('ZRANGEBYSCORE', K.ENDED, '-inf', until_then, 'LIMIT', 0, 500)
for _, id in ipairs(ids) do
  forget_job(id)
end
return #ids
