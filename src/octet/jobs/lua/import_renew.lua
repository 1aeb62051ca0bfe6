-- Keeps the lease of an import, and records how much of it has come.
--
-- octet:imports     the lease
-- octet:job:<id>    bytes, size; the song's name, once it is known, for those who delete songs
--
-- ARGV: id, token, lease (ms), bytes, size or '', the song's name or ''.
-- Returns 'go on', 'cancelled' or 'lost'.

local id = ARGV[1]
if field(id, 'token') ~= ARGV[2] then
  return 'lost'
end
redis.call('ZADD', K.IMPORTS, digits(now() + ARGV[3]), id)
local before = field(id, 'bytes')
redis.call('HSET', K.JOB .. id, 'bytes', ARGV[4], 'size', ARGV[5], 'noted', ARGV[6])
if before ~= ARGV[4] then
  announce(id)
end
return field(id, 'cancel') == '1' and 'cancelled' or 'go on'
