-- What changed among the bans since an instance last asked; forgets a few that are over.
--
-- KEYS     1 sequence   2 changes   3 bans   4 ends   5 generation; see accept.lua
-- ARGV     1 Unix seconds, or empty for this server's clock   2 sequence that the instance knows   3 how many at most
--          4 a name for this generation of the store if it has none (it was started empty, or flushed)
-- returns  { generation, clock as text, sequence up to which this goes, whether that is all, key, record, key, record, … }
--          with an empty record for a lifted ban

local FORGET_STEP = 64

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1e6
end

redis.call('SET', KEYS[5], ARGV[4], 'NX')
local generation = redis.call('GET', KEYS[5])

local over = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, FORGET_STEP)
if #over > 0 then
  redis.call('HDEL', KEYS[3], unpack(over))
  redis.call('ZREM', KEYS[2], unpack(over))
  redis.call('ZREM', KEYS[4], unpack(over))
end

local changed = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
local sequence, all = ARGV[2], 1
if #changed > 0 then sequence = changed[#changed] end
if #changed == 2 * tonumber(ARGV[3]) then all = 0 end
local answer = { generation, string.format('%.6f', now), tonumber(sequence), all }
for i = 1, #changed, 2 do
  local stored = redis.call('HGET', KEYS[3], changed[i])
  answer[#answer + 1] = changed[i]
  answer[#answer + 1] = stored and string.sub(stored, 9) or ''
end
return answer
