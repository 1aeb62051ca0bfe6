-- Records an import, due at once, unless its client's key stands for one already.
--
-- octet:job:<id>            the record: made, or found
-- octet:imports, octet:imports:fetching    get it
-- octet:callbacks:<id>      gets its callbacks
-- octet:idempotency:<key>   which import (or job) the client's key stands for
--
-- ARGV: id, idempotency key or '', digest, its life (ms), most imports that have not ended,
--       their owner or '', most of one owner, count of callbacks, the callbacks,
--       the record's fields.
-- Returns {'created' | 'known', record}, {'conflict'}, {'full'} or {'enough'}.

local id = ARGV[1]
local record = K.JOB .. id
if redis.call('EXISTS', record) == 1 then -- the same call again, after a lost reply
  return {'created', redis.call('HGETALL', record)}
end
local key = K.IDEMPOTENCY .. ARGV[2]
if ARGV[2] ~= '' then
  local known = redis.call('GET', key)
  if known then
    local digest, other = string.match(known, '^(%S*) (.*)$')
    if digest ~= ARGV[3] then
      return {'conflict'}
    end
    local found = redis.call('HGETALL', K.JOB .. other)
    if #found > 0 then
      return {'known', found}
    end
  end
end
if redis.call('ZCARD', K.IMPORTS) >= tonumber(ARGV[5]) then
  return {'full'}
end
if ARGV[6] ~= '' then
  local same = 0
  for _, other in ipairs(redis.call('ZRANGE', K.IMPORTS, 0, -1)) do
    same = same + (field(other, 'owner') == ARGV[6] and 1 or 0)
  end
  if same >= tonumber(ARGV[7]) then
    return {'enough'}
  end
end
if ARGV[2] ~= '' then
  redis.call('SET', key, ARGV[3] .. ' ' .. id, 'PX', ARGV[4])
end
local count, time = tonumber(ARGV[8]), micros()
add_callbacks(id, 9, count)
redis.call('HSET', record, 'id', id, 'made', digits(time), 'owner', ARGV[6],
  'attempts', 0, 'bytes', 0, 'size', '', 'token', '', 'noted', '', unpack(ARGV, 9 + count))
set_import_state(id, 'fetching')
redis.call('ZADD', K.IMPORTS, digits(time / 1000), id)
return {'created', redis.call('HGETALL', record)}
