-- Ends a stream whose right has ended: its key was revoked or has expired, its budget is spent, its service is refused.
--
-- While a stream passes, the gateway's process is told of it every BEAT_MS; that process writes the ids of those to end
-- into ENDED_FILE, which a worker reads again at most every LOOK_MS. The caller gets an error event, then nothing.

local BEAT_MS = 10000
local LOOK_MS = 2000
local ENDED_BYTES_MAX = 1048576
-- A connection that is not found has gone; looking again is for one that was not readable at that moment.
local HANG_UPS_MAX = 3

local ENDINGS = {
  api_key_revoked = {"authentication_error", "The API key of this call is not valid any more; the answer ends here."},
  api_key_expired = {"authentication_error", "The API key of this call has expired; the answer ends here."},
  insufficient_quota = {"insufficient_quota", "The monthly budget is used up; the answer ends here."},
  jurisdiction_not_admissible = {"permission_error",
    "The place where this answer is made is not admissible any more; the answer ends here."},
}

local ended, looked_at = {}, 0

local function look(now)
  if now >= looked_at and now - looked_at < LOOK_MS then return end
  looked_at = now
  local found = {}
  local file = io.open(ENDED_FILE, "r")
  if file ~= nil then
    for id, code in (file:read(ENDED_BYTES_MAX) or ""):gmatch("(%S+) (%S+)\n") do found[id] = code end
    file:close()
  end
  ended = found
end

local function end_event(code)
  local kind, message = "server_error", "The answer ends here."
  if ENDINGS[code] ~= nil then kind, message = ENDINGS[code][1], ENDINGS[code][2] end
  return 'data: {"error":{"message":"' .. message .. '","type":"' .. kind .. '","code":"' .. code ..
    '","param":null}}\n\n'
end

-- Envoy gives a script no way to end an answer that has begun (a filter's error would; Lua's cannot be one). The
-- connection is closed as a caller would see it closed: found among this process's sockets by both its ends.
local has_ffi, ffi = pcall(require, "ffi")
if has_ffi then
  ffi.cdef [[
    int getpeername(int fd, unsigned char *address, unsigned int *length);
    int getsockname(int fd, unsigned char *address, unsigned int *length);
    int shutdown(int fd, int how);
  ]]
end
local DESCRIPTORS_MAX, FAMILY_IPV4, FAMILY_IPV6, BOTH_WAYS = 65536, 2, 10, 2

-- Writes an address as Envoy does: `1.2.3.4:5`; of IPv6 only the port counts beside the family.
local function text_of(address, length)
  local port = address[2] * 256 + address[3]
  if address[0] == FAMILY_IPV4 and length >= 8 then
    return string.format("%d.%d.%d.%d:%d", address[4], address[5], address[6], address[7], port)
  elseif address[0] == FAMILY_IPV6 and length >= 24 then
    return "[]:" .. port
  end
  return nil
end

local function same(wanted, seen)
  return seen ~= nil and wanted:gsub("^%[.*%]", "[]") == seen
end

-- Returns whether the caller's connection was found and closed.
local function hang_up(info)
  if not has_ffi then return false end
  local here, there = info:downstreamLocalAddress(), info:downstreamDirectRemoteAddress()
  local address, length = ffi.new("unsigned char[128]"), ffi.new("unsigned int[1]")
  for descriptor = 3, DESCRIPTORS_MAX do
    length[0] = 128
    if ffi.C.getpeername(descriptor, address, length) == 0 and same(there, text_of(address, length[0])) then
      length[0] = 128
      if ffi.C.getsockname(descriptor, address, length) == 0 and same(here, text_of(address, length[0])) then
        return ffi.C.shutdown(descriptor, BOTH_WAYS) == 0
      end
    end
  end
  return false
end

local function new_watch(caller, deployment)
  return {caller = caller, deployment = deployment, beat_at = caller.at, tries = 0}
end

-- Returns the event that ends the stream, or nil while it may go on.
local function check_right(handle, watch)
  local now = handle:timestamp()
  if now - watch.beat_at >= BEAT_MS then
    watch.beat_at = now
    local caller = watch.caller
    handle:httpCall("rempart_gateway", {
      [":method"] = "POST", [":path"] = "/internal/streams", [":authority"] = "gateway",
      ["x-rempart-internal"] = INTERNAL_TOKEN, ["x-rempart-stream"] = caller.id, ["x-rempart-key"] = caller.key,
      ["x-rempart-tenant"] = caller.tenant, ["x-rempart-project"] = caller.project,
      ["x-rempart-watched"] = watch.deployment or "",
    }, nil, 1000, true)
  end
  look(now)
  local code = ended[watch.caller.id]
  if code == nil then return nil end
  return end_event(code)
end
