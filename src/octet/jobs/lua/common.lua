-- Shared by all scripts; stands before each of them, after the table K of key names (keys.py).
-- Every script is one atomic step. Times are the server's own, in milliseconds unless said.

-- Redis 6 needs to be told, or it refuses to write once a script has seen the time.
if redis.replicate_commands then
  redis.replicate_commands()
end

local function micros()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function now()
  return math.floor(micros() / 1000)
end

-- Numbers as whole digits: Lua alone would write 1.764e+12.
local function digits(number)
  return string.format('%.0f', number)
end

local function inbox_of(worker)
  return K.WORKER_JOBS .. worker .. ':jobs'
end

local function origin_of(worker)
  return K.WORKER_JOBS .. worker .. ':from'
end

-- Whether so many ms have passed since this was last true. A clock that was set back is no
-- reason to wait until it has caught up.
local function is_due(key, time, every)
  local last = tonumber(redis.call('GET', key) or '0')
  if time >= last and time - last < every then
    return false
  end
  redis.call('SET', key, digits(time))
  return true
end

local function has_ended(state)
  return state == 'done' or state == 'failed' or state == 'cancelled'
end

-- Nothing, too, where something else than a record has the job's key: it costs that job alone.
local function field(id, name)
  local value = redis.pcall('HGET', K.JOB .. id, name)
  return type(value) == 'string' and value or nil
end

local function announce(id)
  redis.call('PUBLISH', K.EVENTS .. id, field(id, 'state'))
end

local function set_state(id, state)
  local before = field(id, 'state')
  if before then
    redis.call('ZREM', K.JOBS_IN_STATE .. before, id)
  end
  redis.call('HSET', K.JOB .. id, 'state', state)
  redis.call('ZADD', K.JOBS_IN_STATE .. state, redis.call('ZSCORE', K.JOBS, id), id)
end

local function forget_letter(id)
  redis.call('ZREM', K.DEAD, id)
  redis.call('DEL', K.DEAD_LETTER .. id)
end

local function forget_job(id)
  local state = field(id, 'state')
  if state then
    redis.call('ZREM', K.JOBS_IN_STATE .. state, id)
  end
  redis.call('ZREM', K.JOBS, id)
  redis.call('ZREM', K.ENDED, id)
  redis.call('ZREM', K.DELAYED, id)
  redis.call('DEL', K.JOB .. id, K.CALLBACKS .. id)
end

local function discard(letter, job)
  forget_letter(letter)
  if job ~= '' then
    forget_job(job)
  end
end

-- A new run, waiting: whatever was recorded of an earlier one goes.
-- The record's fields are ARGV[first], ARGV[first + 1], ... as name, value, name, value.
local function start_run(id, first, submission)
  forget_job(id)
  forget_letter(id)
  local time = micros()
  redis.call('ZADD', K.JOBS, digits(time), id)
  redis.call('HSET', K.JOB .. id, 'created', digits(time / 1000), 'attempts', 0,
    'submission', submission, unpack(ARGV, first))
  set_state(id, 'waiting')
end

-- A run of a job that waits or runs takes another request's place: its recipe is another one.
-- The record's fields are as for start_run.
local function supersede(id, first, submission)
  redis.call('HDEL', K.JOB .. id, 'error_code', 'error', 'rescues', 'exhausted', 'interruptions',
    'cancel')
  redis.call('HSET', K.JOB .. id, 'attempts', 0, 'percent', 0, 'submission', submission,
    unpack(ARGV, first))
end

-- Adds the callbacks ARGV[first] ... ARGV[first + count - 1], each once.
local function add_callbacks(id, first, count)
  if redis.call('TYPE', K.CALLBACKS .. id).ok ~= 'list' then
    redis.call('DEL', K.CALLBACKS .. id)
  end
  for index = first, first + count - 1 do
    if not redis.call('LPOS', K.CALLBACKS .. id, ARGV[index]) then
      redis.call('RPUSH', K.CALLBACKS .. id, ARGV[index])
    end
  end
end

