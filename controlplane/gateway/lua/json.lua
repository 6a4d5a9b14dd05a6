-- Reads a few members of a JSON object without building it: one pass, byte by byte, whatever the bytes are.
--
-- Work is linear in the bytes and memory is constant: a stack of at most DEPTH_MAX brackets, one token of at most
-- TOKEN_MAX bytes, and at most MEMBERS_MAX members. Text may come in pieces. The top level and wanted objects are held to JSON's grammar
-- (RFC 8259); below them only strings and brackets have to be closed, the engine judges the rest. Of a repeated
-- member the last one holds, as for llama.cpp (nlohmann) and vLLM (pydantic).

local DEPTH_MAX = 256
local TOKEN_MAX = 512
-- A member costs more than its bytes; OpenAI's requests have some thirty.
local MEMBERS_MAX = 1024

local byte, sub, char = string.byte, string.sub, string.char

-- Where the reader stands. VALUE to COMMA are places between tokens; SKIP is inside a value that nobody wants.
local VALUE, KEY, KEY_AGAIN, COLON, COMMA, TEXT, SCALAR, SKIP, DONE, BAD = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10

-- `wanted` maps a member's name to true (its value, if it is a string, number, boolean or null), to "array" (is it
-- empty?) or to a table of the same kind (for the members of an object).
local function new_reader(wanted)
  return {
    wanted = wanted, found = {}, at = VALUE, level = 0, stack = {}, depth = 0, members = 0, is_first = true,
    is_escaped = false, is_in_text = false, is_key = false, token = "", is_long = false,
  }
end

