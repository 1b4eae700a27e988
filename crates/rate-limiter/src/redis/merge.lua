-- Puts units into a log that were given while this server was away; once, however often it is asked.
--
-- KEYS     the log, and a word that says that this was done
-- ARGV[1]  the units, five bytes each, in order
-- ARGV[2]  >I5 the moment in ms since 2020, 0 for the time of this server
local call, up, pk, sub = redis.call, struct.unpack, struct.pack, string.sub
local HOUR = 3600000
if not call('SET', KEYS[2], '', 'NX', 'PX', 2 * HOUR) then return 0 end
local now = up('>I5', ARGV[2])
if now == 0 then
  local t = call('TIME')
  now = (t[1] - 1577836800) * 1000 + (t[2] - t[2] % 1000) / 1000
end
local s, t = call('GET', KEYS[1]) or '', ARGV[1]
local z = #s % 5
local n, m = (#s - z) / 5 - z, #t / 5
local floor = 0
if #s > 0 then floor = up('>I5', s, #s - z - 4) end
local out, i, j = {}, 1, 1
while i <= n or j <= m do
  local a = i <= n and sub(s, 5 * i - 4, 5 * i)
  local b = j <= m and sub(t, 5 * j - 4, 5 * j)
  local unit
  -- Big-endian bytes sort as the moments do.
  if a and (not b or a <= b) then
    unit, i = a, i + 1
  else
    unit, j = b, j + 1
  end
  if up('>I5', unit) + HOUR > now then out[#out + 1] = unit end
end
local merged = table.concat(out)
local last = floor
if #out > 0 then last = math.max(floor, up('>I5', out[#out])) end
if last + HOUR <= now then return 0 end
if #out == 0 or up('>I5', out[#out]) < last then merged = merged .. pk('>I5', last) .. 'F' end
call('SET', KEYS[1], merged, 'PX', 60000 + HOUR + last - now)
return m