-- A message of high priority goes straight onto an empty toWorker, where a blocked worker
-- wakes at once. If another one comes before it was taken, it joins those of high priority,
-- so that they stay in their order.
local function push_high(message)
  local last = redis.call('GET', K.STRAIGHT)
  if last and redis.call('LINDEX', K.QUEUE, -1) == last then
    redis.call('LMOVE', K.QUEUE, K.QUEUE_HIGH, 'RIGHT', 'LEFT')
    redis.call('DEL', K.STRAIGHT)
  elseif redis.call('LLEN', K.QUEUE) == 0 and redis.call('LLEN', K.QUEUE_HIGH) == 0 then
    redis.call('LPUSH', K.QUEUE, message)
    redis.call('SET', K.STRAIGHT, message)
    return true
  end
  return false
end

-- Behind all others of its priority.
local function enqueue(message, priority)
  if priority == 'high' then
    if not push_high(message) then
      redis.call('LPUSH', K.QUEUE_HIGH, message)
    end
  elseif priority == 'low' then
    redis.call('LPUSH', K.QUEUE_LOW, message)
  else
    redis.call('LPUSH', K.QUEUE, message)
  end
end

-- Before all others of its priority: it was its turn already.
local function put_back(message, priority)
  if priority == 'high' then
    if not push_high(message) then
      redis.call('RPUSH', K.QUEUE_HIGH, message)
    end
  elseif priority == 'low' then
    redis.call('RPUSH', K.QUEUE_LOW, message)
  else
    redis.call('RPUSH', K.QUEUE, message)
  end
end

-- What a worker had moved and not claimed goes back where it came from, to be taken next; counts
-- it. The newest is on the left, so the oldest comes to lie rightmost.
local function return_inbox(worker)
  local inbox, origin = inbox_of(worker), origin_of(worker)
  local messages = redis.call('LRANGE', inbox, 0, -1)
  local priority = redis.call('GET', origin) or 'normal'
  for _, message in ipairs(messages) do
    put_back(message, redis.call('GET', K.STRAIGHT) == message and 'high' or priority)
  end
  redis.call('DEL', inbox, origin)
  return #messages
end

-- A message that a worker has moved leaves its list; false when somebody put it back.
local function leave_inbox(worker, message)
  if redis.call('LREM', inbox_of(worker), -1, message) == 0 then
    return false
  end
  redis.call('DEL', origin_of(worker))
  return true
end

-- Takes a job's message off the queue; counts how often it was there.
local function unqueue(id, message)
  local count = redis.call('ZREM', K.DELAYED, id)
  for _, list in ipairs({K.QUEUE_HIGH, K.QUEUE, K.QUEUE_LOW}) do
    count = count + redis.call('LREM', list, 0, message)
  end
  return count
end

-- Whether a worker has moved the message and not claimed it yet.
local function is_moved(message)
  for _, worker in ipairs(redis.call('ZRANGE', K.WORKERS, 0, -1)) do
    if redis.call('LPOS', inbox_of(worker), message) then
      return true
    end
  end
  return false
end

-- A job waits: its message goes on the queue again if it is gone (deleted, evicted, or popped by
-- a consumer of others). Looks from the right, where the oldest lie. Returns whether it was gone.
local function requeue_lost(id)
  local message = field(id, 'message')
  if not message or redis.call('ZSCORE', K.DELAYED, id) then
    return false
  end
  for _, list in ipairs({K.QUEUE, K.QUEUE_HIGH, K.QUEUE_LOW}) do
    if redis.call('LPOS', list, message, 'RANK', -1) then
      return false
    end
  end
  if is_moved(message) then
    return false
  end
  enqueue(message, field(id, 'priority'))
  return true
end

local function deliver(name, facts)
  redis.call('HSET', K.DELIVERY .. name, 'id', name, 'attempts', 0, 'token', '',
    'url', facts.url, 'kind', facts.kind, 'body', facts.body,
    'outcome', facts.outcome, 'state', facts.state, 'job', facts.job, 'song', facts.song,
    'import', facts.import or '', 'error_code', facts.code, 'error', facts.error,
    'created', facts.time)
  redis.call('ZADD', K.OUTBOX, facts.time, name)
  redis.call('ZADD', K.OUTBOX_MADE, facts.time, name)
end

