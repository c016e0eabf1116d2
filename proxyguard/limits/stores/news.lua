-- What changed among bans and notes since an instance last asked; forgets a few that are over.
--
-- KEYS     1 sequence   2 changes   3 bans   4 ends   5 generation; see accept.lua
--          6 changes    7 notes     8 ends; see notes.lua
-- ARGV     1 Unix seconds, or empty for this server's clock   2 sequence up to which the instance knows bans
--          3 how many of each at most
--          4 a name for this generation of the store if it has none (it was started empty, or flushed)
--          5 sequence up to which the instance knows notes
-- returns  { generation, clock as text, whether that is all, sequence up to which this goes, { key, record, … },
--          the same of notes, { name, record, … } }, with an empty record for a lifted ban

local FORGET_STEP = 64

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1e6
end

redis.call('SET', KEYS[5], ARGV[4], 'NX')
local generation = redis.call('GET', KEYS[5])
local most = tonumber(ARGV[3])

local function forget(changes, records, ends)
  local over = redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, FORGET_STEP)
  if #over > 0 then
    redis.call('HDEL', records, unpack(over))
    redis.call('ZREM', changes, unpack(over))
    redis.call('ZREM', ends, unpack(over))
  end
end

-- Each record begins with bytes that only the scripts need, up to `from`.
local function since(sequence, changes, records, from)
  local changed = redis.call('ZRANGEBYSCORE', changes, '(' .. sequence, '+inf', 'WITHSCORES', 'LIMIT', 0, most)
  if #changed > 0 then sequence = changed[#changed] end
  local found = {}
  for i = 1, #changed, 2 do
    local stored = redis.call('HGET', records, changed[i])
    found[#found + 1] = changed[i]
    found[#found + 1] = stored and string.sub(stored, from) or ''
  end
  return tonumber(sequence), found, #changed < 2 * most
end

forget(KEYS[2], KEYS[3], KEYS[4])
forget(KEYS[6], KEYS[7], KEYS[8])
local sequence, bans, all_bans = since(ARGV[2], KEYS[2], KEYS[3], 9)
local note_sequence, notes, all_notes = since(ARGV[5], KEYS[6], KEYS[7], 1)
local all = 0
if all_bans and all_notes then all = 1 end
return { generation, string.format('%.6f', now), all, sequence, bans, note_sequence, notes }
