-- Finds recorded jobs that nothing leads to any more: the server has evicted a list, somebody has
-- deleted one, or a consumer of others has popped a message.
--
-- octet:recovered                when somebody did this last (ms)
-- octet:jobs:waiting, octet:job:<id>    the oldest 1000 are looked at
-- toWorker, octet:queue:*        get the messages that are gone, behind the others
-- octet:jobs:running, octet:inflight    gets the running jobs that it lacks, for reap.lua
-- octet:dead*, octet:callbacks:<id>, octet:webhooks*, octet:jobs, octet:jobs:*
--                                when a job is given up here, or has no record
--
-- ARGV: how often the message of a job may be lost, ms between two runs.
-- Returns {jobs put on the queue again, jobs given up}.

if not is_due(K.RECOVERED, now(), tonumber(ARGV[2])) then
  return {0, 0}
end
local again, ended = 0, 0
for _, id in ipairs(redis.call('ZRANGE', K.JOBS_IN_STATE .. 'waiting', 0, 999)) do
  if field(id, 'state') ~= 'waiting' then
    redis.call('ZREM', K.JOBS_IN_STATE .. 'waiting', id)
  elseif requeue_lost(id) then
    if redis.call('HINCRBY', K.JOB .. id, 'lost', 1) > tonumber(ARGV[1]) then
      unqueue(id, field(id, 'message'))
      bury(id, 'lost', 'its message vanished from the queue again and again: something else takes'
        .. ' messages from there, or the server evicts them')
      ended = ended + 1
    else
      again = again + 1
    end
  end
end
for _, id in ipairs(redis.call('ZRANGE', K.JOBS_IN_STATE .. 'running', 0, -1)) do
  if not redis.call('LPOS', K.INFLIGHT, id) then
    redis.call('LPUSH', K.INFLIGHT, id)
  end
end
return {again, ended}
