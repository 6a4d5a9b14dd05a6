-- First filter: is this one of our paths, and whose key is it?
--
-- The constants above this file are written by envoy_listener.py.
-- A Lua state belongs to one worker thread, so the tables below need no lock and are not shared.

local OPERATIONS = {
  ["/v1/chat/completions"] = "POST",
  ["/v1/completions"] = "POST",
  ["/v1/embeddings"] = "POST",
  ["/v1/models"] = "GET",
}

-- A verified key is used without asking for FRESH_MS. Then one call asks again while others go on with it, and
-- nothing older than STALE_MS is ever used: a revoked key is refused in under five seconds, and a restart of
-- the key service of up to two seconds is not felt.
local FRESH_MS = 2000
local STALE_MS = 4000
local REFUSED_MS = 1000
local ASK_TIMEOUT_MS = 1000

local ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
local BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
local DIGITS, PAIRS = {}, {}
for i = 1, 62 do DIGITS[i - 1] = BASE62:sub(i, i) end
-- Ten bits at a time: an id is then put together by one concatenation instead of twenty-six.
for i = 0, 1023 do
  local high, low = math.floor(i / 32) + 1, i % 32 + 1
  PAIRS[i] = ALPHABET:sub(high, high) .. ALPHABET:sub(low, low)
end

local CRC = {}
for i = 0, 255 do
  local c = i
  for _ = 1, 8 do
    if bit.band(c, 1) == 1 then c = bit.bxor(bit.rshift(c, 1), 0xEDB88320) else c = bit.rshift(c, 1) end
  end
  CRC[i] = c
end

local function checksum(text)
  local c = -1
  for i = 1, #text do
    c = bit.bxor(CRC[bit.band(bit.bxor(c, text:byte(i)), 255)], bit.rshift(c, 8))
  end
  c = bit.bnot(c)
  if c < 0 then c = c + 4294967296 end
  local out = ""
  for _ = 1, 6 do
    out = DIGITS[c % 62] .. out
    c = math.floor(c / 62)
  end
  return out
end

local function is_well_formed(key)
  if #key > 128 then return false end
  local body, random, sum = key:match("^(rmp_%w+_%w+_(%w+))_(%w+)$")
  return body ~= nil and #random == 30 and #sum == 6 and checksum(body) == sum
end

-- Two generations bound the table: when the young one is full the old one is dropped, used keys move over.
local young, old, young_count = {}, {}, 0
local function remember(key, entry)
  if young[key] == nil then
    if young_count >= KEY_TABLE_MAX then
      old, young, young_count = young, {}, 0
    end
    young_count = young_count + 1
  end
  young[key] = entry
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

local function refuse(handle, status, kind, code, message, extra)
  local headers = extra or {}
  headers[":status"] = tostring(status)
  headers["content-type"] = "application/json"
  handle:respond(headers, '{"error":{"message":"' .. message .. '","type":"' .. kind ..
    '","code":"' .. code .. '","param":null}}')
end

local function refuse_key(handle, code)
  local message = "Incorrect API key provided."
  if code == "missing_api_key" then
    message = "You did not provide an API key: send it as Authorization: Bearer <key>."
  elseif code == "api_key_expired" then
    message = "The API key has expired."
  end
  refuse(handle, 401, "authentication_error", code, message, {["www-authenticate"] = "Bearer"})
end

local function ask(handle, key)
  local answer = handle:httpCall("rempart_gateway", {
    [":method"] = "GET", [":path"] = "/internal/keys", [":authority"] = "gateway",
    ["authorization"] = "Bearer " .. key, ["x-rempart-internal"] = INTERNAL_TOKEN,
  }, nil, ASK_TIMEOUT_MS)
  local status = answer[":status"]
  if status == "200" then
    return {
      tenant = answer["x-rempart-tenant"], project = answer["x-rempart-project"],
      key = answer["x-rempart-key"], asked_at = handle:timestamp(),
    }
  elseif status == "401" or status == "403" or status == "429" or answer["x-rempart-code"] == "budget_unknown" then
    return {refused = answer["x-rempart-code"] or "invalid_api_key", status = status, asked_at = handle:timestamp()}
  end
  return nil
