-- Decides asks, one after the other at one moment, and charges what fits: agent and owner, hour and minute, or nothing.
--
-- KEYS     each log and each word that the asks name, once
-- ARGV[1]  empty, or >I5 the moment in ms since 2020, 0 for the time of this server; >I4 how many bytes of logs are handed
--          back whole, 2048 if not said
-- ARGV[j]  >HHH the places of the agent's log, its word and its owner's log (0: none) among the keys; >I4 units;
--          >B 1 only looks, 2 has an override; >I5I5 base x trust in hundredths, hour and minute;
--          >BBB penalties in hundredths; >I5I5I5 end of the override and what it allows in hundredths;
--          >I5 before which nothing is decided
--
-- A log is its units, five bytes each, in order; after a refund of the newest also the last moment of charging and an F.
-- A word is four moments: the ends of the three penalties and of a suspension, the greatest for one that does not end.
local call, up, pk, sub = redis.call, struct.unpack, struct.pack, string.sub
local HOUR, MINUTE, NEVER = 3600000, 60000, 1099511627775
local vals = call('MGET', unpack(KEYS))
local now, whole = 0, 2048
if ARGV[1] ~= '' then now, whole = up('>I5I4', ARGV[1]) end
if now == 0 then
  local t = call('TIME')
  now = (t[1] - 1577836800) * 1000 + (t[2] - t[2] % 1000) / 1000
end
local out = {}

