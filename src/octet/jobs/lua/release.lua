-- A worker hands a claimed job back; the attempt does not count.
--
-- octet:job:<id>, octet:jobs:*    waiting again
-- octet:inflight                  loses the job
-- toWorker, octet:queue:*         get its message, before the others
-- octet:callbacks:<id>, octet:webhooks*, octet:ended    when it was to be cancelled
--
-- ARGV: id, token. Returns 'waiting', 'cancelled' or 'lost'.

local refused = refusal(ARGV[1], ARGV[2])
if refused then
  return refused
end
uncount(ARGV[1])
wait_again(ARGV[1], put_back)
return field(ARGV[1], 'state')
