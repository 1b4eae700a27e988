-- Remembers a submission at each of its places, once, and says what was there before.
--
-- KEYS     the places
-- ARGV[1]  >I5 the moment in ms since 2020, 0 for the time of this server
-- ARGV[2]  what is remembered: 16 bytes of SimHash, owner, agent and submission of four bytes each
--
-- A place is what was seen there, in order: a moment of five bytes and what is remembered, 33 bytes in all.
local call, up, pk, sub, find = redis.call, struct.unpack, struct.pack, string.sub, string.find
local HOUR, SIZE, MOST = 3600000, 33, 128
local now, what = up('>I5', ARGV[1]), ARGV[2]
if now == 0 then
  local t = call('TIME')
  now = (t[1] - 1577836800) * 1000 + (t[2] - t[2] % 1000) / 1000
end

local function counts(s, i)
  local away = now - up('>I5', s, SIZE * i - SIZE + 1)
  return away < HOUR and -away < HOUR
end

local function has(s)
  local id, from = sub(what, 25), 1
  while true do
    local at = find(s, id, from, true)
    if not at then return false end
    if (at + 3) % SIZE == 0 and sub(s, at - 24, at - 9) == sub(what, 1, 16) then return true end
    from = at + 1
  end
end

-- Of a place that is full, without what does not count, or else without the oldest of the owner that has most.
local function shorter(s, n)
  local owners, often, most, old = {}, {}, 0, false
  for i = 1, n do
    -- Moment, SimHash and owner in one call, since calls are most of what this costs.
    local at, _, _, owner = up('>I5I8I8I4', s, SIZE * i - SIZE + 1)
    local away = now - at
    if away >= HOUR or -away >= HOUR then
      old = true
      break
    end
    local count = (often[owner] or 0) + 1
    owners[i], often[owner] = owner, count
    if count > most then most = count end
  end
  if old then
    local kept = {}
    for i = 1, n do
      if counts(s, i) then kept[#kept + 1] = sub(s, SIZE * i - SIZE + 1, SIZE * i) end
    end
    return table.concat(kept)
  end
  local i = 1
  while often[owners[i]] < most do i = i + 1 end
  return sub(s, 1, SIZE * i - SIZE) .. sub(s, SIZE * i + 1)
end

local out = { pk('>I5', now) }
for k = 1, #KEYS do
  local s = call('GET', KEYS[k]) or ''
  if #s % SIZE > 0 then return redis.error_reply('DAMAGED a place of campaigns') end
  local n, old = #s / SIZE, 0
  while old < n and not counts(s, old + 1) do old = old + 1 end
  if old > 0 then
    s = sub(s, SIZE * old + 1)
    n = n - old
  end
  out[k + 1] = s
  if n == 0 or not has(s) then
    if n >= MOST then s = shorter(s, n) end
    call('SET', KEYS[k], s .. pk('>I5', now) .. what, 'PX', HOUR + 60000)
  end
end
return out
