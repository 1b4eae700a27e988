-- Takes back units that were charged at one moment; from both logs as many as both have, or from none.
--
-- KEYS     the agent's log, and its owner's if it has one
-- ARGV[1]  >I5I5 when agent and owner were charged; >I4 how many units; >B 1: only says how many there are
--
-- Where the newest are taken, the moment of the last charge stays behind the units, so that time never runs backwards.
local call, up, pk, sub = redis.call, struct.unpack, struct.pack, string.sub
local at, owner_at, count, only = up('>I5I5I4B', ARGV[1])
local moments = { at, owner_at }
local logs = {}
for i, key in ipairs(KEYS) do
  local s = call('GET', key)
  if not s then return 0 end
  local z = #s % 5
  local n = (#s - z) / 5 - z
  if z > 1 then return redis.error_reply('DAMAGED a key of the counters') end
  local when = moments[i]
  local lo, hi = 1, n + 1
  while lo < hi do
    local m = (lo + hi - (lo + hi) % 2) / 2
    if up('>I5', s, 5 * m - 4) >= when then hi = m else lo = m + 1 end
  end
  local there = 0
  while there < count and lo + there <= n and up('>I5', s, 5 * (lo + there) - 4) == when do there = there + 1 end
  count = there
  logs[i] = { s, z, n, lo }
end
if count == 0 or only == 1 then return count end
for i, key in ipairs(KEYS) do
  local s, z, n, lo = unpack(logs[i])
  local last = sub(s, #s - z - 4, #s - z)
  local rest = sub(s, 1, 5 * lo - 5) .. sub(s, 5 * (lo + count) - 4, 5 * n)
  if sub(rest, -5) ~= last then rest = rest .. last .. 'F' end
  call('SET', key, rest, 'KEEPTTL')
end
return count
