-- How a call is refused: OpenAI's error shape.

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

-- `seconds` is when trying again is of use.
local function refuse_for_now(handle, status, kind, code, message, seconds)
  refuse(handle, status, kind, code, message, {["retry-after"] = tostring(seconds)})
end
