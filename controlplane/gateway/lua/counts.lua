-- Who was refused, how often and since when: counted here, handed to the gateway's process from time to time.
--
-- A script has no clock of its own: what was counted last goes with the next call that this worker sees. The table is
-- bounded; past it a row without an address counts on, so that a flood costs neither memory nor a count.

local REPORT_MS = 2000
local COUNTED_MAX = 200

local counted, counted_rows, reported_at = {}, 0, 0

local function count_in(name, now)
  local row = counted[name]
  if row == nil then
    row = {count = 0, first = now}
    counted[name], counted_rows = row, counted_rows + 1
  end
  row.count, row.last = row.count + 1, now
end

-- Each field is one word: codes and paths are our own, ids come from the gateway's process.
local function count_refusal(handle, status, code, entry, now)
  local path = handle:headers():get(":path"):match("^[^?]*")
  local network = network_of(handle:streamInfo():downstreamRemoteAddress())
  local who = "- -"
  if entry ~= nil and entry.key ~= nil then who = entry.key .. " " .. entry.tenant end
  local name = table.concat({status, code, path, network, who}, " ")
  if counted[name] == nil and counted_rows >= COUNTED_MAX then
    name = table.concat({status, code, "others", "others", "- -"}, " ")
  end
  count_in(name, now)
end

-- Hands the counts on, if it is time; nobody waits for the answer.
local function report_refusals(handle, now)
  if counted_rows == 0 or (now >= reported_at and now - reported_at < REPORT_MS) then return end
  reported_at = now
  local lines = {}
  for name, row in pairs(counted) do
    lines[#lines + 1] = string.format("%s %d %d %d\n", name, row.count, row.first, row.last)
  end
  counted, counted_rows = {}, 0
  handle:httpCall("rempart_gateway", {
    [":method"] = "POST", [":path"] = "/internal/refusals", [":authority"] = "gateway",
    ["x-rempart-internal"] = INTERNAL_TOKEN,
  }, table.concat(lines), 1000, true)
end
