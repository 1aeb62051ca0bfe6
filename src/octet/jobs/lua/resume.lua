-- Puts everything back at once, whoever had it: no worker is alive.
--
-- octet:workers              forgotten, all of them
-- octet:worker:<id>:jobs     what lies there goes back to toWorker
-- octet:inflight             loses all jobs
-- octet:job:<id>, octet:jobs:*    those wait again, or are cancelled if that was asked for
-- toWorker, octet:queue:*    get their messages, before the others
-- octet:callbacks:<id>, octet:webhooks*, octet:ended    of the cancelled ones
--
-- ARGV: most interruptions that do not count, then the workers who have a list.
-- Returns {messages put back, jobs put back or ended}.

local most = tonumber(ARGV[1])
local messages, jobs = 0, 0
for index = 2, #ARGV do
  messages = messages + return_inbox(ARGV[index])
end
redis.call('DEL', K.WORKERS, K.WORKERS_ABOUT)
for _, id in ipairs(redis.call('LRANGE', K.INFLIGHT, 0, -1)) do
  if not field(id, 'lease') then
    redis.call('LREM', K.INFLIGHT, 0, id)
  else
    if redis.call('HINCRBY', K.JOB .. id, 'interruptions', 1) <= most then
      uncount(id)
    end
    reclaim(id)
    jobs = jobs + 1
  end
end
return {messages, jobs}