end

-- Returns what is known of a key, or nil when nobody can say.
local function identify(handle, key, now)
  local entry = young[key]
  if entry == nil then
    entry = old[key]
    if entry ~= nil then remember(key, entry) end
  end
  if entry ~= nil then
    local age = now - entry.asked_at
    if age >= 0 then
      if entry.refused ~= nil then
        if age < REFUSED_MS then return entry end
      elseif age < FRESH_MS or (age < STALE_MS and entry.is_asking) then
        return entry
      end
    end
    entry.is_asking = true
  end
  local answer = ask(handle, key)
  if answer ~= nil then
    remember(key, answer)
    return answer
  end
  if entry ~= nil then
    entry.is_asking = nil
    if entry.refused == nil and handle:timestamp() - entry.asked_at < STALE_MS then return entry end
  end
  return nil
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local now = handle:timestamp()
  headers:replace("x-request-id", request_id(headers:get("x-request-id"), now))
  headers:remove("x-rempart-route")
  headers:remove("x-rempart-project")

  local path = headers:get(":path")
  local question = path:find("?", 1, true)
  if question then path = path:sub(1, question - 1) end
  local method = OPERATIONS[path]
  if method == nil then
    return refuse(handle, 404, "invalid_request_error", "unknown_url", "This gateway has no such path.")
  end
  if headers:get(":method") ~= method then
    return refuse(handle, 405, "invalid_request_error", "method_not_supported",
      "This path answers " .. method .. " only.", {["allow"] = method})
  end

  local authorization = headers:get("authorization")
  if authorization == nil then return refuse_key(handle, "missing_api_key") end
  local key = authorization:match("^[Bb]earer +(%S+)$")
  if key == nil then return refuse_key(handle, "invalid_api_key") end
  if young[key] == nil and not is_well_formed(key) then return refuse_key(handle, "invalid_api_key") end
  local length = tonumber(headers:get("content-length") or "0")
  if length == nil or length > BODY_BYTES_MAX then
    return refuse(handle, 413, "invalid_request_error", "request_too_large",
      "The request body is larger than " .. BODY_BYTES_MAX .. " bytes.")
  end
  local entry = identify(handle, key, now)
  if entry == nil then
    return refuse(handle, 503, "server_error", "key_check_unavailable",
      "API keys cannot be checked at the moment; nothing was run.", {["retry-after"] = "1"})
  end
  if entry.status == "403" then
    return refuse(handle, 403, "permission_error", entry.refused, "This API key may not call models.")
  end
  if entry.status == "429" then
    -- Trying again is no use before somebody raises the budget or the month ends.
    return refuse(handle, 429, "insufficient_quota", entry.refused,
      "You exceeded your current quota: the monthly budget of this organization or project is used up; nothing was run.",
      {["x-should-retry"] = "false"})
  end
  if entry.status == "503" then
    return refuse(handle, 503, "server_error", entry.refused,
      "How much of the hard budget of this organization or project is used is not known at the moment; nothing was run.",
      {["retry-after"] = "5"})
  end
  if entry.refused ~= nil then return refuse_key(handle, entry.refused) end

  headers = handle:headers()
  headers:replace("x-rempart-project", entry.project)
  headers:remove("authorization")
  -- An answer that an engine compressed could not be read for what it used.
  headers:remove("accept-encoding")
  handle:streamInfo():dynamicMetadata():set("rempart", "caller", {
    tenant = entry.tenant, project = entry.project, key = entry.key, at = now,
  })
  if method == "GET" then headers:replace("x-rempart-route", "/v1/models") end
  handle:clearRouteCache()
end
