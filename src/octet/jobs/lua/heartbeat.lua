-- Says that a worker lives.
--
-- octet:workers    its heartbeat
--
-- ARGV: worker, lease (ms).

redis.call('ZADD', K.WORKERS, digits(now() + ARGV[2]), ARGV[1])
