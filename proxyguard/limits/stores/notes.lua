-- Takes over notes written by an instance, each unless a later one of its name is there.
--
-- KEYS     1 sequence (number of the last change)   2 changes (sorted set: name by the number of its last change)
--          3 notes (hash: name to record)           4 ends (sorted set: name by its end)
-- ARGV     1 Unix seconds, or empty for this server's clock   2 how many names there is room for; then three for each note:
--          name, record, until
-- returns  for each note what holds now: the record, or empty when there was no room for it
--
-- A record has since and until before its text, 8 bytes each. Of two of the same instant the greater text is kept.

local FORGET_STEP = 64

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1e6
end
local capacity = tonumber(ARGV[2])

local over = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, FORGET_STEP)
if #over > 0 then
  redis.call('HDEL', KEYS[3], unpack(over))
  redis.call('ZREM', KEYS[2], unpack(over))
  redis.call('ZREM', KEYS[4], unpack(over))
end

local function is_full()
  return #redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', '+inf', 'LIMIT', capacity - 1, 1) > 0
end

local function outranks(record, stored)
  local since, stored_since = struct.unpack('<d', record), struct.unpack('<d', stored)
  if since ~= stored_since then return since > stored_since end
  return string.sub(record, 17) > string.sub(stored, 17)
end

local answers = {}
for i = 3, #ARGV, 3 do
  local name, record, til = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  local stored = redis.call('HGET', KEYS[3], name)
  if stored and not outranks(record, stored) then
    answers[#answers + 1] = stored
  elseif not stored and (til <= now or is_full()) then
    answers[#answers + 1] = ''
  else
    redis.call('HSET', KEYS[3], name, record)
    redis.call('ZADD', KEYS[4], til, name)
    redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[1]), name)
    answers[#answers + 1] = record
  end
end
return answers
