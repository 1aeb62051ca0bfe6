-- Puts a job on the queue once, or joins the one that is there. One that is there with another
-- recipe is superseded.
--
-- octet:job:<id>            the record: made, or found
-- octet:jobs, octet:jobs:*  its place in the listings
-- octet:callbacks:<id>      gets the request's callbacks
-- octet:idempotency:<key>   which job the client's key stands for
-- toWorker, octet:queue:*   get the message
--
-- ARGV: id, submission, again (0 or 1), idempotency key or '', digest, its life (ms),
--       count of callbacks, the callbacks, the record's fields.
-- Returns {'created' | 'joined', record} or {'conflict'}.

local id, submission, again = ARGV[1], ARGV[2], ARGV[3] == '1'
local count = tonumber(ARGV[7])
local fields = {}
for index = 8 + count, #ARGV, 2 do
  fields[ARGV[index]] = ARGV[index + 1]
end

if ARGV[4] ~= '' then
  local key = K.IDEMPOTENCY .. ARGV[4]
  local known = redis.call('GET', key)
  if known then
    local digest, job = string.match(known, '^(%S*) (.*)$')
    if digest ~= ARGV[5] then
      return {'conflict'}
    end
    local record = redis.call('HGETALL', K.JOB .. job)
    if #record > 0 and not again then
      return {field(job, 'submission') == submission and 'created' or 'joined', record}
    end
  end
  redis.call('SET', key, ARGV[5] .. ' ' .. id, 'PX', ARGV[6])
end

local state = field(id, 'state')
local word = 'joined'
if state and field(id, 'submission') == submission then
  word = 'created' -- the same call again, after a lost reply
elseif (state == 'waiting' or state == 'running') and field(id, 'recipe') ~= fields.recipe then
  if state == 'waiting' then
    -- Where a worker has just moved the old message, it will find it stale.
    unqueue(id, field(id, 'message'))
    supersede(id, 8 + count, submission)
    enqueue(fields.message, fields.priority)
  else
    supersede(id, 8 + count, submission)
    redis.call('HSET', K.JOB .. id, 'superseded', 1)
  end
  add_callbacks(id, 8, count)
  announce(id)
  word = 'created'
elseif state == 'waiting' or state == 'running' then
  add_callbacks(id, 8, count)
  if redis.call('HDEL', K.JOB .. id, 'cancel') == 1 then
    announce(id)
  end
  if state == 'waiting' then
    requeue_lost(id)
  end
elseif state ~= 'done' or again then
  start_run(id, 8 + count, submission)
  add_callbacks(id, 8, count)
  enqueue(field(id, 'message'), field(id, 'priority'))
  announce(id)
  word = 'created'
end
return {word, redis.call('HGETALL', K.JOB .. id)}
