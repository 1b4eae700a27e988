-- Remembers a text that was found harmless, in the place of the oldest if there are too many.
--
-- KEYS     the texts
-- ARGV[1]  >I5 the moment in ms since 2020, 0 for the time of this server
-- ARGV[2]  16 bytes of SimHash
-- ARGV[3]  how long one is remembered, in ms
-- ARGV[4]  how many
local call, up, pk, sub = redis.call, struct.unpack, struct.pack, string.sub
local now, bits, long, most = up('>I5', ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if now == 0 then
  local t = call('TIME')
  now = (t[1] - 1577836800) * 1000 + (t[2] - t[2] % 1000) / 1000
end
local s = call('GET', KEYS[1]) or ''
if #s % 21 > 0 then return redis.error_reply('DAMAGED texts that were released') end
local kept = {}
for i = 1, #s, 21 do
  local away = now - up('>I5', s, i)
  if away < long and -away < long and sub(s, i + 5, i + 20) ~= bits then kept[#kept + 1] = sub(s, i, i + 20) end
end
while #kept >= most do table.remove(kept, 1) end
kept[#kept + 1] = pk('>I5', now) .. bits
call('SET', KEYS[1], table.concat(kept), 'PX', long)
return #kept
