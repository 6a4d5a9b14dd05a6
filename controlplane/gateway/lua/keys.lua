-- What an API key looks like, and whose it is: a table of this worker, and on a miss the gateway's own process.
--
-- A Lua state belongs to one worker thread, so the tables need no lock and are not shared.

-- A verified key is used without asking for FRESH_MS. Then one call asks again while others go on with it, and
-- nothing older than STALE_MS is ever used: a revoked key is refused in under five seconds, and a restart of
-- the key service of up to two seconds is not felt.
local FRESH_MS = 2000
local STALE_MS = 4000
local REFUSED_MS = 1000
local ASK_TIMEOUT_MS = 1000

local BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
local DIGITS = {}
for i = 1, 62 do DIGITS[i - 1] = BASE62:sub(i, i) end

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

local known = new_table(KEY_TABLE_MAX)
-- Keys in a project that they chose, by both: whatever projects a caller asks for, no key falls out of `known`.
local chosen = new_table(KEY_TABLE_MAX)

local function ask(handle, key, project)
  local answer = handle:httpCall("rempart_gateway", {
    [":method"] = "GET", [":path"] = "/internal/keys", [":authority"] = "gateway",
    ["authorization"] = "Bearer " .. key, ["x-rempart-internal"] = INTERNAL_TOKEN,
    ["x-rempart-wanted-project"] = project,
  }, nil, ASK_TIMEOUT_MS)
  local status, code = answer[":status"], answer["x-rempart-code"]
  local is_refused = status == "401" or status == "403" or status == "404" or status == "429" or code == "budget_unknown"
  if status ~= "200" and not is_refused then return nil end
  return {
    -- Of a key that is refused for its budget all are known; of another refused one its project is nil.
    tenant = answer["x-rempart-tenant"], project = answer["x-rempart-project"], key = answer["x-rempart-key"],
    is_bound = answer["x-rempart-bound"] ~= "false",
    refused = is_refused and (code or "invalid_api_key") or nil, status = status, asked_at = handle:timestamp(),
  }
end

-- Returns what is known of a key (in `project`, if that is not nil), or nil when nobody can say.
local function identify(handle, key, project, now)
  local entries, name = known, key
  if project ~= nil then entries, name = chosen, key .. " " .. project end
  local entry = recall(entries, name)
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
  local answer = ask(handle, key, project)
  if answer ~= nil then
    remember(entries, name, answer)
    return answer
  end
  if entry ~= nil then
    entry.is_asking = nil
    if entry.refused == nil and handle:timestamp() - entry.asked_at < STALE_MS then return entry end
  end
  return nil
end
