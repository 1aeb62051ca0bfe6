-- Says that a worker lives.
--
-- octet:workers          its heartbeat
-- octet:workers:about    what it announces
--
-- ARGV: worker, lease (ms), what it announces or ''.

redis.call('ZADD', K.WORKERS, digits(now() + ARGV[2]), ARGV[1])
if ARGV[3] ~= '' then
  redis.call('HSET', K.WORKERS_ABOUT, ARGV[1], ARGV[3])
end
