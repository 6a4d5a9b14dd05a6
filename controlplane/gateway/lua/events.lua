-- Splits a stream of server-sent events (WHATWG HTML, "Server-sent events") and reads what an event counts.
--
-- At most EVENT_BYTES_MAX of an event are held, in pieces that are joined once; a larger event goes to the caller
-- as it comes, is not read, and is counted as `unread`.

local COUNTED_MEMBERS = {
  choices = "array",
  usage = {prompt_tokens = true, completion_tokens = true},
  timings = {prompt_n = true, cache_n = true, predicted_n = true},
}

local function number(object, name)
  local value = type(object) == "table" and object[name]
  return type(value) == "number" and value or nil
end

-- Takes over what an answer or an event says; counts that are no whole numbers are as good as none.
local function take_counts(counts, found)
  local usage, timings = found.usage, found.timings
  local is_new = false
  for name, value in pairs({
    input_tokens = number(usage, "prompt_tokens"), output_tokens = number(usage, "completion_tokens"),
    read_tokens = number(timings, "prompt_n"), cached_tokens = number(timings, "cache_n"),
    made_tokens = number(timings, "predicted_n"),
  }) do
    counts[name], is_new = value, true
  end
  return is_new
end

local function payload(event)
  local first = event:match("^data: ?([^\r\n]*)\r?\n\r?\n$")
  if first ~= nil then return first end
  local lines = {}
  for line in event:gmatch("[^\r\n]+") do
    local data = line:match("^data: ?(.*)$") or (line == "data" and "")
    if data then lines[#lines + 1] = data end
  end
  return table.concat(lines, "\n")
end

local function new_events(is_wanted)
  return {
    is_wanted = is_wanted, pieces = {}, held = 0, ends = 0, last = 0, is_passing = false,
    deltas = 0, unread = 0, counts = {}, has_news = false, after_cr = nil,
  }
end

-- Inside a JSON string a quote is escaped, so these patterns match members only, never what a model wrote.
local function is_delta(event)
  return event:find('"content":%s*"[^"]') or event:find('"text":%s*"[^"]')
    or event:find('"arguments":%s*"[^"]') or event:find('"reasoning_content":%s*"[^"]')
end

-- Reads one whole event; returns whether the caller gets it.
local function take_event(events, event)
  local reader = new_reader(COUNTED_MEMBERS)
  feed(reader, payload(event))
  local found = finish(reader)
  if found == nil then return true end
  if take_counts(events.counts, found) then events.has_news = true end
  local is_totals = found.choices == "empty" and type(found.usage) == "table"
  if not is_totals and is_delta(event) then
    events.deltas = events.deltas + 1
    events.has_news = true
  end
  return events.is_wanted or not is_totals
end

-- The index of the last byte of the event that `text` continues, or nil: an event ends with an empty line, and a
-- line with CR LF, LF or CR.
local function find_end(events, text, i, n)
  local ends, last = events.ends, events.last
  while i <= n do
    local c = byte(text, i)
    if c == 10 then
      if last ~= 13 then ends = ends + 1 end
    elseif c == 13 then
      ends = ends + 1
    else
      ends = 0
    end
    last = c
    if ends == 2 then
      -- The line feed of a closing CR LF belongs to this event if it is here already.
      if c == 13 and byte(text, i + 1) == 10 then
        i, last = i + 1, 10
      end
      events.ends, events.last = 0, last
      return i
    end
    i = i + 1
  end
  events.ends, events.last = ends, last
  return nil
end

-- Holds a piece of an event that has not ended, or lets everything go that is held of one too large.
local function hold(events, piece, out)
  if not events.is_passing and events.held + #piece <= EVENT_BYTES_MAX then
    events.pieces[#events.pieces + 1] = piece
    events.held = events.held + #piece
    return
  end
  if not events.is_passing then
    events.is_passing, events.unread, events.has_news = true, events.unread + 1, true
    for _, earlier in ipairs(events.pieces) do out[#out + 1] = earlier end
    events.pieces, events.held = {}, 0
  end
  out[#out + 1] = piece
end

-- Returns what of `text`, and of what was held before, goes on to the caller.
local function pass_events(events, text)
  local out, from, n = {}, 1, #text
  if events.after_cr ~= nil and n > 0 then
    -- The line feed of a CR LF goes where its event went.
    if byte(text, 1) == 10 then
      if events.after_cr == "kept" then out[1] = "\n" end
      from, events.last = 2, 10
    end
    events.after_cr = nil
  end
  while from <= n do
    local to = find_end(events, text, from, n)
    hold(events, sub(text, from, to or n), out)
    if to == nil then break end
    local is_kept = true
    if not events.is_passing then
      local event = table.concat(events.pieces)
      events.pieces, events.held = {}, 0
      is_kept = take_event(events, event)
      if is_kept then out[#out + 1] = event end
    end
    if to == n and byte(text, n) == 13 then events.after_cr = is_kept and "kept" or "gone" end
    events.is_passing = false
    from = to + 1
  end
  return table.concat(out)
end

-- Returns what of an event that never ended goes on to the caller.
local function end_events(events)
  local event = table.concat(events.pieces)
  events.pieces, events.held = {}, 0
  return take_event(events, event) and event or ""
end
