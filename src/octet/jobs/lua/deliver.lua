-- Adds a delivery that is no job's end, due at once.
--
-- octet:webhooks, octet:webhooks:<id>    get it
--
-- ARGV: id, url, body, kind.

deliver(ARGV[1], {
  url = ARGV[2], body = ARGV[3], kind = ARGV[4], outcome = '', state = '',
  job = '', song = '', code = '', error = '', time = digits(now()),
})
