-- A claimed job is given up.
--
-- octet:job:<id>, octet:jobs:*            the end is recorded
-- octet:inflight                          loses the job
-- octet:dead, octet:dead:<id>             the letter
-- octet:callbacks:<id>, octet:webhooks*   its events become deliveries
--
-- ARGV: id, token, error's code, error's message. Returns 'failed' or 'lost'.

local refused = refusal(ARGV[1], ARGV[2])
if refused then
  return refused
end
if yields(ARGV[1]) then
  return 'lost'
end
bury(ARGV[1], ARGV[3], ARGV[4])
return 'failed'
