-- How many messages will be taken before a job's.
--
-- octet:job:<id>             the message
-- octet:queue:high, toWorker, octet:queue:low    looked through in this order
--
-- ARGV: id. Returns the count, -1 when the job does not wait, nil when there is no record.

local message = field(ARGV[1], 'message')
if not message then
  return nil
end
local before = 0
for _, list in ipairs({K.QUEUE_HIGH, K.QUEUE, K.QUEUE_LOW}) do
  local length = redis.call('LLEN', list)
  local index = redis.call('LPOS', list, message, 'RANK', -1)
  if index then
    return before + length - 1 - index
  end
  before = before + length
end
return -1
