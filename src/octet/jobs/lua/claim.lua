-- Makes a claim of a message in a worker's own list: counts the attempt, sets token and lease.
--
-- octet:worker:<id>:jobs    loses the message
-- octet:workers             the worker's heartbeat
-- octet:job:<id>            the record: made for a message of others, or found
-- octet:jobs, octet:jobs:*  its place in the listings
-- octet:callbacks:<id>      gets the message's callbacks
-- octet:inflight            gets the job
-- octet:dead, octet:dead:<id>, octet:webhooks*    when the job is given up here
--
-- ARGV: id, worker, lease (ms), token, most attempts, message, submission or '',
--       count of callbacks, the callbacks, the record's fields.
-- Returns {'claimed', exhausted (0 or 1), record}; or {word} when there is nothing to do:
-- 'gone' (somebody put the message back), 'stale' (of a run that has ended), 'joined' (the job
-- runs), 'cancelled', 'dead'.

local id, worker, lease, token, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local message, submission, count = ARGV[6], ARGV[7], tonumber(ARGV[8])
local record = K.JOB .. id
local rescues_most = 3

if field(id, 'token') == token then -- the same call again, after a lost reply
  return {'claimed', tonumber(field(id, 'exhausted')), redis.call('HGETALL', record)}
end
if not leave_inbox(worker, message) then
  return {'gone'}
end

local time = now()
local state = field(id, 'state')
if submission ~= '' and state
  and (has_ended(state) or field(id, 'submission') ~= submission) then
  return {'stale'}
end
if not state or has_ended(state) then
  start_run(id, 9 + count, submission)
end
add_callbacks(id, 9, count)
if state == 'running' and tonumber(field(id, 'lease')) > time then
  return {'joined'}
end
redis.call('HSET', record, 'message', message)
if field(id, 'cancel') == '1' then
  end_job(id, 'cancelled', 'cancelled')
  return {'cancelled'}
end

local exhausted = 0
if tonumber(field(id, 'attempts')) < most then
  redis.call('HINCRBY', record, 'attempts', 1)
else
  exhausted = 1
  if redis.call('HINCRBY', record, 'rescues', 1) > rescues_most then
    bury(id, field(id, 'error_code') or 'attempts', field(id, 'error')
      or 'the worker died in each of the attempts, and in each attempt at a fallback')
    return {'dead'}
  end
end
redis.call('LREM', K.INFLIGHT, 0, id)
redis.call('LPUSH', K.INFLIGHT, id)
redis.call('ZADD', K.WORKERS, digits(time + lease), worker)
redis.call('HSET', record, 'worker', worker, 'token', token, 'lease', digits(time + lease),
  'lease_ms', lease, 'started', digits(time), 'exhausted', exhausted, 'percent', 0)
set_state(id, 'running')
announce(id)
return {'claimed', exhausted, redis.call('HGETALL', record)}
