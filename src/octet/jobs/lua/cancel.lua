-- Ends a job that waits, and marks one that runs.
--
-- octet:job:<id>, octet:jobs:*, octet:ended    the end is recorded; a record is made for a
--                                              waiting message of others
-- toWorker, octet:queue:*, octet:delayed       lose the message
-- octet:callbacks:<id>, octet:webhooks*        its events become deliveries
--
-- ARGV: id, and for a job without a record: the record's fields, the message last.
-- Returns the record; nil when there is no such job.

local id = ARGV[1]
local state = field(id, 'state')
if not state then
  if #ARGV == 1 or unqueue(id, ARGV[#ARGV]) == 0 then
    return nil
  end
  start_run(id, 2, '')
  end_job(id, 'cancelled', 'cancelled')
elseif state == 'waiting'
  and (unqueue(id, field(id, 'message')) > 0 or not is_moved(field(id, 'message'))) then
  end_job(id, 'cancelled', 'cancelled')
elseif not has_ended(state) then
  -- It runs, or a worker has just moved its message: whoever claims it will see the mark.
  redis.call('HSET', K.JOB .. id, 'cancel', 1)
  announce(id)
end
return redis.call('HGETALL', K.JOB .. id)
