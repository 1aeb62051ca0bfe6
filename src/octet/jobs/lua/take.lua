-- Moves the next message that waits to a worker's own list, and says that the worker lives.
--
-- octet:workers             the worker's heartbeat
-- octet:worker:<id>:jobs    gets the message; one that is there already comes first (its reply
--                           was lost, or the waiting call was cancelled)
-- octet:worker:<id>:from    its priority, unless it came from toWorker
-- octet:delayed             jobs whose time has come go on the queue
-- octet:queue:high, toWorker, octet:queue:low    looked at in this order
--
-- ARGV: worker, lease (ms). Returns the message, or nil when nothing waits.

local inbox = inbox_of(ARGV[1])
redis.call('ZADD', K.WORKERS, digits(now() + ARGV[2]), ARGV[1])
local message = redis.call('LINDEX', inbox, -1)
if message then
  return message
end
local due = redis.call('ZRANGEBYSCORE', K.DELAYED, '-inf', digits(now()), 'LIMIT', 0, 100)
for _, id in ipairs(due) do
  redis.call('ZREM', K.DELAYED, id)
  if field(id, 'state') == 'waiting' then
    enqueue(field(id, 'message'), field(id, 'priority'))
  end
end
redis.call('DEL', origin_of(ARGV[1]))
for _, from in ipairs({{K.QUEUE_HIGH, 'high'}, {K.QUEUE}, {K.QUEUE_LOW, 'low'}}) do
  message = redis.call('LMOVE', from[1], inbox, 'RIGHT', 'LEFT')
  if message then
    if from[2] then
      redis.call('SET', origin_of(ARGV[1]), from[2])
    end
    return message
  end
end
return nil
