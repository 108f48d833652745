-- Returns a record, and writes without effects. Only a primary can write, and
-- WAIT needs a write to wait for.
local record = redis.call('HGETALL', KEYS[1])
if #record == 0 then
  redis.call('HSET', KEYS[1], 'v', '1')
  redis.call('DEL', KEYS[1])
else
  redis.call('HSET', KEYS[1], record[1], record[2])
end
return record
