-- A worker goes.
--
-- octet:worker:<id>:jobs    what lies there goes back to toWorker
-- octet:workers             loses the worker
--
-- ARGV: worker.

return_inbox(ARGV[1])
redis.call('ZREM', K.WORKERS, ARGV[1])
