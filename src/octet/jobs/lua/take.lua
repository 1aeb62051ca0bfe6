-- Moves the next message that waits to a worker's own list, and says that the worker lives.
--
-- octet:workers             the worker's heartbeat
-- octet:worker:<id>:jobs    gets the message; one that is there already comes first (its reply
--                           was lost, or the waiting call was cancelled)
-- octet:queue:high, toWorker, octet:queue:low    looked at in this order
--
-- ARGV: worker, lease (ms). Returns the message, or nil when nothing waits.

local inbox = inbox_of(ARGV[1])
redis.call('ZADD', K.WORKERS, digits(now() + ARGV[2]), ARGV[1])
return redis.call('LINDEX', inbox, -1)
  or redis.call('LMOVE', K.QUEUE_HIGH, inbox, 'RIGHT', 'LEFT')
  or redis.call('LMOVE', K.QUEUE, inbox, 'RIGHT', 'LEFT')
  or redis.call('LMOVE', K.QUEUE_LOW, inbox, 'RIGHT', 'LEFT')
