-- A line for each call that is about to reach an engine, handed to the kernel before it does.
--
-- What a finished call used goes to the access log, which Envoy keeps in memory for a moment and drops without a word
-- on a full disk. This line is written at once (no buffer: one write(2)), so it outlives a kill of Envoy, and a call
-- whose line cannot be written is not run. A start without an end is a call whose usage nobody knows: it is found by
-- the collector, counted and reported. GO_FILE is there while the gateway process sees room on the disk.

local BUCKET_MS = 60000
local GO_MS = 100

-- pid and start time of this process (proc(5), field 22): starts of an earlier one have no end any more.
local function read_process()
  local file = io.open("/proc/self/stat", "r")
  if file == nil then return "0" end
  local text = file:read("*a") or ""
  file:close()
  local fields = {}
  for field in (text:match(".*%)(.*)") or ""):gmatch("%S+") do fields[#fields + 1] = field end
  return (text:match("^%d+") or "0") .. "-" .. (fields[20] or "0")
end

local PROCESS = read_process()
local starts, starts_bucket, is_torn = nil, nil, false
local go_asked_at, is_going = -GO_MS, false

local function may_go(now)
  if now - go_asked_at >= GO_MS or now < go_asked_at then
    go_asked_at = now
    local file = io.open(GO_FILE, "r")
    is_going = file ~= nil
    if file ~= nil then file:close() end
  end
  return is_going
end

local function quote(text)
  return '"' .. (text or ""):sub(1, 256):gsub("[^%g ]", "?"):gsub('[\\"]', "\\%0") .. '"'
end

-- Returns whether the start of a call is recorded; if not, the call must not be run.
function record_start(handle, id, model, is_stream)
  local now = handle:timestamp()
  if not may_go(now) then return false end
  local bucket = math.floor(now / BUCKET_MS)
  if starts == nil or bucket ~= starts_bucket then
    if starts ~= nil then starts:close() end
    starts = io.open(STARTS_FOLDER .. "/starts." .. string.format("%d", bucket) .. ".log", "a")
    if starts == nil then return false end
    starts:setvbuf("no")
    starts_bucket = bucket
  end
  local all = handle:streamInfo():dynamicMetadata():get("rempart") or {}
  local caller = all.caller or {}
  local line = '{"id":' .. quote(id) .. ',"at":' .. string.format("%d", now) .. ',"process":"' .. PROCESS ..
    '","tenant":' .. quote(caller.tenant) .. ',"project":' .. quote(caller.project) .. ',"key":' .. quote(caller.key) ..
    ',"model":' .. quote(model) .. ',"host":' .. quote(handle:headers():get(":authority")) ..
    ',"stream":' .. tostring(is_stream) .. '}\n'
  -- A line that was cut short is ended first: it must not spoil the next one.
  if starts:write((is_torn and "\n" or "") .. line) == nil then
    is_torn = true
    return false
  end
  is_torn = false
  return true
end
