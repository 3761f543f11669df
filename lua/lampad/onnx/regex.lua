-- Regular expressions in the syntax of RE2, for the operator RegexFullMatch: does a whole string match?
--
--   local matches = regex.compile "[a-z]+(\\d|_)*"
--   print(matches "abc1_")       --> true
--
-- The expression becomes a small program whose states are followed all at once (Thompson 1968), so that no expression
-- takes more than time (length of the program) x (length of the string). Characters are code points of UTF-8.
-- Known: literals, ., [...], \d \w \s and their opposites, [:alpha:] and its kin, escapes, (...), (?:...), (?P<name>...),
-- (?i) and (?s) for the rest of a group, |, * + ? {m,n} and their reluctant forms, ^ $ \A \z \b \B.
local regex = {}

local MAX_PROGRAM = 100000
local MAX_REPEAT = 1000 -- as in RE2

-- --- sets of characters: lists of ranges ----------------------------------------------------------------
local TOP = 0x10ffff

local function set_of(...) -- from pairs of characters: set_of("az", "__")
  local ranges = {}
  for _, pair in ipairs { ... } do ranges[#ranges + 1] = { pair:byte(1), pair:byte(2) } end
  return ranges
end

local function negated(ranges)
  local sorted = table.move(ranges, 1, #ranges, 1, {})
  table.sort(sorted, function(a, b) return a[1] < b[1] end)
  local result, from = {}, 0
  for _, range in ipairs(sorted) do
    if range[1] > from then result[#result + 1] = { from, range[1] - 1 } end
    from = math.max(from, range[2] + 1)
  end
  if from <= TOP then result[#result + 1] = { from, TOP } end
  return result
end

local function add_all(ranges, more) table.move(more, 1, #more, #ranges + 1, ranges) end

local function contains(ranges, c)
  for _, range in ipairs(ranges) do
    if c >= range[1] and c <= range[2] then return true end
  end
  return false
end

-- The same letters in the other case, for (?i); of ASCII only.
local function folded(ranges)
  local result = table.move(ranges, 1, #ranges, 1, {})
  for c = 0x41, 0x5a do
    if contains(ranges, c) then result[#result + 1] = { c + 32, c + 32 } end
    if contains(ranges, c + 32) then result[#result + 1] = { c, c } end
  end
  return result
end

local classes = { d = set_of("09"), w = set_of("09", "AZ", "az", "__"), s = set_of("\t\n", "\f\r", "  ") }
for _, name in ipairs { "d", "w", "s" } do classes[name:upper()] = negated(classes[name]) end

local named = {
  alnum = set_of("09", "AZ", "az"), alpha = set_of("AZ", "az"), ascii = set_of("\0\127"), blank = set_of("\t\t", "  "),
  cntrl = set_of("\0\31", "\127\127"), digit = classes.d, graph = set_of("!~"), lower = set_of("az"), print = set_of(" ~"),
  punct = set_of("!/", ":@", "[`", "{~"), space = set_of("\t\r", "  "), upper = set_of("AZ"), word = classes.w,
  xdigit = set_of("09", "AF", "af"),
}

local escapes = { n = 10, t = 9, r = 13, f = 12, v = 11, a = 7 }

-- --- parsing --------------------------------------------------------------------------------------------
-- A reader over the code points of the pattern; the tree's nodes are
--   { "set", ranges }, { "assert", kind }, { "all", nodes... }, { "any", nodes... }, { "repeat", node, least, most }.
local function fail(reader, format, ...)
  error(("the regular expression '%s' %s"):format(reader.pattern, format:format(...)), 0)
end

local function peek(reader) return reader[reader.at] end

local function take(reader)
  local c = reader[reader.at]
  reader.at = reader.at + 1
  return c
end

local function accept(reader, text)
  if reader:rest(#text) ~= text then return false end
  reader.at = reader.at + #text
  return true
end

local function literal(reader, c, flags)
  local ranges = { { c, c } }
  return { "set", flags.i and folded(ranges) or ranges }
end

-- A number in hexadecimal digits, behind \x.
local function read_hex(reader)
  local digits = ""
  if accept(reader, "{") then
    while peek(reader) and not accept(reader, "}") do digits = digits .. utf8.char(take(reader)) end
  else
    digits = reader:rest(2)
    reader.at = reader.at + 2
  end
  local value = digits:match "^%x+$" and tonumber(digits, 16)
  if not value or value > TOP then fail(reader, "has a bad escape \\x%s", digits) end
  return value
end

-- What stands behind a backslash: a set of characters, or nil and one character.
local function read_escape(reader)
  local c = take(reader)
  if not c then fail(reader, "ends with a backslash") end
  local letter = c < 128 and string.char(c) or ""
  if classes[letter] then return classes[letter] end
  if letter == "x" then return nil, read_hex(reader) end
  if escapes[letter] then return nil, escapes[letter] end
  if letter:find "[%w]" then fail(reader, "has the unknown escape \\%s", letter) end
  return nil, c
end

local function read_class(reader, flags)
  local ranges, inverse, first = {}, accept(reader, "^"), true
  while first or peek(reader) ~= 0x5d do
    if not peek(reader) then fail(reader, "lacks a ]") end
    first = false
    local inverse_name, name = reader:rest(12):match "^%[:(%^?)(%a+):%]"
    if name then
      if not named[name] then fail(reader, "has the unknown class [:%s:]", name) end
      add_all(ranges, inverse_name == "^" and negated(named[name]) or named[name])
      reader.at = reader.at + #name + #inverse_name + 4
    else
      local function one()
        if accept(reader, "\\") then return read_escape(reader) end
        return nil, take(reader)
      end
      local set, low = one()
      if set then
        add_all(ranges, set)
      else
        local high = low
        if peek(reader) == 0x2d and reader[reader.at + 1] and reader[reader.at + 1] ~= 0x5d then
          reader.at = reader.at + 1
          set, high = one()
          if set or high < low then fail(reader, "has a bad range in a class") end
        end
        ranges[#ranges + 1] = { low, high }
      end
    end
  end
  reader.at = reader.at + 1
  if flags.i then ranges = folded(ranges) end
  return { "set", inverse and negated(ranges) or ranges }
end

local read_alternatives

-- Behind "(": a group, or flags that hold to the end of the group around them.
local function read_group(reader, flags)
  local inner = setmetatable({}, { __index = flags })
  if accept(reader, "?P<") or accept(reader, "?<") then
    repeat
      local c = take(reader)
      if not c then fail(reader, "lacks a >") end
    until c == 0x3e
  elseif accept(reader, "?") then
    local on, target = true, {}
    while peek(reader) and peek(reader) ~= 0x3a and peek(reader) ~= 0x29 do
      local c = utf8.char(take(reader))
      if c == "-" then
        on = false
      elseif c == "i" or c == "s" then
        target[c] = on
      else
        fail(reader, "has the unknown flag (?%s)", c)
      end
    end
    local whole = accept(reader, ")")
    for flag, state in pairs(target) do (whole and flags or inner)[flag] = state end
    if whole then return { "all" } end
    if not accept(reader, ":") then fail(reader, "lacks a )") end
  end
  local node = read_alternatives(reader, inner)
  if not accept(reader, ")") then fail(reader, "lacks a )") end
  return node
end

local asserts = { b = "word", B = "no word", A = "begin", z = "end" }

local function read_atom(reader, flags)
  if accept(reader, "(") then return read_group(reader, flags) end
  if accept(reader, "[") then return read_class(reader, flags) end
  if accept(reader, ".") then return { "set", flags.s and { { 0, TOP } } or negated { { 10, 10 } } } end
  if accept(reader, "^") then return { "assert", "begin" } end
  if accept(reader, "$") then return { "assert", "end" } end
  if accept(reader, "\\") then
    local kind = asserts[reader:rest(1)]
    if kind then
      reader.at = reader.at + 1
      return { "assert", kind }
    end
    local set, c = read_escape(reader)
    return set and { "set", set } or literal(reader, c, flags)
  end
  if reader:rest(1):find "[*+?]" then fail(reader, "repeats nothing with %s", reader:rest(1)) end
  return literal(reader, take(reader), flags)
end

-- The bounds of a repetition that stands here, or nil.
local function read_repeat(reader)
  if accept(reader, "*") then return 0, math.huge end
  if accept(reader, "+") then return 1, math.huge end
  if accept(reader, "?") then return 0, 1 end
  local whole, least, comma, most = reader:rest(12):match "^({(%d+)(,?)(%d*)})"
  if not whole then return nil end -- a { that is no repetition stands for itself
  reader.at = reader.at + #whole
  least = tonumber(least)
  most = most ~= "" and tonumber(most) or comma == "" and least or math.huge
  if most < least or least > MAX_REPEAT or (most > MAX_REPEAT and most < math.huge) then
    fail(reader, "has the bad repetition %s", whole)
  end
  return least, most
end

local function read_sequence(reader, flags)
  local sequence = { "all" }
  while peek(reader) and not reader:rest(1):find "[|)]" do
    local node = read_atom(reader, flags)
    local least, most = read_repeat(reader)
    while least do
      accept(reader, "?") -- reluctant: for whether a whole string matches it makes no difference
      node = { "repeat", node, least, most }
      least, most = read_repeat(reader)
    end
    sequence[#sequence + 1] = node
  end
  return sequence
end

function read_alternatives(reader, flags)
  reader.depth = reader.depth + 1
  if reader.depth > 100 then fail(reader, "is nested more than 100 deep") end
  local node = { "any", read_sequence(reader, flags) }
  while accept(reader, "|") do node[#node + 1] = read_sequence(reader, flags) end
  reader.depth = reader.depth - 1
  return node
end

-- --- the program ----------------------------------------------------------------------------------------
-- Instructions { "set", ranges }, { "assert", kind }, { "split", a, b }, { "jump", a }, { "match" }.
local emit

local emitters = {
  set = function(program, node) program[#program + 1] = node end,
  assert = function(program, node) program[#program + 1] = node end,
  all = function(program, node)
    for i = 2, #node do emit(program, node[i]) end
  end,
  any = function(program, node)
    local jumps = {}
    for i = 2, #node - 1 do
      local split = { "split", #program + 2 }
      program[#program + 1] = split
      emit(program, node[i])
      jumps[#jumps + 1] = { "jump" }
      program[#program + 1] = jumps[#jumps]
      split[3] = #program + 1
    end
    emit(program, node[#node])
    for _, jump in ipairs(jumps) do jump[2] = #program + 1 end
  end,
  ["repeat"] = function(program, node)
    local inner, least, most = node[2], node[3], node[4]
    for _ = 1, least do emit(program, inner) end
    if most == math.huge then
      local split = { "split", #program + 2 }
      program[#program + 1] = split
      local at = #program
      emit(program, inner)
      program[#program + 1] = { "jump", at }
      split[3] = #program + 1
      return
    end
    local splits = {}
    for _ = least + 1, most do
      local split = { "split", #program + 2 }
      splits[#splits + 1] = split
      program[#program + 1] = split
      emit(program, inner)
    end
    for _, split in ipairs(splits) do split[3] = #program + 1 end
  end,
}

function emit(program, node)
  if #program > MAX_PROGRAM then error(("a regular expression of more than %d steps"):format(MAX_PROGRAM), 0) end
  emitters[node[1]](program, node)
end

local function is_word(c) return c ~= nil and contains(classes.w, c) end

local function holds(kind, text, at)
  if kind == "begin" then return at == 1 end
  if kind == "end" then return at == #text + 1 end
  return (is_word(text[at - 1]) ~= is_word(text[at])) == (kind == "word")
end

-- Adds instruction `pc` to the states, and all that follow it without reading a character.
local function follow(program, states, pc, text, at)
  local waiting = { pc }
  while #waiting > 0 do
    pc = table.remove(waiting)
    if not states.seen[pc] then
      states.seen[pc] = true
      local step = program[pc]
      if step[1] == "jump" then
        waiting[#waiting + 1] = step[2]
      elseif step[1] == "split" then
        waiting[#waiting + 1], waiting[#waiting + 2] = step[2], step[3]
      elseif step[1] == "assert" then
        if holds(step[2], text, at) then waiting[#waiting + 1] = pc + 1 end
      else
        states[#states + 1] = pc
      end
    end
  end
end

local function code_points(s)
  if utf8.len(s) then return { utf8.codepoint(s, 1, #s) } end
  local list = {}
  for i = 1, #s do list[i] = s:byte(i) end
  return list
end

--- compile(pattern): a function that says whether a whole string matches. Raises when the pattern is none.
function regex.compile(pattern)
  local reader = code_points(pattern)
  reader.pattern, reader.at, reader.depth = pattern, 1, 0
  function reader:rest(count) -- the next characters as a string, at most `count`
    local parts = {}
    for i = self.at, math.min(self.at + count - 1, #self) do parts[#parts + 1] = utf8.char(self[i]) end
    return table.concat(parts)
  end
  local tree = read_alternatives(reader, {})
  if peek(reader) then fail(reader, "has a ) too many") end
  local program = {}
  emit(program, tree)
  program[#program + 1] = { "match" }

  return function(s)
    local text = code_points(s)
    local states = { seen = {} }
    follow(program, states, 1, text, 1)
    for at = 1, #text do
      local following = { seen = {} }
      for _, pc in ipairs(states) do
        local step = program[pc]
        if step[1] == "set" and contains(step[2], text[at]) then follow(program, following, pc + 1, text, at + 1) end
      end
      states = following
      if #states == 0 then return false end
    end
    return states.seen[#program] == true
  end
end

return regex
