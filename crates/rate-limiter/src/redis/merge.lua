-- Puts units into a log that it should have: once those that were given while this server was away, and those that it
-- knew before, where it has lost them.
--
-- KEYS     the log, and a word that says that this was done
-- ARGV[1]  units given meanwhile, five bytes each, in order: they are added, once however often it is asked
-- ARGV[2]  units that were known before, in order: of each moment there are afterwards at least as many
-- ARGV[3]  >I5 the moment in ms since 2020, 0 for the time of this server
local call, up, pk, sub = redis.call, struct.unpack, struct.pack, string.sub
local HOUR = 3600000
local given, known = ARGV[1], ARGV[2]
if given ~= '' and not call('SET', KEYS[2], '', 'NX', 'PX', 2 * HOUR) then given = '' end
local now = up('>I5', ARGV[3])
if now == 0 then
  local t = call('TIME')
  now = (t[1] - 1577836800) * 1000 + (t[2] - t[2] % 1000) / 1000
end
local s = call('GET', KEYS[1]) or ''
local z = #s % 5
if z > 1 then return redis.error_reply('DAMAGED a key of the counters') end
local last = 0
if #s > 0 then last = up('>I5', s, #s - z - 4) end

-- Two lists as one, in order; big-endian bytes sort as the moments do. What is in both is taken once if it is the same.
local function merged(a, n, b, m, is_same)
  local out, i, j = {}, 1, 1
  while i <= n or j <= m do
    local x = i <= n and sub(a, 5 * i - 4, 5 * i)
    local y = j <= m and sub(b, 5 * j - 4, 5 * j)
    local unit
    if x and (not y or x <= y) then
      unit, i = x, i + 1
      if is_same and x == y then j = j + 1 end
    else
      unit, j = y, j + 1
    end
    if up('>I5', unit) + HOUR > now then out[#out + 1] = unit end
  end
  return table.concat(out), #out
end

local all, count = merged(s, (#s - z) / 5 - z, known, #known / 5, true)
all, count = merged(all, count, given, #given / 5, false)
if count > 0 then last = math.max(last, up('>I5', all, #all - 4)) end
if last + HOUR <= now then return 0 end
if count == 0 or up('>I5', all, #all - 4) < last then all = all .. pk('>I5', last) .. 'F' end
call('SET', KEYS[1], all, 'PX', 60000 + HOUR + last - now)
return #given / 5
