-- Request ids: the time and random bits as our ids are written.

local ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
local PAIRS = {}
-- Ten bits at a time: an id is then put together by one concatenation instead of twenty-six.
for i = 0, 1023 do
  local high, low = math.floor(i / 32) + 1, i % 32 + 1
  PAIRS[i] = ALPHABET:sub(high, high) .. ALPHABET:sub(low, low)
end

-- 40 bits as eight base32 symbols; a double holds them exactly.
local function eight(value)
  local low = value % 1048576
  local high = (value - low) / 1048576
  local a, c = high % 1024, low % 1024
  return PAIRS[(high - a) / 1024] .. PAIRS[a] .. PAIRS[(low - c) / 1024] .. PAIRS[c]
end

local stamp_ms, stamp_text = -1, ""
local function time_symbols(ms)
  if ms ~= stamp_ms then
    local low = ms % 1099511627776
    stamp_ms, stamp_text = ms, PAIRS[(ms - low) / 1099511627776] .. eight(low)
  end
  return stamp_text
end

-- Envoy has just made a random UUID (version 4): its random bits are kept, the first 48 bits become the time
-- and the version becomes 7 (RFC 9562), written as our ids are written.
local function request_id(uuid, ms)
  local high = "7" .. uuid:sub(16, 18) .. uuid:sub(20, 23) .. uuid:sub(25, 26)
  return "req_" .. time_symbols(ms) .. eight(tonumber(high, 16)) .. eight(tonumber(uuid:sub(27, 36), 16))
end