local function forget_delivery(name)
  redis.call('DEL', K.DELIVERY .. name)
  redis.call('ZREM', K.OUTBOX, name)
  redis.call('ZREM', K.OUTBOX_MADE, name)
end

-- Makes deliveries of callbacks. The lab's knows no failure: it is sent when files were published.
local function deliver_entries(entries, facts)
  for index, entry in ipairs(entries) do
    local hook = cjson.decode(entry)
    if hook.kind == 'event' or facts.state == 'done' then
      facts.url, facts.kind, facts.body, facts.import = hook.url, hook.kind, hook.body, hook.import
      deliver('msg_' .. redis.sha1hex(facts.job .. ' ' .. digits(micros()) .. ' ' .. index), facts)
    end
  end
end

-- The lab's are kept for a replay where they were not sent.
local function deliver_callbacks(id, state, outcome, time)
  local entries = redis.pcall('LRANGE', K.CALLBACKS .. id, 0, -1)
  deliver_entries(entries.err and {} or entries, {
    outcome = outcome, state = state, job = id, song = field(id, 'song') or '',
    code = field(id, 'error_code') or '', error = field(id, 'error') or '', time = time,
  })
  if state ~= 'failed' then
    redis.call('DEL', K.CALLBACKS .. id)
  end
end

-- The claim is over. `past` and `verdict` answer the same call again, after a lost reply.
local function end_claim(id, verdict)
  redis.call('LREM', K.INFLIGHT, 0, id)
  local token = field(id, 'token')
  if token and token ~= '' then
    redis.call('HSET', K.JOB .. id, 'past', token, 'verdict', verdict)
  end
  redis.call('HDEL', K.JOB .. id, 'token', 'lease', 'left')
end

-- The job ends as `state`; `outcome` is complete, fallback, failed or cancelled.
local function end_job(id, state, outcome)
  local time = digits(now())
  end_claim(id, state)
  set_state(id, state)
  redis.call('HDEL', K.JOB .. id, 'cancel')
  redis.call('HSET', K.JOB .. id, 'finished', time)
  if state == 'done' then
    redis.call('HSET', K.JOB .. id, 'outcome', outcome, 'percent', 100)
  end
  if state ~= 'failed' then
    redis.call('ZADD', K.ENDED, time, id)
  end
  deliver_callbacks(id, state, outcome, time)
  announce(id)
end

local function bury(id, code, reason)
  local time = digits(now())
  redis.call('HSET', K.JOB .. id, 'error_code', code, 'error', reason)
  forget_letter(id)
  redis.call('HSET', K.DEAD_LETTER .. id, 'message', field(id, 'message'), 'job', id,
    'code', code, 'reason', reason, 'time', time)
  redis.call('ZADD', K.DEAD, time, id)
  end_job(id, 'failed', 'failed')
end

-- The job waits again, by put_back or enqueue; or it ends, if that was asked for.
local function wait_again(id, place)
  if field(id, 'cancel') == '1' then
    end_job(id, 'cancelled', 'cancelled')
    return
  end
  end_claim(id, 'waiting')
  set_state(id, 'waiting')
  if redis.call('HDEL', K.JOB .. id, 'superseded') == 1 then
    redis.call('HSET', K.JOB .. id, 'attempts', 0)
  end
  redis.call('HSET', K.JOB .. id, 'percent', 0)
  place(field(id, 'message'), field(id, 'priority'), id)
  announce(id)
end

-- The run that ends was superseded: the job waits for the one that was asked for since.
local function yields(id)
  if field(id, 'superseded') ~= '1' then
    return false
  end
  wait_again(id, put_back)
  return true
end

-- The job is taken from whoever had it, who gets 'lost' should he still end it.
local function reclaim(id)
  wait_again(id, put_back)
  redis.call('HDEL', K.JOB .. id, 'past', 'verdict')
end

-- An attempt that came to nothing through no fault of its own does not count.
local function uncount(id)
  redis.call('HINCRBY', K.JOB .. id, field(id, 'exhausted') == '1' and 'rescues' or 'attempts', -1)
end

