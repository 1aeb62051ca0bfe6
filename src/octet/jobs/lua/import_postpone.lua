-- Lets go of a claimed import, which is due again later; or it ends, if that was asked for.
--
-- octet:imports     the new time
-- octet:job:<id>    no token; the error; one attempt less, if it does not count
-- octet:callbacks:<id>, octet:webhooks*, octet:imports*    of a cancelled one
--
-- ARGV: id, token, delay (ms), whether the attempt counts (0 or 1), error's code or '', its message.
-- Returns 'fetching', 'cancelled' or 'lost'.

local id = ARGV[1]
if field(id, 'token') ~= ARGV[2] then
  return 'lost'
end
if field(id, 'cancel') == '1' then
  end_import(id, 'cancelled')
  return 'cancelled'
end
if ARGV[4] == '0' then
  redis.call('HINCRBY', K.JOB .. id, 'attempts', -1)
end
if ARGV[5] ~= '' then
  redis.call('HSET', K.JOB .. id, 'error_code', ARGV[5], 'error', ARGV[6])
end
redis.call('HSET', K.JOB .. id, 'token', '', 'noted', '', 'bytes', 0, 'size', '')
redis.call('ZADD', K.IMPORTS, digits(now() + ARGV[3]), id)
announce(id)
return 'fetching'
