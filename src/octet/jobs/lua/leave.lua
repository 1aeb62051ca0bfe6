-- A worker goes.
--
-- octet:worker:<id>:jobs    what lies there goes back to toWorker
-- octet:workers, octet:workers:about    lose the worker
--
-- ARGV: worker.

return_inbox(ARGV[1])
redis.call('ZREM', K.WORKERS, ARGV[1])
redis.call('HDEL', K.WORKERS_ABOUT, ARGV[1])
