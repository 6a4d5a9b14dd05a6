-- First filter: is this one of our paths, whose key is it, is there room for the call, and is it addressed to us?
--
-- The constants above these files are written by envoy_listener.py.

-- An id has 30 characters.
local PROJECT_LENGTH_MAX = 40

local OPERATIONS = {
  ["/v1/chat/completions"] = "POST",
  ["/v1/completions"] = "POST",
  ["/v1/embeddings"] = "POST",
  ["/v1/models"] = "GET",
}

-- The path without its query, or a refusal. Returns the method it answers to.
local function check_operation(handle, headers)
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
  return method
end

-- Refuses, and counts to whom; what was counted goes first, for nothing of the script runs after an answer.
local function refuse_counted(handle, now, entry, status, kind, code, message, extra)
  count_refusal(handle, status, code, entry, now)
  report_refusals(handle, now)
  return refuse(handle, status, kind, code, message, extra)
end

-- A call without a good key: its address has only so many of them. `entry` is what is known of the key.
local function refuse_stranger(handle, code, now, entry)
  local bucket = address_bucket(handle, now)
  local wait = wait_of(bucket, ADDRESS_RATE)
  if wait ~= nil then
    return refuse_counted(handle, now, entry, 429, "rate_limit_error", "too_many_failed_keys",
      "Too many calls without a valid API key from your network address.", {["retry-after"] = tostring(wait)})
  end
  bucket.tokens = bucket.tokens - 1
  count_refusal(handle, 401, code, entry, now)
  report_refusals(handle, now)
  return refuse_key(handle, code)
end

local MISMATCH = "This API key is bound to another project than the one that the header OpenAI-Project names."
local NO_PROJECT = "No service of this organization answers in the project that the header OpenAI-Project names."

local function refuse_known(handle, entry, now)
  if entry.status == "404" then
    return refuse_counted(handle, now, entry, 404, "invalid_request_error", entry.refused, NO_PROJECT)
  end
  if entry.status == "403" then
    return refuse_counted(handle, now, entry, 403, "permission_error", entry.refused,
      entry.refused == "project_mismatch" and MISMATCH or "This API key may not call models.")
  end
  if entry.status == "429" then
    -- Trying again is no use before somebody raises the budget or the month ends.
    return refuse_counted(handle, now, entry, 429, "insufficient_quota", entry.refused,
      "You exceeded your current quota: the monthly budget of this organization or project is used up; nothing was run.",
      {["x-should-retry"] = "false"})
  end
  return refuse_for_now(handle, 503, "server_error", entry.refused,
    "How much of the hard budget of this organization or project is used is not known at the moment; nothing was run.", 5)
end

local function refuse_unchecked(handle)
  return refuse_for_now(handle, 503, "server_error", "key_check_unavailable",
    "API keys cannot be checked at the moment; nothing was run.", 1)
end

-- Returns a good key and whose it is, or refuses. Whoever is refused for a budget alone is returned too, since the
-- call may be for another project than the key's own.
local function check_key(handle, headers, now)
  local authorization = headers:get("authorization")
  if authorization == nil then return refuse_stranger(handle, "missing_api_key", now) end
  local key = authorization:match("^[Bb][Ee][Aa][Rr][Ee][Rr] +(%S+)$")
  if key == nil then return refuse_stranger(handle, "invalid_api_key", now) end
  local entry = recall(known, key)
  if entry == nil or entry.status == "401" then
    if not is_well_formed(key) then return refuse_stranger(handle, "invalid_api_key", now) end
    -- A key nobody knows costs a question; an address that has asked too many is not asked for.
    local wait = wait_of(address_bucket(handle, now), ADDRESS_RATE)
    if wait ~= nil then return refuse_stranger(handle, "invalid_api_key", now) end
  end
  entry = identify(handle, key, nil, now)
  if entry == nil then return refuse_unchecked(handle) end
  if entry.status == "401" then return refuse_stranger(handle, entry.refused, now, entry) end
  if entry.refused ~= nil and entry.project == nil then return refuse_known(handle, entry, now) end
  return key, entry
end

-- What stands in the place of a project in a header that names none.
local NO_ID = "-"

