-- Counts one request: all of its charges, or none of them when a stopping limit is exceeded.
-- The same arithmetic as gcra.py and memory.py, step by step; the contract suite runs over both.
--
-- KEYS     the counters, one per charge (a key may stand there twice)
-- ARGV[1]  msgpack: a list of { period / amount in seconds, burst, cost, flags }; flags: 1 stops, 2 owed
-- ARGV[2]  Unix seconds, or empty for this server's clock
-- returns  msgpack: a list of { exceeded, remaining, seconds to wait }
--
-- A counter is 16 bytes: two doubles, as `State` in gcra.py. It expires when it may be forgotten.

local TOLERANCE = 1e-3
local DEBT_BURSTS = 2

local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1e6
end

-- Returns the backlog after the charge (nil when unchanged), exceeded, remaining, seconds to wait.
local function charge(state, unit, burst, cost, owed)
  local room = burst * unit
  local most = DEBT_BURSTS * room
  local backlog = (state[1] - now) + state[2]
  if backlog <= 0 then
    backlog = 0
  elseif backlog > most then
    backlog = most
  end
  local asked = unit
  if cost ~= 0 then asked = cost * unit end
  if asked > room and not owed then asked = room end
  local after = backlog + asked
  local slack = TOLERANCE * unit
  local exceeded = after > room + slack
  local changed = nil
  if cost ~= 0 and (owed or not exceeded) then
    backlog = math.min(after, most)
    changed = backlog
  end
  local left = room - backlog + slack
  local wait = 0
  if exceeded then wait = after - room end
  return changed, exceeded, math.max(0, math.floor(left / unit)), wait
end

local charges = cmsgpack.unpack(ARGV[1])
local stored = redis.call('MGET', unpack(KEYS))
local states = {}
for i, key in ipairs(KEYS) do
  if not states[key] then
    local first, second = 0, 0
    if stored[i] then first, second = struct.unpack('<dd', stored[i]) end
    states[key] = { first, second }
  end
end

local answers, changes, stopped = {}, {}, false
for i, one in ipairs(charges) do
  local key = KEYS[i]
  local stops = one[4] % 2 == 1
  local owed = one[4] >= 2
  local backlog, exceeded, remaining, wait = charge(changes[key] or states[key], one[1], one[2], one[3], owed)
  if backlog then
    local whole = now + backlog
    changes[key] = { whole, backlog - (whole - now), backlog }
  end
  answers[i] = { exceeded, remaining, wait }
  stopped = stopped or (stops and exceeded)
end

if stopped then
  for i, one in ipairs(charges) do
    if not answers[i][1] then
      local _, _, remaining = charge(states[KEYS[i]], one[1], one[2], 0, false)
      answers[i] = { false, remaining, 0 }
    end
  end
else
  for key, change in pairs(changes) do
    redis.call('SET', key, struct.pack('<dd', change[1], change[2]), 'PX', math.ceil(change[3] * 1000) + 1)
  end
end
return cmsgpack.pack(answers)
