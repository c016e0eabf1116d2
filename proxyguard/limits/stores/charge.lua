-- Counts one request: all of its charges, or none of them when a stopping limit is exceeded.
-- The same arithmetic as gcra.py, calendar_window.py, sketch.py, concurrent.py, sliding_log.py and memory.py, step by step; tests
-- run all over both.
--
-- KEYS     the counters, one per charge (a key may stand there twice)
-- ARGV[1]  msgpack: a list of { kind, cost, flags, numbers }; flags: 1 stops, 2 owed; kind and its numbers:
--          0 sliding   period / amount in seconds, burst
--          1 calendar  amount, start, end and next end of the window at the caller's clock
--          2 distinct  amount, 8-byte hash of the value as two numbers (this msgpack has no bytes), period,
--                      and for a calendar window start, end, next end
--          3 under way amount, the holder as two numbers, seconds of its lease
--          4 log       amount, period
-- ARGV[2]  Unix seconds, or empty for this server's clock
-- returns  msgpack: a list of { exceeded, remaining, seconds to wait }
--
-- A counter is 16 bytes: two doubles, as the states in gcra.py and calendar_window.py; a sketch as in sketch.py, a log as in
-- sliding_log.py;
-- of requests under way 24 bytes for each holder: the holder, how many, until when.
-- Each expires when it may be forgotten.

local SLIDING, CALENDAR, DISTINCT, UNDER_WAY, LOG = 0, 1, 2, 3, 4
local HOLDER_BYTES, UNDER_WAY_WAIT = 24, 1
local TOLERANCE, DEBT_BURSTS = 1e-3, 2
local CALENDAR_TOLERANCE = 1e-9
local EXACT_UP_TO, REGISTERS, ITEM_BYTES, HEAD_BYTES = 128, 1024, 8, 18
local TICKS, EARLY, LOG_MARK, LOG_HEAD_BYTES, TIME_BYTES, MOST_TICKS = 1000, 1e-3, 1, 19, 4, 2 ^ 32
local ALPHA = 0.7213 / (1 + 1.079 / REGISTERS)

local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1e6
end

local function counter(stored)
  if not stored then return 0, 0 end
  return struct.unpack('<dd', stored)
end

-- Each kind returns: the new value and the seconds until it may be forgotten (nil when unchanged), exceeded, remaining, wait.

local function sliding(stored, cost, owed, unit, burst)
  local whole, rest = counter(stored)
  local room = burst * unit
  local most = DEBT_BURSTS * room
  local backlog = (whole - now) + rest
  if backlog <= 0 then
    backlog = 0
  elseif backlog > most then
    backlog = most
  end
  local asked = unit
  if cost ~= 0 then asked = cost * unit end
  if asked > room and not owed then asked = room end
  local after = backlog + asked
  if after < 0 then
    if backlog == 0 then return nil, nil, false, burst, 0 end
    after = 0
  end
  local fits = room + TOLERANCE * unit
  local exceeded = after > fits
  local value, seconds = nil, nil
  if cost ~= 0 and (owed or not exceeded) then
    backlog = math.min(after, most)
    whole = now + backlog
    value, seconds = struct.pack('<dd', whole, backlog - (whole - now)), backlog
  end
  local wait = 0
  if exceeded then wait = after - room end
  return value, seconds, exceeded, math.max(0, math.floor((fits - backlog) / unit)), wait
end

local function window_end(first, last, next_last)
  if now < first then return first end
  if now < last then return last end
  return next_last
end

local function calendar(stored, cost, owed, amount, first, last, next_last)
  local edge = window_end(first, last, next_last)
  local stored_edge, used = counter(stored)
  if stored_edge ~= edge then used = 0 end
  local asked = cost
  if not owed then
    if cost == 0 then asked = 1 end
    asked = math.min(asked, amount)
  end
  if cost < 0 and used == 0 then return nil, nil, false, amount, 0 end
  local most = amount * (1 + CALENDAR_TOLERANCE)
  local exceeded = used + asked > most
  local value, seconds = nil, nil
  if cost ~= 0 and (owed or not exceeded) then
    used = math.max(0, used + asked)
    value, seconds = struct.pack('<dd', edge, used), edge - now
  end
  local wait = 0
  if exceeded then wait = edge - now end
  return value, seconds, exceeded, math.max(0, math.floor(most - used)), wait
end

