-- Adds lines to the log list, and drops the oldest beyond its bound.
--
-- logging    the lines, the oldest on the left
--
-- ARGV: most lines, then the lines.

redis.call('RPUSH', K.LOGGING, unpack(ARGV, 2))
redis.call('LTRIM', K.LOGGING, -ARGV[1], -1)
