-- Forgets a dead letter, and its job.
--
-- octet:dead, octet:dead:<id>    lose it
-- octet:job:<id>, octet:callbacks:<id>, octet:jobs, octet:jobs:*    lose the job
--
-- ARGV: id of the letter. Returns 1, or 0 when there is none.

local job = redis.call('HGET', K.DEAD_LETTER .. ARGV[1], 'job')
if not job then
  return 0
end
forget_letter(ARGV[1])
if job ~= '' then
  forget_job(job)
end
return 1
