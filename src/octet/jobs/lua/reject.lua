-- A message that cannot be read becomes a dead letter.
--
-- octet:worker:<id>:jobs    loses the message
-- octet:dead-count          its number
-- octet:dead, octet:dead:message-<number>    the letter
--
-- ARGV: worker, message, code, reason. Returns 1, or 0 when somebody put the message back.

if redis.call('LREM', inbox_of(ARGV[1]), -1, ARGV[2]) == 0 then
  return 0
end
local id = 'message-' .. redis.call('INCR', K.DEAD_COUNT)
local time = digits(now())
redis.call('HSET', K.DEAD_LETTER .. id, 'message', ARGV[2], 'job', '', 'code', ARGV[3],
  'reason', ARGV[4], 'time', time)
redis.call('ZADD', K.DEAD, time, id)
return 1
