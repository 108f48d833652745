-- Adds a member to the index of a user. Removes the members whose deadline is
-- before ARGV[4].
-- ARGV: 1 deadline in milliseconds or '+inf', 2 member, 3 time of the index's
-- expiry or '', 4 time in milliseconds
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[4])
local is_new = redis.call('EXISTS', KEYS[1]) == 0
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
if ARGV[3] == '' then
  redis.call('PERSIST', KEYS[1])
elseif is_new then
  redis.call('PEXPIREAT', KEYS[1], ARGV[3])
else
  local at = redis.call('PEXPIRETIME', KEYS[1])
  if at >= 0 and at < tonumber(ARGV[3]) then
    redis.call('PEXPIREAT', KEYS[1], ARGV[3])
  end
end
return 1
