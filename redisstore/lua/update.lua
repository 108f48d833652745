-- Changes a record if all guards hold. Returns 1, or {previous user, previous
-- ticket} if it sets a ticket. Returns 0 if a guard does not hold, and -1 if there
-- is no record. All reads come first: a refusal of the first write leaves the record unchanged.
-- ARGV: 1 time of the expiry in milliseconds or ''
--       2 '1' to remove all values that are not set
--       3 guard: last activity before this time in milliseconds, or ''
--       4 guard: '=' and the verifier, or ''
--       5 number of guarded values, 6 number of fields to remove, then
--       field and version ('' if absent) of each guarded value,
--       each field to remove, field and value of each field to set
local key = KEYS[1]
if redis.call('EXISTS', key) == 0 then
  return -1
end
if ARGV[3] ~= '' then
  local seen = tonumber(redis.call('HGET', key, 'seen') or '')
  if seen and seen >= tonumber(ARGV[3]) then
    return 0
  end
end
if ARGV[4] ~= '' and '=' .. (redis.call('HGET', key, 'verifier') or '') ~= ARGV[4] then
  return 0
end
local at = 7
for _ = 1, tonumber(ARGV[5]) do
  local value = redis.call('HGET', key, ARGV[at])
  local version = ARGV[at + 1]
  if value and (version == '' or string.sub(value, 1, 8) ~= version) or not value and version ~= '' then
    return 0
  end
  at = at + 2
end
local set = at + tonumber(ARGV[6])
local before = 1
for i = set, #ARGV, 2 do
  if ARGV[i] == 'ticket' then
    before = redis.call('HMGET', key, 'user', 'ticket')
  end
end
local remove = {}
for i = at, set - 1 do
  remove[#remove + 1] = ARGV[i]
end
if ARGV[2] == '1' then
  local kept = {}
  for i = set, #ARGV, 2 do
    kept[ARGV[i]] = true
  end
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, 2) == 'd:' and not kept[field] then
      remove[#remove + 1] = field
    end
  end
end
for i = set, #ARGV, 1000 do
  redis.call('HSET', key, unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
for i = 1, #remove, 1000 do
  redis.call('HDEL', key, unpack(remove, i, math.min(i + 999, #remove)))
end
if ARGV[1] ~= '' then
  redis.call('PEXPIREAT', key, ARGV[1])
end
return before
