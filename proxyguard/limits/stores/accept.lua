-- Takes over bans made or lifted by an instance, unless a ban of the key is in force already.
--
-- KEYS     1 sequence (number of the last change)   2 changes (sorted set: key by the number of its last change)
--          3 bans (hash: key to record)             4 ends (sorted set: key by when it may be forgotten)
-- ARGV     1 Unix seconds, or empty for this server's clock; then four for each ban:
--          key, record (empty: lifted), until, forget at
-- returns  for each ban what holds now: the record, or empty when there is none
--
-- A stored record has its `until` before it, 8 bytes. A lifted ban stays in `changes` until it would have been forgotten,
-- so that instances that were away hear of it.

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1e6
end

local answers = {}
for i = 2, #ARGV, 4 do
  local key, record, til, forget = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local stored = redis.call('HGET', KEYS[3], key)
  if record == '' then
    if stored then
      redis.call('HDEL', KEYS[3], key)
      redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[1]), key)
    end
    answers[#answers + 1] = ''
  elseif stored and struct.unpack('<d', stored) > now then
    answers[#answers + 1] = string.sub(stored, 9)
  else
    redis.call('HSET', KEYS[3], key, struct.pack('<d', til) .. record)
    redis.call('ZADD', KEYS[4], forget, key)
    redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[1]), key)
    answers[#answers + 1] = record
  end
end
return answers