-- The project that a call asks for: by OpenAI's header, else by the name of a service of the key's own tenant, which a
-- key that is bound to a project cannot do. nil: the key's own.
local function wanted_project(handle, headers, entry)
  local wanted = headers:get("openai-project")
  if wanted ~= nil and wanted ~= "" then
    local is_one = headers:getNumValues("openai-project") == 1
    wanted = is_one and wanted:match("^prj_%w+$") ~= nil and #wanted <= PROJECT_LENGTH_MAX and wanted or NO_ID
  elseif not entry.is_bound and handle:metadata():get("tenant") == entry.tenant then
    wanted = handle:metadata():get("project")
  else
    return nil
  end
  if wanted == entry.project then return nil end
  return wanted
end

-- Returns the key as it calls in the project that it asked for, or refuses.
local function choose_project(handle, key, project, now)
  local entry = identify(handle, key, project, now)
  if entry == nil then return refuse_unchecked(handle) end
  if entry.status == "401" then return refuse_stranger(handle, entry.refused, now, entry) end
  if entry.refused ~= nil then return refuse_known(handle, entry, now) end
  return entry
end

local function refuse_large(handle)
  return refuse(handle, 413, "invalid_request_error", "request_too_large",
    "The request body is larger than " .. BODY_BYTES_MAX .. " bytes.")
end

-- Only the gateway's own names and its addresses are routed by model: any other name is a service's.
local function is_own_name(authority)
  local name = authority:lower():gsub(":%d*$", ""):gsub("%.$", "")
  return OWN_NAMES[name] or name:find("^%d+%.%d+%.%d+%.%d+$") ~= nil or name:find("^%[[%x:.]+%]$") ~= nil
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local now = handle:timestamp()
  headers:replace("x-request-id", request_id(headers:get("x-request-id"), now))
  headers:remove("x-rempart-route")
  headers:remove("x-rempart-project")

  local method = check_operation(handle, headers)
  report_refusals(handle, now)
  local length = tonumber(headers:get("content-length") or (method == "GET" and "0" or BODY_BYTES_MAX))
  if length == nil or length > BODY_BYTES_MAX then return refuse_large(handle) end
  local key, entry = check_key(handle, headers, now)
  local wanted = wanted_project(handle, handle:headers(), entry)
  if wanted == nil and entry.refused ~= nil then return refuse_known(handle, entry, now) end

  local wait = take_call(entry.key, entry.tenant, now)
  if wait ~= nil then
    return refuse_counted(handle, now, entry, 429, "rate_limit_error", "rate_limit_exceeded",
      "Too many calls a second with this API key or of this organization.", {["retry-after"] = tostring(wait)})
  end
  -- After the limits: whatever projects a key asks for, it asks no more often than it may call.
  if wanted ~= nil then entry = choose_project(handle, key, wanted, now) end
  headers = handle:headers()
  if not handle:metadata():get("by_host") and not is_own_name(headers:get(":authority")) then
    return refuse_counted(handle, now, entry, 404, "invalid_request_error", "service_not_found",
      "No service of this project answers on this host.")
  end
  local call = begin_call(handle, entry.tenant, length)
  if call == nil then
    return refuse_counted(handle, now, entry, 429, "rate_limit_error", "too_many_calls_at_once",
      "This organization has too many calls, or too many bytes of calls, under way at once.", {["retry-after"] = "1"})
  end

  headers:replace("x-rempart-project", entry.project)
  headers:remove("authorization")
  -- An answer that an engine compressed could not be read for what it used.
  headers:remove("accept-encoding")
  local seen = handle:streamInfo():dynamicMetadata()
  seen:set("rempart", "caller", {
    id = headers:get("x-request-id"), tenant = entry.tenant, project = entry.project, key = entry.key, at = now,
  })
  seen:set("rempart.under_way", entry.tenant, call)
  if method == "GET" then headers:replace("x-rempart-route", "/v1/models") end
  handle:clearRouteCache()
end

-- Every answer passes here, also those that Envoy or a script gives itself.
function envoy_on_response(handle)
  local tenant, call = next(handle:streamInfo():dynamicMetadata():get("rempart.under_way") or {})
  if tenant == nil then return end
  local is_http2 = handle:streamInfo():protocol() == "HTTP/2"
  for _ in handle:bodyChunks() do end
  end_call(tenant, call, is_http2)
end
