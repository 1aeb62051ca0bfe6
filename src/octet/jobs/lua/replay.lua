-- Puts a dead letter back on the queue.
--
-- octet:dead, octet:dead:<id>    lose it
-- octet:job:<id>, octet:jobs:*   the job waits again, without attempts
-- toWorker, octet:queue:*        get its message, behind the others
--
-- octet:dead-past:<id>    that it was replayed, for whoever asks again after a lost reply
--
-- ARGV: id of the letter, how long that is remembered (ms). Returns 1, or 0 when there is none.

local id = ARGV[1]
local message = redis.call('HGET', K.DEAD_LETTER .. id, 'message')
if not message then
  return redis.call('GET', K.DEAD_PAST .. id) == 'replayed' and 1 or 0
end
local job = redis.call('HGET', K.DEAD_LETTER .. id, 'job')
forget_letter(id)
redis.call('SET', K.DEAD_PAST .. id, 'replayed', 'PX', ARGV[2])
local priority = job ~= '' and field(job, 'priority') or 'normal'
if job ~= '' and field(job, 'state') then
  redis.call('HDEL', K.JOB .. job, 'error_code', 'error', 'finished', 'rescues', 'exhausted',
    'interruptions')
  redis.call('HSET', K.JOB .. job, 'attempts', 0, 'percent', 0)
  set_state(job, 'waiting')
  announce(job)
end
enqueue(message, priority)
return 1
