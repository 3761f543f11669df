-- The argument matcher of functions and classes written in Lua, with the rules of the C one:
-- positional arguments in PyTorch's order, then optionally one table of named ones.
--
--   local spec = args "Conv2d(int in_channels, int out_channels, ints kernel_size, ints stride=1)"
--   local in_channels, out_channels, kernel_size, stride = spec(...)
--
-- A type stands before each name: int, float, bool, str, ints (a number or a list), floats, Tensor,
-- Module, function, table, dtype, scalar (a number or a tensor), scalars (one or a list), any; `?` after
-- it allows nil, as does the default nil; where the default is another value, `false` stands for Python's
-- None (momentum = false). Arguments after `*` are taken by name only. Errors are raised at the user's line.
local core = require "lampad.core"
local text = require "lampad.text"

local args = {}

-- Chunk names of the library's own files start with this: "@lampad/" embedded, "@.../lampad/" from disk.
local own_prefix = debug.getinfo(1, "S").source:gsub("args%.lua$", "")

--- "script.lua:12: " for the innermost caller that is not of the library, or "".
function args.where()
  local level = 2
  while true do
    local info = debug.getinfo(level, "Sl")
    if not info then return "" end
    if info.currentline > 0 and info.source:sub(1, #own_prefix) ~= own_prefix then
      return info.short_src .. ":" .. info.currentline .. ": "
    end
    level = level + 1
  end
end

--- Raises an error at the user's line: fail("MaxPool2d", "stride must be positive, got %d", s).
function args.fail(what, format, ...)
  if select("#", ...) > 0 then format = format:format(...) end
  error(args.where() .. (what and what .. ": " or "") .. format, 0)
end
local fail = args.fail

-- --- types: each returns the value to use, or nothing when it does not fit ----------------------
local function is_list(v)
  return type(v) == "table" and getmetatable(v) == nil
end

local function integer(v)
  if type(v) == "number" then return math.tointeger(v) end
end

-- A list of converted members from a plain list or a torch.Size.
local function list_of(convert, v)
  local result = {}
  if is_list(v) then
    for i = 1, v.n or #v do
      result[i] = convert(v[i])
      if result[i] == nil then return end
    end
    return result
  end
  if type(v) == "userdata" and not core.torch.is_tensor(v) then
    local ok, packed = pcall(function() return { v:unpack() } end)
    return ok and packed or nil
  end
end

local function number(v)
  if type(v) == "number" then return v end
end

local converters = {
  int = integer,
  float = number,
  bool = function(v) if type(v) == "boolean" then return v end end,
  str = function(v) if type(v) == "string" then return v end end,
  ints = function(v)
    local single = integer(v)
    if single then return single end
    return list_of(integer, v)
  end,
  floats = function(v) return number(v) or list_of(number, v) end,
  Tensor = function(v) if type(v) == "userdata" and core.torch.is_tensor(v) then return v end end,
  Module = function(v)
    local meta = type(v) == "table" and getmetatable(v)
    if meta and meta.is_module then return v end
  end,
  ["function"] = function(v)
    local meta = getmetatable(v)
    if type(v) == "function" or (type(meta) == "table" and meta.__call) then return v end
  end,
  table = function(v) if type(v) == "table" then return v end end,
  any = function(v) return v end,
}
function converters.scalar(v) return number(v) or converters.Tensor(v) end
function converters.scalars(v) return converters.scalar(v) or list_of(converters.scalar, v) end
converters.dtype = converters.any
converters.device = converters.any

local type_words = {
  int = "an integer", float = "a number", bool = "a boolean", str = "a string",
  ints = "an integer or a list of integers", floats = "a number or a list of numbers",
  scalar = "a number or a tensor", scalars = "a list of numbers or tensors",
  Tensor = "a tensor", Module = "a module", ["function"] = "a function", table = "a table",
}

-- --- parsing the signature -----------------------------------------------------------------------
local literals = { ["nil"] = "nil", ["true"] = true, ["false"] = false }

local function parse_default(s)
  if s == "nil" then return nil end
  local literal = literals[s]
  if literal ~= nil then return literal end
  return s:match("^'(.*)'$") or tonumber(s) or error("bad default " .. s)
end

local Spec = {}
Spec.__index = Spec

local function parse(signature)
  local name, inner = signature:match("^%s*([%w_.]+)%s*%((.*)%)%s*$")
  assert(name, signature)
  local spec = { name = name, names = {}, index = {}, types = {}, optional = {}, defaults = {} }
  local positional
  for item in inner:gmatch("[^,]+") do
    item = item:match("^%s*(.-)%s*$")
    if item == "*" then
      positional = #spec.names
    else
      local kind, mark, arg, default = item:match("^(%w+)(%??) ([%w_]+)=?(.*)$")
      assert(converters[kind], item)
      local i = #spec.names + 1
      spec.names[i], spec.types[i], spec.index[arg] = arg, kind, i
      spec.optional[i] = mark == "?" or default == "nil"
      if default ~= "" then spec.defaults[i] = parse_default(default) end
    end
  end
  spec.count = #spec.names
  spec.positional = positional or spec.count
  return setmetatable(spec, Spec)
end

--- True for a table of named arguments: plain, with string keys (or empty).
local function is_named(v)
  if type(v) ~= "table" or getmetatable(v) ~= nil then return false end
  if #v > 0 then return false end
  local key = next(v)
  return key == nil or type(key) == "string"
end
args.is_named = is_named

--- The named table when the last argument is one, else nil; for hand-written fast paths.
function args.options(v)
  if type(v) == "table" and is_named(v) then return v end
end

--- Raises unless the value is a tensor; returns it.
function args.tensor(what, name, value)
  if type(value) == "userdata" and core.torch.is_tensor(value) then return value end
  fail(what, "argument '%s' must be a tensor, got %s", name, text.describe(value))
end

--- The tensor of a forward that got something else: the table forward{input = x}, or a mistake.
function args.input(what, given, name)
  if is_named(given) and next(given) ~= nil then
    args.check_names(what .. ".forward", given, { name })
    given = given[name]
  end
  return args.tensor(what, name, given)
end

--- How many arguments beside self the functions of args.forward take.
args.forward_counts = setmetatable({}, { __mode = "k" })

--- A method that also takes its arguments by name, in a table after those by position: forward(self, x, {target = y}).
--- args.forward("MSELoss", { "input", "target" }, fn); at most four names. The first argument is a tensor.
function args.forward(what, names, fn)
  local count = #names
  local first_name = names[1]
  local function by_name(self, given, ...)
    local values = { ... }
    local named = values[given]
    values[given] = nil
    args.check_names(what .. ".forward", named, names)
    for i, name in ipairs(names) do
      if named[name] ~= nil then
        if i < given then fail(what .. ".forward", "argument '%s' is given twice, by position and by name", name) end
        values[i] = named[name]
      end
    end
    return fn(self, args.tensor(what, first_name, values[1]), table.unpack(values, 2, count))
  end
  if count == 1 then
    return function(self, a)
      if type(a) ~= "userdata" then a = args.input(what, a, first_name) end
      return fn(self, a)
    end
  end
  local function is_options(v) return type(v) == "table" and next(v) ~= nil and is_named(v) end
  local function forward(self, a, b, c, d)
    local given = d ~= nil and 4 or c ~= nil and 3 or b ~= nil and 2 or 1
    local last = d ~= nil and d or c ~= nil and c or b ~= nil and b or a
    if type(last) == "table" and is_options(last) then return by_name(self, given, a, b, c, d) end
    if type(a) ~= "userdata" then args.tensor(what, first_name, a) end
    return fn(self, a, b, c, d)
  end
  args.forward_counts[forward] = count
  return forward
end

-- Raises for a named argument that is not among `known`: with the one that was meant, or all when none is near.
local function unknown(what, key, known)
  key = tostring(key)
  local near, edits = text.nearest(key, known)
  if near and edits <= math.max(2, #key // 2) then
    fail(what, "unknown argument '%s'; did you mean '%s'?", key, near)
  end
  fail(what, "unknown argument '%s'; %s", key,
    #known > 0 and "the arguments are " .. table.concat(known, ", ") or "there are no arguments by name")
end

--- Raises unless every key of the named table is in the list `known`.
function args.check_names(what, named, known)
  for key in pairs(named) do
    local found = false
    for _, name in ipairs(known) do found = found or name == key end
    if not found then unknown(what, key, known) end
  end
end

local NONE = {} -- an argument explicitly given as Python's None

function Spec:convert(i, value)
  if value == false and self.optional[i] and self.types[i] ~= "bool" then return NONE end
  local converted = converters[self.types[i]](value)
  if converted == nil then
    fail(self.name, "argument '%s' must be %s, got %s", self.names[i], type_words[self.types[i]],
      text.describe(value))
  end
  return converted
end

--- Matches the arguments; returns the values in the signature's order.
function Spec:__call(...)
  local given = select("#", ...)
  local values = { ... }
  local last = values[given]
  local named
  if given > 0 and is_named(last) then
    -- A table where a table or an empty list is expected by position is no set of options.
    local kind = given <= self.positional and self.types[given]
    local is_value = (kind == "table" or kind == "any") and (next(last) == nil or not self.index[next(last)])
      or (kind == "ints" or kind == "floats") and next(last) == nil and self.defaults[given] == nil
      and not self.optional[given]
    if not is_value then
      named = last
      values[given] = nil
      given = given - 1
    end
  end
  if given > self.positional then
    fail(self.name, "takes at most %d positional argument%s, got %d", self.positional,
      self.positional == 1 and "" or "s", given)
  end
  for i = 1, given do
    local value = values[i]
    if value ~= nil then values[i] = self:convert(i, value) end
  end
  if named then
    for key, value in pairs(named) do
      local i = self.index[key]
      if not i then unknown(self.name, key, self.names) end
      if values[i] ~= nil and i <= given then
        fail(self.name, "argument '%s' is given twice, by position and by name", key)
      end
      values[i] = self:convert(i, value)
    end
  end
  for i = 1, self.count do
    if values[i] == nil then
      local default = self.defaults[i]
      if default == nil and not self.optional[i] then
        fail(self.name, "argument '%s' (%s) is missing", self.names[i], type_words[self.types[i]] or "any")
      end
      values[i] = default
    elseif values[i] == NONE then
      values[i] = nil
    end
  end
  return table.unpack(values, 1, self.count)
end

--- The arguments as a table by name, for layers that store them all.
function Spec:collect(...)
  local result = {}
  local values = { self(...) }
  for i = 1, self.count do result[self.names[i]] = values[i] end
  return result
end

-- nil, true, 0.1, 'mean': as Lua writes it.
local function lua_text(value)
  return type(value) == "string" and "'" .. value .. "'" or text.repr(value):gsub("^True$", "true"):gsub("^False$", "false")
    :gsub("^None$", "nil")
end

--- The arguments of a function that matches them with a spec, as text for help: "in_features, bias=true"; else nil.
function args.signature_of(fn)
  for i = 1, math.huge do
    local name, value = debug.getupvalue(fn, i)
    if name == nil then return nil end
    if getmetatable(value) == Spec then
      local parts = {}
      for k, argument in ipairs(value.names) do
        if k == value.positional + 1 then parts[#parts + 1] = "*" end
        local default = value.defaults[k]
        local shown = default ~= nil and "=" .. lua_text(default) or value.optional[k] and "=nil" or ""
        parts[#parts + 1] = argument .. shown
      end
      return table.concat(parts, ", ")
    end
  end
end

--- {v, v, ...} of `count` entries from a number, or the list itself when it has that length.
function args.tuple(what, name, value, count)
  if type(value) ~= "table" then
    local result = {}
    for i = 1, count do result[i] = value end
    return result
  end
  if #value ~= count then
    fail(what, "%s must be a number or a list of %d, got a list of %d", name, count, #value)
  end
  return value
end

--- The named arguments of an op that makes a tensor: args.making(device, dtype), both may be nil.
function args.making(device, dtype)
  return { device = device or "cpu", dtype = dtype or core.torch.get_default_dtype() }
end

--- The named argument of an op that draws random numbers; nil stands for the default generator.
function args.drawing(generator)
  return { generator = generator or core.torch.default_generator }
end

return setmetatable(args, { __call = function(_, signature) return parse(signature) end })