-- What most asks are: no penalty, no override, short logs. Everything below says the same of them, and more; here nothing
-- is called and no function is made, since that is most of what a script costs.
local from = 2
while ARGV[from] do
  local ia, ix, io, c, flags, h, b = up('>HHHI4BI5I5', ARGV[from])
  local s, o = vals[ia] or '', vals[io] or ''
  local n, m = #s / 5, #o / 5
  if flags > 1 or vals[ix] or n > 128 or m > 128 or #s % 5 > 0 or #o % 5 > 0 or #s + #o > whole then break end
  local at = now
  if n > 0 then
    local last = up('>I5', s, #s - 4)
    if last > at then at = last end
  end
  if m > 0 then
    local last = up('>I5', o, #o - 4)
    if last > at then at = last end
  end
  local lh, lb = (h - h % 100) / 100, (b - b % 100) / 100
  if lh < 1 and h > 0 then lh = 1 end
  if lb < 1 and b > 0 then lb = 1 end
  local hour, minute, code = at - HOUR, at - MINUTE, 0
  local i, j = n - lh + c, n - lb + c
  if c > lh or c > lb or (i > 0 and up('>I5', s, 5 * i - 4) > hour) or (j > 0 and up('>I5', s, 5 * j - 4) > minute) then
    code = 1
  elseif io > 0 then
    i, j = m - 10 * lh + c, m - 10 * lb + c
    if (i > 0 and up('>I5', o, 5 * i - 4) > hour) or (j > 0 and up('>I5', o, 5 * j - 4) > minute) then code = 1 end
  end
  out[from - 1] = pk('>BI5BI4', code, now, 0, #s) .. s .. o
  if code == 0 and c > 0 and flags == 0 then
    local units, ttl = pk('>I5', at), 3660000 + at - now
    if c > 1 then units = string.rep(units, c) end
    if n > 0 and up('>I5', s, 1) <= hour then
      i = 2
      while i <= n and up('>I5', s, 5 * i - 4) <= hour do i = i + 1 end
      s = sub(s, 5 * i - 4)
    end
    s = s .. units
    vals[ia] = s
    call('SET', KEYS[ia], s, 'PX', ttl)
    if io > 0 then
      if m > 0 and up('>I5', o, 1) <= hour then
        i = 2
        while i <= m and up('>I5', o, 5 * i - 4) <= hour do i = i + 1 end
        o = sub(o, 5 * i - 4)
      end
      o = o .. units
      vals[io] = o
      call('SET', KEYS[io], o, 'PX', ttl)
    end
  end
  from = from + 1
end
if not ARGV[from] then return out end

local uh, um, p1, p2, p3, ov, vh, vm, e1, e2, e3, e4

local function floored(product, unit, base)
  local l = (product - product % unit) / unit
  if l < 1 and base > 0 then return 1 end
  return l
end

-- The limits at t: the agent's hour and minute, its owner's hour and minute.
local function limits(t)
  local h, b = uh, um
  if t < ov then h, b = vh, vm end
  local oh, ob = 10 * floored(h, 100, h), 10 * floored(b, 100, b)
  local ph, pb, unit = h, b, 100
  if t < e1 then ph, pb, unit = ph * p1, pb * p1, unit * 100 end
  if t < e2 then ph, pb, unit = ph * p2, pb * p2, unit * 100 end
  if t < e3 then ph, pb, unit = ph * p3, pb * p3, unit * 100 end
  return floored(ph, unit, h), floored(pb, unit, b), oh, ob
end

-- Whether c more are too many at the moment at.
local function late(s, n, limit, span, c, at)
  if c > limit then return true end
  local i = n - limit + c
  return i > 0 and up('>I5', s, 5 * i - 4) + span > at
end

-- From when on c more fit; nil for never.
local function free(s, n, limit, span, c)
  if c > limit then return nil end
  local i = n - limit + c
  if i > 0 then return up('>I5', s, 5 * i - 4) + span end
  return 0
end

-- The place of the first unit that is younger than span at the moment at.
local function first(s, n, span, at)
  if n == 0 or up('>I5', s, 1) + span > at then return 1 end
  local lo, hi = 2, n + 1
  while lo < hi do
    local m = (lo + hi - (lo + hi) % 2) / 2
    if up('>I5', s, 5 * m - 4) + span > at then hi = m else lo = m + 1 end
  end
  return lo
end

-- Writes a log with more units, without those that are older than an hour where that is worth it.
local function add(key, s, z, n, units, at)
  local ttl = 3660000 + at - now
  if n == 0 then
    call('SET', key, units, 'PX', ttl)
    return units
  end
  if z > 0 then s = sub(s, 1, 5 * n) end
  local dead = 0
  local eighth = n <= 128 and 1 or (n - n % 8) / 8
  if up('>I5', s, 5 * eighth - 4) + HOUR <= at then dead = first(s, n, HOUR, at) - 1 end
  if n <= 128 or z > 0 or dead > 0 then
    s = sub(s, 5 * dead + 1) .. units
    call('SET', key, s, 'PX', ttl)
    return s
  end
  call('APPEND', key, units)
  -- Whoever charged first in this minute has made the key last a minute longer than its units.
  local last = up('>I5', s, 5 * n - 4)
  if last - last % MINUTE ~= at - at % MINUTE then call('PEXPIRE', key, ttl) end
  return s .. units
end

-- How one account stands: the last charge, and for each window what is used, the oldest that is, and the first that has
-- to go before one more fits than now.
local function sum(s, z, n, hour, minute, at)
  local function window(limit, span)
    local f = first(s, n, span, at)
    local used, oldest, over = n + 1 - f, 0, 0
    if used > 0 then oldest = up('>I5', s, 5 * f - 4) end
    if used > limit and limit > 0 then over = up('>I5', s, 5 * (n - limit + 1) - 4) end
    return used, oldest, over
  end
  local last = 0
  if #s > 0 then last = up('>I5', s, #s - z - 4) end
  local a, b, c = window(hour, HOUR)
  local d, e, f = window(minute, MINUTE)
  return pk('>I5I4I5I5I4I5I5', last, a, b, c, d, e, f)
end

for j = from, #ARGV do
  local ask = ARGV[j]
  local ia, ix, io, c, flags, h, b = up('>HHHI4BI5I5', ask)
  uh, um = h, b
  local s, x, o = vals[ia] or '', vals[ix] or '', vals[io] or ''
  local z, oz = #s % 5, #o % 5
  if z > 1 or oz > 1 or (#x ~= 0 and #x ~= 20) then return redis.error_reply('DAMAGED a key of the counters') end
  local n, m = (#s - z) / 5 - z, (#o - oz) / 5 - oz
  local at = now
  if #s > 0 then
    local last = up('>I5', s, #s - z - 4)
    if last > at then at = last end
  end
  if #o > 0 then
    local last = up('>I5', o, #o - oz - 4)
    if last > at then at = last end
  end
  local lh, lb, oh, ob, held
  if flags < 2 and #x == 0 then
    e1, e2, e3, e4, ov = 0, 0, 0, 0, 0
    lh, lb = floored(h, 100, h), floored(b, 100, b)
    oh, ob = 10 * lh, 10 * lb
  else
    local floor
    p1, p2, p3, ov, vh, vm, floor = up('>BBBI5I5I5I5', ask, 22)
    if floor > at then at = floor end
    if #x == 0 then e1, e2, e3, e4 = 0, 0, 0, 0 else e1, e2, e3, e4 = up('>I5I5I5I5', x) end
    lh, lb, oh, ob = limits(at)
    held = at < e4 or e4 == NEVER
  end
  local no = held or late(s, n, lh, HOUR, c, at) or late(s, n, lb, MINUTE, c, at)
    or (io > 0 and (late(o, m, oh, HOUR, c, at) or late(o, m, ob, MINUTE, c, at)))
  local code = no and 1 or 0
  if #s + #o <= whole then
    out[j - 1] = pk('>BI5BI4', code, now, #x, #s) .. x .. s .. o
  else
    local wait = 0
    local since = at
    while no do
      local nx
      for _, e in ipairs({ e1, e2, e3, e4, ov }) do
        if since < e and e < NEVER and (not nx or e < nx) then nx = e end
      end
      local T
      if not (since < e4 or e4 == NEVER) then
        local ah, ab, wh, wb = limits(since)
        local a, d = free(s, n, ah, HOUR, c), free(s, n, ab, MINUTE, c)
        T = a and d and math.max(a, d, since)
        if T and io > 0 then
          a, d = free(o, m, wh, HOUR, c), free(o, m, wb, MINUTE, c)
          T = a and d and math.max(T, a, d)
        end
      end
      if T and (not nx or T < nx) then
        wait = T
        break
      end
      if not nx then break end
      since = nx
    end
    local owner = ''
    if io > 0 then owner = sum(o, oz, m, oh, ob, at) end
    out[j - 1] = pk('>BI5BI5', code + 2, now, #x, wait) .. x .. sum(s, z, n, lh, lb, at) .. owner
  end
  if not no and c > 0 and flags % 2 == 0 then
    local units = pk('>I5', at)
    if c > 1 then units = string.rep(units, c) end
    vals[ia] = add(KEYS[ia], s, z, n, units, at)
    if io > 0 then vals[io] = add(KEYS[io], o, oz, m, units, at) end
  end
end
return out
