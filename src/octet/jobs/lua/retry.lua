-- An attempt failed.
--
-- octet:job:<id>, octet:jobs:*    the error; waiting again, if attempts are left
-- octet:inflight                  loses the job then
-- toWorker, octet:queue:*         get its message then, behind the others; or
-- octet:delayed                   gets the job, for take.lua to do that later
-- octet:callbacks:<id>, octet:webhooks*, octet:ended    when it was to be cancelled
--
-- ARGV: id, token, most attempts, error's code, error's message, delay (ms).
-- Returns 'waiting' (or 'cancelled'), 'exhausted' (the claim still holds) or 'lost'.

local id = ARGV[1]
local refused = refusal(id, ARGV[2])
if refused then
  return refused
end
redis.call('HSET', K.JOB .. id, 'error_code', ARGV[4], 'error', ARGV[5])
if tonumber(field(id, 'attempts')) >= tonumber(ARGV[3]) then
  return 'exhausted'
end
local delay = tonumber(ARGV[6])
wait_again(id, delay == 0 and enqueue or function()
  redis.call('ZADD', K.DELAYED, digits(now() + delay), id)
end)
return field(id, 'state')
