-- A message that cannot be read becomes a dead letter.
--
-- octet:worker:<id>:jobs    loses the message
-- octet:dead-count          its number
-- octet:dead, octet:dead:message-<number>    the letter
--
-- ARGV: worker, message, code, reason, most bytes of the message that are kept. Returns 1, or 0 when somebody put the message back.

if not leave_inbox(ARGV[1], ARGV[2]) then
  return 0
end
local id = 'message-' .. redis.call('INCR', K.DEAD_COUNT)
local time = digits(now())
redis.call('HSET', K.DEAD_LETTER .. id, 'message', string.sub(ARGV[2], 1, tonumber(ARGV[5])), 'job', '', 'code', ARGV[3],
  'reason', ARGV[4], 'time', time)
redis.call('ZADD', K.DEAD, time, id)
return 1
