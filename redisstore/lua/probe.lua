-- Calls every command of the store on a key that exists only during the script.
-- Open runs it to find a missing permission, a replica or an old server.
local key = KEYS[1]
redis.call('HSET', key, 'v', '1')
redis.call('HGET', key, 'v')
redis.call('HMGET', key, 'v')
redis.call('HKEYS', key)
redis.call('HGETALL', key)
redis.call('HDEL', key, 'none')
redis.call('EXISTS', key)
redis.call('PEXPIREAT', key, '9999999999999')
redis.call('PEXPIRETIME', key)
redis.call('PERSIST', key)
redis.call('DEL', key)
redis.call('ZADD', key, 1, 'v')
redis.call('ZRANGE', key, 0, -1)
redis.call('ZREMRANGEBYSCORE', key, 0, 0)
redis.call('ZREM', key, 'v')
redis.call('DEL', key)
return 1