-- Fencing: nil when the token holds the job; otherwise what the script has to return, 'lost' or
-- the verdict of the same token's earlier end.
local function refusal(id, token)
  if field(id, 'token') == token then
    return nil
  end
  if field(id, 'past') == token then
    return field(id, 'verdict')
  end
  return 'lost'
end

-- Puts a job on the queue once, or joins the one that is there. One that is there with another
-- recipe is superseded. The callbacks are ARGV[first] ... ARGV[first + count - 1], the record's
-- fields all that follows. Returns 'created' or 'joined'.
local function submit(id, submission, again, first, count)
  local fields = {}
  for index = first + count, #ARGV, 2 do
    fields[ARGV[index]] = ARGV[index + 1]
  end
  local state = field(id, 'state')
  if state and field(id, 'submission') == submission then
    return 'created' -- the same call again, after a lost reply
  end
  if (state == 'waiting' or state == 'running') and field(id, 'recipe') ~= fields.recipe then
    if state == 'waiting' then
      -- Where a worker has just moved the old message, it will find it stale.
      unqueue(id, field(id, 'message'))
      supersede(id, first + count, submission)
      enqueue(fields.message, fields.priority)
    else
      supersede(id, first + count, submission)
      redis.call('HSET', K.JOB .. id, 'superseded', 1)
    end
    add_callbacks(id, first, count)
    announce(id)
    return 'created'
  end
  if state == 'waiting' or state == 'running' then
    add_callbacks(id, first, count)
    if redis.call('HDEL', K.JOB .. id, 'cancel') == 1 then
      announce(id)
    end
    if state == 'waiting' then
      requeue_lost(id)
    end
    return 'joined'
  end
  if state == 'done' and not again then
    return 'joined'
  end
  start_run(id, first + count, submission)
  add_callbacks(id, first, count)
  enqueue(field(id, 'message'), field(id, 'priority'))
  announce(id)
  return 'created'
end

-- Those whose songs have jobs are not listed: the jobs are.
local function set_import_state(id, state)
  local before = field(id, 'state')
  if before then
    redis.call('ZREM', K.IMPORTS_IN_STATE .. before, id)
  end
  redis.call('HSET', K.JOB .. id, 'state', state)
  if state ~= 'submitted' then
    redis.call('ZADD', K.IMPORTS_IN_STATE .. state, field(id, 'made'), id)
  end
end

local function forget_import(id)
  for _, state in ipairs({'fetching', 'failed', 'cancelled'}) do
    redis.call('ZREM', K.IMPORTS_IN_STATE .. state, id)
  end
  redis.call('ZREM', K.IMPORTS, id)
  redis.call('ZREM', K.IMPORTS_ENDED, id)
  redis.call('DEL', K.JOB .. id, K.CALLBACKS .. id)
end

-- An import ends as `state`: failed, cancelled, or submitted, when its job has its callbacks.
-- Nobody fetches it any more. Its record stays for a while, and so do at most so many of them.
local function end_import(id, state)
  local record, time = K.JOB .. id, now()
  redis.call('ZREM', K.IMPORTS, id)
  set_import_state(id, state)
  redis.call('HSET', record, 'finished', digits(time), 'verdict', state,
    'past', field(id, 'token') or '')
  redis.call('HDEL', record, 'token', 'cancel', 'noted', 'url') -- whose query may be a secret
  if state ~= 'failed' then
    redis.call('HDEL', record, 'error_code', 'error')
  end
  if state ~= 'submitted' then
    deliver_callbacks(id, state, state, digits(time))
  end
  redis.call('DEL', K.CALLBACKS .. id)
  announce(id)
  local keep, most = tonumber(field(id, 'keep')), tonumber(field(id, 'most'))
  redis.call('PEXPIRE', record, keep)
  redis.call('ZADD', K.IMPORTS_ENDED, digits(time), id)
  local long_ago = redis.call('ZCOUNT', K.IMPORTS_ENDED, '-inf', digits(time - keep))
  local count = math.min(500, math.max(long_ago, redis.call('ZCARD', K.IMPORTS_ENDED) - most))
  for _, old in ipairs(count > 0 and redis.call('ZRANGE', K.IMPORTS_ENDED, 0, count - 1) or {}) do
    forget_import(old)
  end
end
