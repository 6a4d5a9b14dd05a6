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

local REQUEST_MEMBERS = {model = true, stream = true, stream_options = {include_usage = true}}

-- Reads the body in slices, so that no copy of all of it is made. Returns what was found, whether it is JSON.
local function read_request(body)
  if body == nil then return nil, false end
  local reader = new_reader(REQUEST_MEMBERS)
  local at, length = 0, body:length()
  while at < length do
    local size = math.min(SLICE_BYTES, length - at)
    feed(reader, body:getBytes(at, size))
    at = at + size
  end
  return finish(reader)
end

local function ask_for_counts(handle, body)
  local text = body:getBytes(0, body:length())
  -- The text is known to be an object: its last brace closes it, and only white space follows.
  local last = #text
  while byte(text, last) ~= 125 do last = last - 1 end
  handle:headers():replace("content-length", tostring(body:setBytes(sub(text, 1, last - 1) .. COUNTED)))
end

function envoy_on_request(handle)
  local headers = handle:headers()
  if headers:get("x-rempart-route") ~= nil then return end
  local kind = headers:get("content-type")
  if kind == nil or kind:lower():find("^application/json") == nil then
    return refuse(handle, "415", "unsupported_media_type", "Send the request as application/json.", "null")
  end
  local by_host = handle:metadata():get("by_host")
  local body = handle:body()
  local call, is_json = read_request(body)
  -- What the handle gave before the body was waited for is no longer valid.
  headers = handle:headers()
  if not is_json then
    return refuse(handle, "400", "invalid_json", "The request body is not valid JSON.", "null")
  end
  call = call or {}
  local model = call.model
  if model == nil or model == NULL then
    if not by_host then
      return refuse(handle, "400", "model_required", "You must provide a model parameter.", '"model"')
    end
  end
  -- Header values are written to other processes: nothing but visible ASCII may get there from a body.
  if type(model) ~= "string" or #model > MODEL_LENGTH_MAX or model:find("[^%g]") then model = "-" end
  headers:replace("x-rempart-route", headers:get("x-rempart-project") .. "/" .. model)
  local is_stream = call.stream == true
  handle:streamInfo():dynamicMetadata():set("rempart", "call", {
    is_stream = is_stream,
    wants_usage = call.stream_options ~= nil and call.stream_options.include_usage == true,
    model = model,
  })
  if not record_start(handle, headers:get("x-request-id"), model, is_stream) then
    return handle:respond({[":status"] = "503", ["content-type"] = "application/json", ["retry-after"] = "10"},
      '{"error":{"message":"The gateway has no room to record what a call uses, so nothing was run. Try again later.",' ..
      '"type":"server_error","code":"usage_not_recordable","param":null}}')
  end
  handle:clearRouteCache()
  if is_stream then ask_for_counts(handle, body) end
end

local function write_counts(handle, counts)
  handle:streamInfo():dynamicMetadata():set("rempart.usage", "counts", counts)
end

-- One JSON document: read as it passes, nothing of it is held.
local function count_document(handle)
  local reader = new_reader(COUNTED_MEMBERS)
  for chunk in handle:bodyChunks() do
    local size = chunk:length()
    if size > 0 then feed(reader, chunk:getBytes(0, size)) end
  end
  local found, counts = finish(reader), {}
  if found ~= nil and take_counts(counts, found) then write_counts(handle, counts) end
end

local function count_events(handle, is_wanted, watch)
  local events, asked_at = new_events(is_wanted), watch.caller.at
  local last_chunk, passed, ttft = nil, "", nil

  -- Written with each piece: a caller who hangs up ends this script without another word. The handle is asked
  -- again because what it gave before the last chunk is no longer valid.
  local function write_news()
    if not events.has_news then return end
    events.has_news = false
    if ttft == nil and events.deltas > 0 then ttft = handle:timestamp() - asked_at end
    handle:streamInfo():dynamicMetadata():set("rempart", "answer", {
      deltas = events.deltas, ttft_ms = ttft, unread = events.unread,
    })
    if next(events.counts) ~= nil then write_counts(handle, events.counts) end
  end

  for chunk in handle:bodyChunks() do
    last_chunk, passed = chunk, ""
    local size = chunk:length()
    if watch.is_over then
      -- The error event went out with an earlier piece; nothing follows it.
      chunk:setBytes("")
      if size > 0 and watch.tries < HANG_UPS_MAX then
        watch.tries = hang_up(handle:streamInfo()) and HANG_UPS_MAX or watch.tries + 1
      end
    elseif size > 0 then
      local text = chunk:getBytes(0, size)
      passed = pass_events(events, text)
      local last_event = check_right(handle, watch)
      if last_event ~= nil then
        -- A piece of an event that is on its way to the caller is ended first.
        passed = passed .. (events.is_passing and "\n\n" or "") .. last_event
        watch.is_over, events.pieces, events.held = true, {}, 0
      end
      if passed ~= text then chunk:setBytes(passed) end
      write_news()
    end
  end
  -- A stream that ends without its blank line: what is left goes out with the last chunk.
  if events.held > 0 and last_chunk ~= nil then
    last_chunk:setBytes(passed .. end_events(events))
    write_news()
  end
end

function envoy_on_response(handle)
  local kind = (handle:headers():get("content-type") or ""):lower()
  local is_stream = kind:find("^text/event%-stream") ~= nil
  if not is_stream and kind:find("^application/json") == nil then return end
  local all = handle:streamInfo():dynamicMetadata():get("rempart")
  if all == nil or all.call == nil then return end
  if is_stream then
    local deployment = handle:metadata():get("regional_deployment_id")
    count_events(handle, all.call.wants_usage, new_watch(all.caller, deployment))
  else
    count_document(handle)
  end
end
