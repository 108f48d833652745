-- Deletes a record. Returns its user and its ticket.
-- ARGV: '1' to write even if there is no record, so that WAIT has a write to
-- wait for
local owner = redis.call('HMGET', KEYS[1], 'user', 'ticket')
if redis.call('DEL', KEYS[1]) == 0 and ARGV[1] == '1' then
  redis.call('HSET', KEYS[1], 'v', '1')
  redis.call('DEL', KEYS[1])
end
return owner
