-- What one caller may take of what all share (domain.Limits): calls a second, calls at once and their bytes.
--
-- All of it is bounded: tables have two generations, and a call that was reset is found by the garbage collector.

-- When the young generation is full the old one is dropped; entries that are used move over.
local function new_table(max)
  return {young = {}, old = {}, count = 0, max = max}
end

local function remember(entries, key, entry)
  if entries.young[key] == nil then
    if entries.count >= entries.max then
      entries.old, entries.young, entries.count = entries.young, {}, 0
    end
    entries.count = entries.count + 1
  end
  entries.young[key] = entry
end

local function recall(entries, key)
  local entry = entries.young[key]
  if entry == nil then
    entry = entries.old[key]
    if entry ~= nil then remember(entries, key, entry) end
  end
  return entry
end

-- A bucket of tokens: `rate` a second come in, `burst` is the most it holds, a call takes one.
local function bucket_of(buckets, key, rate, burst, now)
  local bucket = recall(buckets, key)
  if bucket == nil then
    bucket = {tokens = burst, at = now}
    remember(buckets, key, bucket)
  elseif now > bucket.at then
    bucket.tokens = math.min(burst, bucket.tokens + (now - bucket.at) * rate / 1000)
    bucket.at = now
  end
  return bucket
end

-- Seconds until the next token, whole and at least one; nil when there is one now.
local function wait_of(bucket, rate)
  if bucket.tokens >= 1 then return nil end
  return math.max(1, math.ceil((1 - bucket.tokens) / rate))
end

local key_buckets, tenant_buckets = new_table(LIMIT_TABLE_MAX), new_table(LIMIT_TABLE_MAX)
local address_buckets = new_table(LIMIT_TABLE_MAX)

-- Takes one call of a key and its tenant; returns the seconds to wait if either has none left.
local function take_call(key, tenant, now)
  local of_key = bucket_of(key_buckets, key, KEY_RATE, KEY_BURST, now)
  local of_tenant = bucket_of(tenant_buckets, tenant, TENANT_RATE, TENANT_BURST, now)
  local wait = wait_of(of_key, KEY_RATE) or wait_of(of_tenant, TENANT_RATE)
  if wait ~= nil then return wait end
  of_key.tokens, of_tenant.tokens = of_key.tokens - 1, of_tenant.tokens - 1
  return nil
end

-- The network address a limit is kept for: of IPv6 the first 64 bits, which one subscriber has to himself.
local function network_of(address)
  local inside = address:match("^%[(.*)%]:%d+$")
  if inside == nil then return address:match("^(.*):%d+$") or address end
  local left, right = inside:match("^(.-)::(.*)$")
  local groups = {}
  for group in (left or inside):gmatch("%x+") do groups[#groups + 1] = group end
  if left ~= nil then
    local _, after = right:gsub("[%x.]+", "")
    for _ = 1, 8 - #groups - after do groups[#groups + 1] = "0" end
    for group in right:gmatch("%x+") do groups[#groups + 1] = group end
  end
  return table.concat(groups, ":", 1, math.min(4, #groups))
end

local function address_bucket(handle, now)
  local network = network_of(handle:streamInfo():downstreamRemoteAddress())
  return bucket_of(address_buckets, network, ADDRESS_RATE, ADDRESS_BURST, now)
end

-- Calls of a tenant that are under way. Each ends in one of two ways: its answer has passed (end_call), or it was reset,
-- of which Envoy tells a script nothing. But Envoy lets go of the handle of a call that is no more: the handles stand in
-- a table that does not keep them alive, and before a call is refused what is gone is collected and the rest counted.
local under_way = new_table(LIMIT_TABLE_MAX)
local last_call, collect_from, WEAK = 0, 0, {__mode = "v"}

local function count_again(calls)
  local count, bytes = 0, 0
  for id, size in pairs(calls.sizes) do
    if calls.handles[id] == nil then
      calls.sizes[id] = nil
    else
      count, bytes = count + 1, bytes + size
    end
  end
  calls.count, calls.bytes = count, bytes
end

local function is_full(calls, size)
  return calls.count >= CALLS_AT_ONCE or calls.bytes + size > BYTES_AT_ONCE
end

local function microseconds(handle)
  return tonumber(handle:timestampString(EnvoyTimestampResolution.MICROSECOND)) or 0
end

-- A collection takes as long as this worker remembers much. Those who vanish on purpose get a bounded share of its time:
-- after each one COLLECT_PAUSE_TIMES as long passes without another, and never more than a second.
local SECOND = 1000000
local function collect(handle)
  local began = microseconds(handle)
  if began < collect_from and collect_from - began <= SECOND then return end
  collectgarbage("collect")
  local ended = microseconds(handle)
  collect_from = ended + math.max(0, math.min((ended - began) * COLLECT_PAUSE_TIMES, SECOND))
end

-- Counts a call in; returns what end_call knows it by, or nil when its tenant has too much under way.
local function begin_call(handle, tenant, size)
  local calls = recall(under_way, tenant)
  if calls == nil then
    calls = {handles = setmetatable({}, WEAK), sizes = {}, count = 0, bytes = 0}
    remember(under_way, tenant, calls)
  end
  if is_full(calls, size) then
    count_again(calls)
    if is_full(calls, size) then
      collect(handle)
      count_again(calls)
    end
    if is_full(calls, size) then return nil end
  end
  last_call = last_call + 1
  calls.handles[last_call], calls.sizes[last_call] = handle, size
  calls.count, calls.bytes = calls.count + 1, calls.bytes + size
  return last_call
end

-- The answer has passed and the request's body is held no more. Of HTTP/2 the answer may still wait for its caller to
-- take it: such a call keeps its place, without its bytes, until its handle is gone.
local function end_call(tenant, id, is_http2)
  local calls = under_way.young[tenant] or under_way.old[tenant]
  local size = calls ~= nil and calls.sizes[id] or nil
  if size == nil then return end
  calls.bytes = calls.bytes - size
  if is_http2 then
    calls.sizes[id] = 0
  else
    calls.handles[id], calls.sizes[id] = nil, nil
    calls.count = calls.count - 1
  end
end
