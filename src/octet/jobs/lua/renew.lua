-- Keeps the lease of a claim, and records its progress.
--
-- octet:job:<id>    lease, percent, left
-- octet:workers     the worker's heartbeat
--
-- ARGV: id, token, worker, lease (ms), percent or '', seconds left or ''.
-- Returns 'go on', 'cancelled' or 'lost'.

local id = ARGV[1]
local record = K.JOB .. id
if field(id, 'token') ~= ARGV[2] then
  return 'lost'
end
local expiry = digits(now() + ARGV[4])
redis.call('HSET', record, 'lease', expiry, 'lease_ms', ARGV[4])
redis.call('ZADD', K.WORKERS, expiry, ARGV[3])
if ARGV[5] ~= '' then
  redis.call('HSET', record, 'percent', ARGV[5], 'left', ARGV[6])
  announce(id)
end
local unwanted = field(id, 'cancel') == '1' or field(id, 'superseded') == '1'
return unwanted and 'cancelled' or 'go on'
