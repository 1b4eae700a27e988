-- Changes what is known of one agent besides its units: its offences and what follows from them, or its suspension.
--
-- KEYS     the agent's word; and its offences, where these are changed
-- ARGV     suspend: >I5 until when, 0 for no more
--          offences: as they were, as they are to be, >I5I5I5 the ends of the three penalties
--
-- Returns whether it was suspended; for offences 1, or 0 if they were not as they were said to have been.
local call, up, pk, sub = redis.call, struct.unpack, struct.pack, string.sub
local DAYS, NEVER = 8 * 86400000, '\255\255\255\255\255'
local NONE = '\0\0\0\0\0'
local word = call('GET', KEYS[1])
if word and #word ~= 20 then return redis.error_reply('DAMAGED a key of the counters') end
word = word or string.rep('\0', 20)
local ends, suspended = sub(word, 1, 15), sub(word, 16)
local answer
if #KEYS == 1 then
  answer = suspended == NONE and 0 or 1
  suspended = ARGV[1]
else
  if (call('GET', KEYS[2]) or '') ~= ARGV[1] then return 0 end
  if ARGV[2] == '' then call('DEL', KEYS[2]) else call('SET', KEYS[2], ARGV[2], 'PX', DAYS) end
  answer, ends = 1, ARGV[3]
end
if suspended == NEVER then
  call('SET', KEYS[1], ends .. suspended)
elseif ends == string.rep('\0', 15) and suspended == NONE then
  call('DEL', KEYS[1])
else
  local ttl = DAYS
  if suspended ~= NONE then
    local t = call('TIME')
    local now = (t[1] - 1577836800) * 1000 + (t[2] - t[2] % 1000) / 1000
    ttl = math.max(ttl, up('>I5', suspended) - now + 86400000)
  end
  call('SET', KEYS[1], ends .. suspended, 'PX', ttl)
end
return answer
