-- Claims the imports that are due, and counts their attempts; ends those that were cancelled.
--
-- octet:imports         their lease, in place of the time when they were due
-- octet:job:<id>        gets the token
-- octet:callbacks:<id>, octet:webhooks*, octet:imports*    of the cancelled ones
--
-- ARGV: most, lease (ms), token, most of one host (0: any number), then hosts and how many songs the
--       caller fetches from each.
-- Returns {record, callbacks} of each.

local time = digits(now())
local most, per_host, busy, found = tonumber(ARGV[1]), tonumber(ARGV[4]), {}, {}
for index = 5, #ARGV, 2 do
  busy[ARGV[index]] = tonumber(ARGV[index + 1])
end

local function has_room(host)
  local count = busy[host] or 0
  if #found >= most or (per_host > 0 and count >= per_host) then
    return false
  end
  busy[host] = count + 1
  return true
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.IMPORTS, '-inf', time)) do
  if field(id, 'state') ~= 'fetching' then -- the server has evicted it, or somebody deleted it
    forget_import(id)
  elseif field(id, 'cancel') == '1' then
    end_import(id, 'cancelled')
  elseif has_room(field(id, 'host') or '') then
    redis.call('ZADD', K.IMPORTS, digits(now() + ARGV[2]), id)
    redis.call('HINCRBY', K.JOB .. id, 'attempts', 1)
    redis.call('HSET', K.JOB .. id, 'token', ARGV[3], 'bytes', 0, 'size', '')
    announce(id)
    found[#found + 1] = {
      redis.call('HGETALL', K.JOB .. id), redis.call('LRANGE', K.CALLBACKS .. id, 0, -1),
    }
  end
end
return found
