-- Puts back what has no living owner.
--
-- octet:reaped               when somebody did this last (ms)
-- octet:workers              whose heartbeat has run out; a day later the worker is forgotten
-- octet:worker:<id>:jobs     what lies there goes back to toWorker
-- octet:inflight             loses the jobs whose lease has run out
-- octet:job:<id>, octet:jobs:*    those wait again, or are cancelled if that was asked for
-- toWorker, octet:queue:*    get their messages, before the others
-- octet:callbacks:<id>, octet:webhooks*, octet:ended    of the cancelled ones
--
-- ARGV: thorough (0 or 1), then workers who may have a list without being known.
-- Returns {messages put back, jobs put back or ended}.

local time = now()
local last = tonumber(redis.call('GET', K.REAPED) or '0')
if not is_due(K.REAPED, time, 1000) and ARGV[1] ~= '1' then
  return {0, 0}
end
local messages, jobs = 0, 0

-- The server's clock was set back: what was to happen by the old one happens as much earlier.
if last - time > 1000 then
  local function set_back(set, from)
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', set, '(' .. digits(from), '+inf')) do
      local moment = tonumber(redis.call('ZSCORE', set, name)) - (last - time)
      redis.call('ZADD', set, digits(math.max(moment, time)), name)
    end
  end
  set_back(K.WORKERS, last) -- those below have renewed since
  set_back(K.OUTBOX, time)
  set_back(K.DELAYED, time)
  set_back(K.IMPORTS, time)
end

for _, worker in ipairs(redis.call('ZRANGEBYSCORE', K.WORKERS, '-inf', digits(time))) do
  messages = messages + return_inbox(worker)
end
local yesterday = digits(time - 86400000)
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', K.WORKERS, '-inf', yesterday)) do
  redis.call('HDEL', K.WORKERS_ABOUT, worker)
end
redis.call('ZREMRANGEBYSCORE', K.WORKERS, '-inf', yesterday)
for index = 2, #ARGV do
  local heartbeat = redis.call('ZSCORE', K.WORKERS, ARGV[index])
  if not heartbeat or tonumber(heartbeat) <= time then
    messages = messages + return_inbox(ARGV[index])
  end
end

-- The latest claim is on the left: the oldest comes to lie rightmost in its queue.
for _, id in ipairs(redis.call('LRANGE', K.INFLIGHT, 0, -1)) do
  local lease = tonumber(field(id, 'lease'))
  local longest = time + (tonumber(field(id, 'lease_ms')) or 86400000)
  if not lease then
    redis.call('LREM', K.INFLIGHT, 0, id)
  elseif lease <= time then
    reclaim(id)
    jobs = jobs + 1
  elseif lease > longest then -- likewise
    redis.call('HSET', K.JOB .. id, 'lease', digits(longest))
  end
end
return {messages, jobs}
