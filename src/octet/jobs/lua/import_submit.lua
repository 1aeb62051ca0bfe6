-- The song of a claimed import is in its place: its job goes on the queue, or is joined, unless the
-- result is there already, and the import has ended.
--
-- octet:job:<import>, octet:imports*    the end is recorded, with the job's id
-- octet:job:<id>, octet:jobs, octet:jobs:*, octet:callbacks:<id>, toWorker, octet:queue:*
--                         as submit.lua has them
-- octet:webhooks*         get the callbacks, when the result is there
-- octet:callbacks:<import>, octet:webhooks*    when the import was cancelled
--
-- ARGV: import, token, whether the result is there (0 or 1), job, song, submission,
--       again (0 or 1), count of callbacks, the callbacks, the job's fields.
-- Returns 'created', 'joined', 'cancelled' or 'lost'.

local import, job, count = ARGV[1], ARGV[4], tonumber(ARGV[8])
if field(import, 'token') ~= ARGV[2] then
  return field(import, 'past') == ARGV[2] and field(import, 'word') or 'lost'
end
if field(import, 'cancel') == '1' then
  redis.call('HSET', K.JOB .. import, 'word', 'cancelled')
  end_import(import, 'cancelled')
  return 'cancelled'
end
local word = 'joined'
if ARGV[3] == '0' then
  word = submit(job, ARGV[6], ARGV[7] == '1', 9, count)
end
if ARGV[3] == '1' or (word == 'joined' and field(job, 'state') == 'done') then
  deliver_entries({unpack(ARGV, 9, 8 + count)}, {
    job = job, song = ARGV[5], state = 'done', outcome = 'complete', code = '', error = '',
    time = digits(now()),
  })
end
redis.call('HSET', K.JOB .. import, 'job', job, 'word', word)
end_import(import, 'submitted')
return word
