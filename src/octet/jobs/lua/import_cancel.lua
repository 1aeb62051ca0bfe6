-- Ends an import that nobody fetches now, and marks one that is being fetched.
--
-- octet:job:<id>, octet:imports*    the end is recorded
-- octet:callbacks:<id>, octet:webhooks*                 its events become deliveries
--
-- ARGV: id. Returns the record; nil when there is no such import.

local id = ARGV[1]
local state = field(id, 'state')
if not state then
  return nil
end
if state == 'fetching' and field(id, 'token') == '' then
  end_import(id, 'cancelled')
elseif state == 'fetching' then
  redis.call('HSET', K.JOB .. id, 'cancel', 1)
  announce(id)
end
return redis.call('HGETALL', K.JOB .. id)
