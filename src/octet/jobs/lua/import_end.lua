-- A claimed import ends without a job.
--
-- octet:job:<id>, octet:imports*    the end is recorded
-- octet:callbacks:<id>, octet:webhooks*                 its events become deliveries
--
-- ARGV: id, token, 'failed' or 'cancelled', error's code or '', its message.
-- Returns 'failed', 'cancelled' or 'lost'.

local id = ARGV[1]
if field(id, 'token') ~= ARGV[2] then
  return field(id, 'past') == ARGV[2] and field(id, 'verdict') or 'lost'
end
if ARGV[3] == 'cancelled' or field(id, 'cancel') == '1' then
  end_import(id, 'cancelled')
else
  redis.call('HSET', K.JOB .. id, 'error_code', ARGV[4], 'error', ARGV[5])
  end_import(id, 'failed')
end
return field(id, 'state')