local ESCAPES = {b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/"}

local function unescape(text)
  if not text:find("\\", 1, true) then return text end
  text = text:gsub("\\\\", "\\u005c")
  text = text:gsub("\\u(%x%x%x%x)", function(digits)
    local code = tonumber(digits, 16)
    -- Names and values that are looked for are ASCII; anything else only has to differ from them.
    if code == 92 then return "\\\\" end
    return code < 128 and char(code) or "\255"
  end)
  return (text:gsub("\\(.)", ESCAPES))
end

local NULL = {}
local WORDS = {["true"] = true, ["false"] = false, ["null"] = NULL}

local function store(reader, value)
  if reader.level == 1 then
    reader.found[reader.name] = value
  else
    reader.found[reader.name][reader.inner] = value
  end
end

local function wanted_here(reader)
  if reader.level == 1 then return reader.wanted[reader.name] end
  if reader.level == 2 then return reader.wanted[reader.name][reader.inner] end
  return nil
end

-- A value begins: what stood under this name before is gone.
local function forget(reader)
  local kind = wanted_here(reader)
  if kind ~= nil then store(reader, nil) end
  return kind
end

local function after_value(reader)
  return reader.level == 0 and DONE or COMMA
end

local function end_text(reader)
  local token = reader.is_long and "\255" or unescape(reader.token)
  if reader.is_key then
    if reader.level == 1 then reader.name = token else reader.inner = token end
    return COLON
  end
  if wanted_here(reader) == true then store(reader, token) end
  return after_value(reader)
end

local function end_scalar(reader)
  local token = reader.token
  if wanted_here(reader) == true and not reader.is_long then
    local word = WORDS[token]
    if word ~= nil then
      store(reader, word)
    elseif token:find("^%-?%d") then
      -- A number that is no whole count below 10^15 is kept as nothing that can be counted.
      store(reader, token:find("^%d+$") and #token <= 15 and tonumber(token) or NULL)
    else
      return BAD
    end
  end
  return after_value(reader)
end

local function keep(reader, piece)
  if reader.is_long then return end
  if #reader.token + #piece > TOKEN_MAX then
    reader.is_long = true
  else
    reader.token = reader.token .. piece
  end
end

local function begin_token(reader, is_key)
  reader.token, reader.is_long, reader.is_escaped, reader.is_key = "", false, false, is_key
end

-- Passes over a value nobody wants: returns the index behind the last byte used.
local function skip(reader, text, i, n)
  local stack, depth = reader.stack, reader.depth
  local is_in_text, is_escaped = reader.is_in_text, reader.is_escaped
  while i <= n do
    local c = byte(text, i)
    i = i + 1
    if is_in_text then
      if is_escaped then is_escaped = false
      elseif c == 92 then is_escaped = true
      elseif c == 34 then is_in_text = false end
    elseif c == 34 then
      is_in_text = true
    elseif c == 123 or c == 91 then
      if depth >= DEPTH_MAX then
        reader.at = BAD
        return i
      end
      depth = depth + 1
      stack[depth] = c + 2  -- The closing bracket stands two places behind its opening one in ASCII.
    elseif c == 125 or c == 93 then
      if stack[depth] ~= c then
        reader.at = BAD
        return i
      end
      depth = depth - 1
      if depth == 0 then
        reader.at = after_value(reader)
        break
      end
    end
  end
  reader.depth, reader.is_in_text, reader.is_escaped = depth, is_in_text, is_escaped
  return i
end

local function read_text(reader, text, i, n)
  local from, is_escaped = i, reader.is_escaped
  while i <= n do
    local c = byte(text, i)
    if is_escaped then is_escaped = false
    elseif c == 92 then is_escaped = true
    elseif c == 34 then break end
    i = i + 1
  end
  reader.is_escaped = is_escaped
  if reader.is_key or wanted_here(reader) == true then
    if i - from > TOKEN_MAX then reader.is_long = true else keep(reader, sub(text, from, i - 1)) end
  end
  if i <= n then reader.at = end_text(reader) end
  return i + 1
end

local function read_scalar(reader, text, i, n)
  local from = i
  while i <= n do
    local c = byte(text, i)
    local is_word = c >= 48 and c <= 57 or c >= 97 and c <= 122 or c >= 65 and c <= 90 or c == 43 or c == 45 or c == 46
    if not is_word then break end
    i = i + 1
  end
  if i - from > TOKEN_MAX then reader.is_long = true else keep(reader, sub(text, from, i - 1)) end
  if i <= n then reader.at = end_scalar(reader) end
  return i
end

local function open(reader, c)
  local kind = forget(reader)
  if c == 123 and (reader.level == 0 or type(kind) == "table") then
    if reader.level == 0 then
      reader.is_object = true
    else
      store(reader, {})
    end
    reader.level = reader.level + 1
    return KEY
  end
  if c == 91 and kind == "array" then
    store(reader, "empty")
    reader.is_counting = true
  end
  reader.depth, reader.is_in_text, reader.is_escaped = 1, false, false
  reader.stack[1] = c + 2
  return SKIP
end

local function close_object(reader)
  reader.level = reader.level - 1
  return after_value(reader)
end

-- One byte between tokens; white space has been passed over.
local function step(reader, c)
  local at = reader.at
  if at == VALUE then
    if c == 34 then
      forget(reader)
      begin_token(reader, false)
      return TEXT
    elseif c == 123 or c == 91 then
      return open(reader, c)
    elseif c == 45 or c >= 48 and c <= 57 or c >= 65 and c <= 90 or c >= 97 and c <= 122 then
      forget(reader)
      begin_token(reader, false)
      return SCALAR
    end
  elseif at == KEY or at == KEY_AGAIN then
    if c == 34 then
      begin_token(reader, true)
      return TEXT
    elseif c == 125 and at == KEY then
      return close_object(reader)
    end
  elseif at == COLON then
    if c == 58 then return VALUE end
  elseif at == COMMA then
    if c == 44 then
      reader.members = reader.members + 1
      return reader.members < MEMBERS_MAX and KEY_AGAIN or BAD
    end
    if c == 125 then return close_object(reader) end
  end
  return BAD
end

local function feed(reader, text)
  local i, n = 1, #text
  if reader.is_first and n > 0 then
    reader.is_first = false
    if sub(text, 1, 3) == "\239\187\191" then i = 4 end
  end
  while i <= n do
    local at = reader.at
    if at == SKIP then
      if reader.is_counting then
        -- The first byte that is no white space tells whether the array is empty.
        local c = byte(text, i)
        if c == 32 or c == 9 or c == 10 or c == 13 then
          i = i + 1
        else
          reader.is_counting = false
          if c ~= 93 then store(reader, "full") end
        end
      else
        i = skip(reader, text, i, n)
      end
    elseif at == TEXT then
      i = read_text(reader, text, i, n)
    elseif at == SCALAR then
      i = read_scalar(reader, text, i, n)
    elseif at == BAD then
      return
    else
      local c = byte(text, i)
      if c == 32 or c == 9 or c == 10 or c == 13 then
        i = i + 1
      else
        reader.at = step(reader, c)
        -- A scalar's first byte is part of it.
        if reader.at ~= SCALAR then i = i + 1 end
      end
    end
  end
end

-- Returns what was found, or nil when the text is no whole JSON object; `is_json` says whether it is JSON at all.
local function finish(reader)
  if reader.at == SCALAR and reader.level == 0 then reader.at = end_scalar(reader) end
  local is_json = reader.at == DONE
  if is_json and reader.is_object then return reader.found, true end
  return nil, is_json
end