local function exact_count(state)
  if state == '' then return 0 end
  return (#state - 8) / ITEM_BYTES
end

local function with_exact(state, edge, item)
  local at = string.find(state, item, 9, true)
  while at and (at - 9) % ITEM_BYTES ~= 0 do
    at = string.find(state, item, at + 1, true)
  end
  if at then return state end
  if state == '' then state = struct.pack('<d', edge) end
  return state .. item
end

local function estimate(state)
  if state == '' then return 0 end
  local _, total, zeros = struct.unpack('<ddH', state)
  local raw = ALPHA * REGISTERS * REGISTERS / total
  if raw <= 2.5 * REGISTERS and zeros > 0 then return REGISTERS * math.log(REGISTERS / zeros) end
  return raw
end

-- The register is the first 10 bits of the hash, the rank one more than the zeros that the other 54 begin with.
local function register_and_rank(item)
  local first, second = string.byte(item, 1, 2)
  local index = first * 4 + math.floor(second / 64)
  local bits, value, position = 6, second % 64, 2
  local rank = 1
  while value == 0 and position < 8 do
    rank = rank + bits
    position = position + 1
    bits, value = 8, string.byte(item, position)
  end
  if value == 0 then return index, rank + bits end
  local half = 2 ^ (bits - 1)
  while value < half do
    rank = rank + 1
    half = half / 2
  end
  return index, rank
end

local function with_register(state, edge, item)
  local index, rank = register_and_rank(item)
  local total, zeros, _
  if state == '' then
    total, zeros = REGISTERS, REGISTERS
    state = struct.pack('<ddH', edge, total, zeros) .. string.rep('\0', REGISTERS)
  else
    _, total, zeros = struct.unpack('<ddH', state)
  end
  local at = HEAD_BYTES + 1 + index
  local present = string.byte(state, at)
  if rank <= present then return state end
  total = total + (2 ^ -rank - 2 ^ -present)
  if present == 0 then zeros = zeros - 1 end
  return struct.pack('<ddH', edge, total, zeros)
    .. string.sub(state, HEAD_BYTES + 1, at - 1) .. string.char(rank) .. string.sub(state, at + 1)
end

local function is_sketch(state)
  return #state == HEAD_BYTES + REGISTERS
end

local function sketched(state)
  if state == '' or is_sketch(state) then return state end
  local edge, found = struct.unpack('<d', state), ''
  for at = 9, #state, ITEM_BYTES do
    found = with_register(found, edge, string.sub(state, at, at + ITEM_BYTES - 1))
  end
  return found
end

local function distinct(stored, cost, owed, amount, high, low, period, first, last, next_last)
  local item = struct.pack('>I4I4', high, low)
  local state = stored or ''
  if state ~= '' and struct.unpack('<d', state) <= now then state = '' end
  local edge
  if state ~= '' then
    edge = struct.unpack('<d', state)
  elseif first then
    edge = window_end(first, last, next_last)
  else
    edge = now + period
  end
  local exact = amount <= EXACT_UP_TO and not is_sketch(state)
  local count, with = estimate, with_register
  if exact then count, with = exact_count, with_exact else state = sketched(state) end
  local before = count(state)
  local changed = with(state, edge, item)
  local exceeded
  local value, seconds = nil, nil
  if cost == 0 then
    exceeded = before + 1 > amount
  else
    local after = count(changed)
    exceeded = after > amount and changed ~= state
    if (not exceeded or (owed and not exact)) and changed ~= state then
      value, seconds, before = changed, edge - now, after
    end
  end
  local wait = 0
  if exceeded then wait = edge - now end
  return value, seconds, exceeded, math.max(0, math.floor(amount - before)), wait
end

local function under_way(stored, cost, owed, amount, high, low, lease)
  local holder = struct.pack('>I4I4', high, low)
  local own, others, kept, last = 0, 0, {}, now
  for at = 1, #(stored or ''), HOLDER_BYTES do
    local count, edge = struct.unpack('<dd', stored, at + 8)
    if edge > now then
      if string.sub(stored, at, at + 7) == holder then
        own = count
      else
        others = others + count
        last = math.max(last, edge)
        kept[#kept + 1] = string.sub(stored, at, at + HOLDER_BYTES - 1)
      end
    end
  end
  local exceeded = false
  if owed then
    if cost > 0 then own = cost else own = math.max(0, own + cost) end
  else
    exceeded = own + others + 1 > amount
    if cost ~= 0 and not exceeded then own = own + 1 end
  end
  local value, seconds = nil, nil
  if cost ~= 0 and not exceeded then
    if own > 0 then
      kept[#kept + 1] = holder .. struct.pack('<dd', own, now + lease)
      last = math.max(last, now + lease)
    end
    value, seconds = table.concat(kept), last - now
  end
  local wait = 0
  if exceeded then wait = UNDER_WAY_WAIT end
  return value, seconds, exceeded, math.max(0, amount - own - others), wait
end

local function time_of(state, at)
  return (struct.unpack('<I4', state, LOG_HEAD_BYTES + at * TIME_BYTES + 1))
end

local function packed_log(times, base, period, amount)
  local last = now
  if times ~= '' then last = (base + struct.unpack('<I4', times, #times - TIME_BYTES + 1) + period) / TICKS end
  return struct.pack('<ddHB', last, base, amount, LOG_MARK) .. times, math.max(0, last - now)
end

local function moved(times, base)
  local first = struct.unpack('<I4', times)
  local parts = {}
  for at = 1, #times, TIME_BYTES do
    parts[#parts + 1] = struct.pack('<I4', struct.unpack('<I4', times, at) - first)
  end
  return table.concat(parts), base + first
end

local function log(stored, cost, owed, amount, seconds)
  local state = stored or ''
  local period = math.ceil(seconds * TICKS - EARLY)
  local at, till = math.ceil(now * TICKS - EARLY), math.floor(now * TICKS + EARLY)
  local base, count = at, 0
  if state ~= '' then count = (#state - LOG_HEAD_BYTES) / TIME_BYTES end
  if count > 0 then
    base = struct.unpack('<d', state, 9)
    local newest = base + time_of(state, count - 1)
    if newest - at > period then
      base = base + at - newest
    elseif newest > at then
      at, till = newest, newest - 1
    end
  end
  local low, high, edge = 0, count, till - period - base
  while low < high do
    local middle = math.floor((low + high) / 2)
    if time_of(state, middle) <= edge then low = middle + 1 else high = middle end
  end
  local over, used = low, count - low
  local units = math.ceil(cost)
  if units < 0 then
    if used == 0 then return nil, nil, false, amount, 0 end
    local kept = math.max(0, used + units)
    local first = LOG_HEAD_BYTES + over * TIME_BYTES + 1
    local value, life = packed_log(string.sub(state, first, first + kept * TIME_BYTES - 1), base, period, amount)
    return value, life, false, amount - kept, 0
  end
  local asked = math.min(amount, units == 0 and 1 or units)
  local exceeded = used + asked > amount
  local wait = 0
  if exceeded then
    local awaited = over + math.min(used, used + asked - amount) - 1
    wait = seconds
    if awaited >= over then wait = math.max(0, (base + time_of(state, awaited) + period) / TICKS - now) end
  end
  local value, life = nil, nil
  if units ~= 0 and (owed or not exceeded) then
    local dropped = math.max(0, used + asked - amount)
    local times = string.sub(state, LOG_HEAD_BYTES + (over + dropped) * TIME_BYTES + 1)
    if times == '' then
      base = at
    elseif at - base >= MOST_TICKS then
      times, base = moved(times, base)
    end
    value, life = packed_log(times .. string.rep(struct.pack('<I4', at - base), asked), base, period, amount)
    used = used + asked - dropped
  end
  return value, life, exceeded, amount - used, wait
end

local kinds = {
  [SLIDING] = sliding, [CALENDAR] = calendar, [DISTINCT] = distinct, [UNDER_WAY] = under_way, [LOG] = log,
}

local charges = cmsgpack.unpack(ARGV[1])
local stored = redis.call('MGET', unpack(KEYS))
local states = {}
for i, key in ipairs(KEYS) do states[key] = stored[i] end

local answers, changes, ends, stopped = {}, {}, {}, false
for i, one in ipairs(charges) do
  local key, cost, flags = KEYS[i], one[2], one[3]
  local value, seconds, exceeded, remaining, wait =
    kinds[one[1]](changes[key] or states[key], cost, flags >= 2, unpack(one, 4))
  if value then changes[key], ends[key] = value, seconds end
  answers[i] = { exceeded, remaining, wait }
  stopped = stopped or (flags % 2 == 1 and exceeded)
end

if stopped then
  for i, one in ipairs(charges) do
    if not answers[i][1] then
      local _, _, _, remaining = kinds[one[1]](states[KEYS[i]], 0, false, unpack(one, 4))
      answers[i] = { false, remaining, 0 }
    end
  end
else
  for key, value in pairs(changes) do
    redis.call('SET', key, value, 'PX', math.ceil(ends[key] * 1000) + 1)
  end
end
return cmsgpack.pack(answers)
