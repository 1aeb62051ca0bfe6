-- A claimed job is done: its files are published.
--
-- octet:job:<id>, octet:jobs:*, octet:ended    the end is recorded
-- octet:inflight                               loses the job
-- octet:callbacks:<id>, octet:webhooks*        its callbacks become deliveries
--
-- ARGV: id, token, outcome, error's code or '', error's message. Returns 'done' or 'lost'.

local refused = refusal(ARGV[1], ARGV[2])
if refused then
  return refused
end
if yields(ARGV[1]) then
  return 'lost'
end
if ARGV[4] ~= '' then
  redis.call('HSET', K.JOB .. ARGV[1], 'error_code', ARGV[4], 'error', ARGV[5])
elseif ARGV[3] == 'complete' then
  redis.call('HDEL', K.JOB .. ARGV[1], 'error_code', 'error')
end
end_job(ARGV[1], 'done', ARGV[3])
return 'done'
