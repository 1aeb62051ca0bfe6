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

local word = submit(id, submission, again, 8, tonumber(ARGV[7]))
return {word, redis.call('HGETALL', K.JOB .. id)}
