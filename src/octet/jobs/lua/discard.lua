-- Forgets a dead letter, and its job.
--
-- octet:dead, octet:dead:<id>    lose it
-- octet:job:<id>, octet:callbacks:<id>, octet:jobs, octet:jobs:*    lose the job
--
-- octet:dead-past:<id>    that it was discarded, for whoever asks again after a lost reply
--
-- ARGV: id of the letter, how long that is remembered (ms). Returns 1, or 0 when there is none.

local job = redis.call('HGET', K.DEAD_LETTER .. ARGV[1], 'job')
if not job then
  return redis.call('GET', K.DEAD_PAST .. ARGV[1]) == 'discarded' and 1 or 0
end
discard(ARGV[1], job)
redis.call('SET', K.DEAD_PAST .. ARGV[1], 'discarded', 'PX', ARGV[2])
return 1
