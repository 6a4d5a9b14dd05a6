-- Second filter, after the body has been read: which route, and what of the answer is counted.

local MODEL_LENGTH_MAX = 256

-- Appended to a streamed call's JSON object. A repeated member's last value holds in llama.cpp (nlohmann) and
-- vLLM (pydantic). include_usage: both send the totals last; continuous_usage_stats (vLLM) and timings_per_token
-- (llama.cpp): counts in every event, so that a call cut short is still counted by its engine.
local COUNTED = ',"stream_options":{"include_usage":true,"continuous_usage_stats":true},"timings_per_token":true}'

local function refuse(handle, status, code, message, param)
  handle:respond({[":status"] = status, ["content-type"] = "application/json"},
    '{"error":{"message":"' .. message .. '","type":"invalid_request_error","code":"' .. code ..
    '","param":' .. param .. '}}')
end

local function ask_for_counts(handle)
  local body = handle:body()
  if body == nil then return end
  local text = body:getBytes(0, body:length())
  local last = text:find("}%s*$")
  if last == nil then return end
  handle:headers():replace("content-length", tostring(body:setBytes(text:sub(1, last - 1) .. COUNTED)))
end

function envoy_on_request(handle)
  local headers = handle:headers()
  if headers:get("x-rempart-route") ~= nil then return end
  local by_host = handle:metadata():get("by_host")
  local metadata = handle:streamInfo():dynamicMetadata()
  local call = metadata:get("rempart.request") or {}
  local kind = headers:get("content-type")
  if kind == nil or kind:find("^application/json") == nil then
    return refuse(handle, "415", "unsupported_media_type", "Send the request as application/json.", "null")
  end
  -- The buffer filter has written the true length; a body sent in chunks while the key was being checked has
  -- passed its limit unseen.
  local length = tonumber(headers:get("content-length") or "0")
  if length ~= nil and length > BODY_BYTES_MAX then
    return refuse(handle, "413", "request_too_large",
      "The request body is larger than " .. BODY_BYTES_MAX .. " bytes.", "null")
  end
  if call.error ~= nil then
    return refuse(handle, "400", "invalid_json", "The request body is not valid JSON.", "null")
  end
  local model = call.model
  if model == nil and not by_host then
    return refuse(handle, "400", "model_required", "You must provide a model parameter.", '"model"')
  end
  -- Header values are written to other processes: nothing but visible ASCII may get there from a body.
  if model == nil or #model > MODEL_LENGTH_MAX or model:find("[^%g]") then model = "-" end
  headers:replace("x-rempart-route", headers:get("x-rempart-project") .. "/" .. model)
  local is_stream = call.stream == true
  metadata:set("rempart", "call", {
    is_stream = is_stream, wants_usage = call.wants_usage == true, model = model,
  })
  handle:clearRouteCache()
  if is_stream then ask_for_counts(handle) end
end

-- Takes complete events out of `text`: returns them without those that hold only totals, the rest, and how many
-- carried a piece of the answer.
local function take_events(text, is_wanted)
  local kept, from, deltas = {}, 1, 0
  while true do
    local first, last = text:find("\r?\n\r?\n", from)
    if first == nil then break end
    local event = text:sub(from, last)
    -- Inside a JSON string a quote is escaped, so these patterns match members only, never what a model wrote.
    local is_totals = event:find('"choices":%s*%[%s*%]') ~= nil
    if not is_totals and (event:find('"content":%s*"[^"]') or event:find('"text":%s*"[^"]')
      or event:find('"arguments":%s*"[^"]') or event:find('"reasoning_content":%s*"[^"]')) then
      deltas = deltas + 1
    end
    if is_wanted or not is_totals then kept[#kept + 1] = event end
    from = last + 1
  end
  return table.concat(kept), text:sub(from), deltas
end

function envoy_on_response(handle)
  local kind = handle:headers():get("content-type")
  if kind == nil or kind:find("^text/event%-stream") == nil then return end
  local all = handle:streamInfo():dynamicMetadata():get("rempart")
  if all == nil or all.call == nil then return end
  local is_wanted, at = all.call.wants_usage, all.caller.at
  local rest, deltas, last_chunk, ttft = "", 0, nil, nil
  for chunk in handle:bodyChunks() do
    last_chunk = chunk
    local size = chunk:length()
    if size > 0 then
      local out, tail, found = take_events(rest .. chunk:getBytes(0, size), is_wanted)
      rest = tail
      chunk:setBytes(out)
      if found > 0 then
        deltas = deltas + found
        if ttft == nil then ttft = handle:timestamp() - at end
        -- Set with each piece: a caller who hangs up ends this script without another word. The handle is asked
        -- again because what it gave before the last chunk is no longer valid.
        handle:streamInfo():dynamicMetadata():set("rempart", "answer", {deltas = deltas, ttft_ms = ttft})
      end
    end
  end
  -- A stream that ends without its blank line: what is left goes out with the last chunk.
  if rest ~= "" and last_chunk ~= nil then last_chunk:setBytes(rest) end
end
