--- Text of tensors: PyTorch's repr, character for character. Loaded at the first print.
--
-- Only the elements that are shown are read (`x:_shown`), so printing a huge tensor is cheap. The
-- rules were read off PyTorch's output: one number format for the whole tensor, chosen from the
-- finite non-zero elements that are shown; a dim is cut when the tensor has more than `threshold`
-- elements and the dim more than 2 * `edgeitems`; suffixes move to a new line past `linewidth`.
local core = require "lampad.core"

local M = {}

local defaults = { precision = 4, threshold = 1000, edgeitems = 3, linewidth = 80 }
local profiles = {
  default = defaults,
  short = { precision = 2, threshold = 1000, edgeitems = 2, linewidth = 80 },
  full = { precision = 4, threshold = math.huge, edgeitems = 3, linewidth = 80 },
}
local option_names = { "precision", "threshold", "edgeitems", "linewidth", "profile", "sci_mode" }
local option_kinds = { precision = "number", threshold = "number", edgeitems = "number", linewidth = "number",
  profile = "string", sci_mode = "boolean" }
local options = { precision = 4, threshold = 1000, edgeitems = 3, linewidth = 80, sci_mode = nil }

-- --- numbers ------------------------------------------------------------------------------------

local function is_finite(v) return v == v and v ~= math.huge and v ~= -math.huge end

local function special(v)
  return v ~= v and "nan" or v > 0 and "inf" or "-inf"
end

local function pad(text, width)
  local missing = width - #text
  return missing > 0 and (" "):rep(missing) .. text or text
end

--- A function value -> text for floating elements, and the common width.
-- `first` and `step` pick the elements of one part of a complex list.
local function float_format(values, first, step)
  local low, high, all_integral = math.huge, 0, true
  for i = first, #values, step do
    local v = values[i]
    if v ~= 0 and is_finite(v) then
      local a = v < 0 and -v or v
      if a < low then low = a end
      if a > high then high = a end
      if all_integral and v % 1 ~= 0 then all_integral = false end
    end
  end
  if high == 0 then -- nothing to choose by: integral
    return function(v) return is_finite(v) and ("%.0f."):format(v) or special(v) end, 1
  end
  local sci = options.sci_mode
  if sci == nil then sci = high / low > 1000 or high > 1e8 or low < 1e-4 end
  local pattern = ("%%.%d%s"):format(options.precision, sci and "e" or "f")
  if all_integral and not sci then pattern = "%.0f." end
  local width = 1
  for i = first, #values, step do
    local v = values[i]
    if v ~= 0 and is_finite(v) then
      local n = #pattern:format(v)
      if n > width then width = n end
    end
  end
  return function(v) return pad(is_finite(v) and pattern:format(v) or special(v), width) end, width
end

--- The same for integers and booleans.
local function plain_format(values)
  local width = 1
  local text = type(values[1]) == "boolean" and function(v) return v and "True" or "False" end
    or function(v) return type(v) == "string" and v or ("%d"):format(v) end
  for i = 1, #values do
    local n = #text(values[i])
    if n > width then width = n end
  end
  return function(v) return pad(text(v), width) end, width
end

--- A function () -> text of the next element, and the length an element takes on a line.
local function element_reader(x, values)
  local position = 0
  if x.dtype.is_complex then
    local real, real_width = float_format(values, 1, 2)
    local imag, imag_width = float_format(values, 2, 2)
    return function()
      position = position + 2
      local imag_text = (imag(values[position]) .. "j"):gsub("^ +", "")
      local sign = imag_text:byte() == 45 and "" or "+"
      return real(values[position - 1]) .. sign .. imag_text
    end, real_width + imag_width + 3
  end
  local format, width
  if x.dtype.is_floating_point then format, width = float_format(values, 1, 1)
  else format, width = plain_format(values) end
  return function()
    position = position + 1
    return format(values[position])
  end, width + 2
end

-- --- brackets -----------------------------------------------------------------------------------

local function is_cut(n, summarize) return summarize and n > 2 * options.edgeitems end

local function vector_text(n, indent, summarize, next_element, element_length)
  local items = {}
  if summarize and options.edgeitems == 0 then
    items[1] = "..."
  elseif is_cut(n, summarize) then
    for i = 1, options.edgeitems do items[i] = next_element() end
    items[#items + 1] = " ..."
    for _ = 1, options.edgeitems do items[#items + 1] = next_element() end
  else
    for i = 1, n do items[i] = next_element() end
  end
  local per_line = math.max(1, (options.linewidth - indent) // element_length)
  local lines = {}
  for first = 1, #items, per_line do
    lines[#lines + 1] = table.concat(items, ", ", first, math.min(first + per_line - 1, #items))
  end
  return "[" .. table.concat(lines, ",\n" .. (" "):rep(indent + 1)) .. "]"
end

local function nested_text(shape, dim, indent, summarize, next_element, element_length)
  local n, last = shape[dim], #shape - 1
  if dim == last then return vector_text(n, indent, summarize, next_element, element_length) end
  local parts = {}
  local function add(count)
    for _ = 1, count do
      parts[#parts + 1] = nested_text(shape, dim + 1, indent + 1, summarize, next_element, element_length)
    end
  end
  if is_cut(n, summarize) then
    add(options.edgeitems)
    parts[#parts + 1] = "..."
    add(options.edgeitems)
  else
    add(n)
  end
  return "[" .. table.concat(parts, "," .. ("\n"):rep(last - dim) .. (" "):rep(indent + 1)) .. "]"
end

local function contents(x, shape, indent)
  if shape:numel() == 0 then return "[]" end
  local summarize = shape:numel() > options.threshold
  local values = summarize and x:_shown(options.edgeitems) or x:_shown()
  local next_element, element_length = element_reader(x, values)
  if #shape == 0 then return next_element() end
  return nested_text(shape, 0, indent, summarize, next_element, element_length)
end

-- --- suffixes -----------------------------------------------------------------------------------

local function tuple_text(shape)
  local list = shape:tolist()
  return "(" .. table.concat(list, ", ") .. (#list == 1 and ",)" or ")")
end

local function grad_fn_name(grad_fn)
  local name = grad_fn.name
  if type(name) == "function" then name = name(grad_fn) end
  return name
end

local function suffixes_of(x, shape)
  local torch = require "lampad"
  local list, dtype = {}, x.dtype
  local default = torch.get_default_dtype()
  local default_complex = default == torch.float64 and torch.complex128 or torch.complex64
  if x.device.type ~= "cpu" then list[1] = "device='" .. tostring(x.device) .. "'" end
  if shape:numel() == 0 then
    if #shape ~= 1 then list[#list + 1] = "size=" .. tuple_text(shape) end
    if dtype ~= default then list[#list + 1] = "dtype=" .. tostring(dtype) end
  else
    if options.edgeitems == 0 then list[#list + 1] = "size=" .. tuple_text(shape) end
    if dtype ~= default and dtype ~= default_complex and dtype ~= torch.int64 and dtype ~= torch.bool then
      list[#list + 1] = "dtype=" .. tostring(dtype)
    end
  end
  local grad_fn = x.grad_fn
  if grad_fn then
    list[#list + 1] = "grad_fn=<" .. grad_fn_name(grad_fn) .. ">"
  elseif x.requires_grad then
    list[#list + 1] = "requires_grad=True"
  end
  return list
end

--- PyTorch's repr of a tensor.
-- @param x a tensor
-- @return "tensor([[1., 2.],\n        [3., 4.]])"
function M.tostring(x)
  local level = core.vmap_level(x)
  if level then
    local value = M.tostring(core.vmap_physical(x)):gsub("\n", "\n    ")
    return ("BatchedTensor(lvl=%d, bdim=0, value=\n    %s\n)"):format(level, value)
  end
  local shape, indent = x.shape, #"tensor("
  local parameters = core.parameters -- nn.Parameter's marks, once nn is loaded
  local title = parameters and parameters[x] and "Parameter containing:\ntensor(" or "tensor("
  local parts = { title .. contents(x, shape, indent) }
  local last_line = parts[1]:match("[^\n]*$")
  local line_length = #last_line + 2
  for _, suffix in ipairs(suffixes_of(x, shape)) do
    if line_length + #suffix + 2 > options.linewidth then
      parts[#parts + 1] = ",\n" .. (" "):rep(indent) .. suffix
      line_length = indent + #suffix
    else
      parts[#parts + 1] = ", " .. suffix
      line_length = line_length + #suffix + 2
    end
  end
  parts[#parts + 1] = ")"
  return table.concat(parts)
end

-- --- options ------------------------------------------------------------------------------------

local function check_option(name, value)
  local kind = option_kinds[name]
  if not kind then
    error(("set_printoptions: unknown argument '%s'; the arguments are %s"):format(tostring(name),
      table.concat(option_names, ", ")), 3)
  end
  if value ~= nil and type(value) ~= kind then
    error(("set_printoptions: argument '%s' must be a %s, got %s"):format(name, kind, type(value)), 3)
  end
  if kind == "number" and value and (value < 0 or name ~= "threshold" and value % 1 ~= 0) then
    error(("set_printoptions: argument '%s' must be a whole number of at least 0, got %s"):format(name,
      tostring(value)), 3)
  end
  if name == "precision" and value and value > 99 then
    error(("set_printoptions: argument 'precision' must be at most 99, got %d"):format(value), 3)
  end
  if name == "profile" and value and not profiles[value] then
    error(("set_printoptions: argument 'profile' must be 'default', 'short' or 'full', got '%s'"):format(value), 3)
  end
end

--- torch.set_printoptions(precision, threshold, edgeitems, linewidth, profile, sci_mode), or by name.
-- What is not given stays, except sci_mode, which goes back to automatic, as in PyTorch.
-- @param precision digits after the point; default 4
-- @param threshold number of elements above which the text is summarised; default 1000
-- @param edgeitems elements shown at each end of a dim then; default 3
-- @param linewidth characters a line; default 80
-- @param profile "default", "short" or "full": sets the four above first
-- @param sci_mode true or false forces or forbids scientific notation; nil chooses by the values
function M.set_printoptions(...)
  local given, named = {}, select(select("#", ...), ...)
  local n = select("#", ...)
  if type(named) == "table" then
    for name, value in pairs(named) do
      check_option(name, value)
      given[name] = value
    end
    n = n - 1
  end
  if n > #option_names then error("set_printoptions: takes at most 6 arguments, got " .. n, 2) end
  for i = 1, n do
    local value = (select(i, ...))
    check_option(option_names[i], value)
    if value ~= nil then given[option_names[i]] = value end
  end
  for name, value in pairs(profiles[given.profile] or {}) do options[name] = value end
  for name in pairs(defaults) do
    local value = given[name]
    if value ~= nil then options[name] = name == "threshold" and value or math.tointeger(value) end
  end
  options.sci_mode = given.sci_mode
end

--- torch.get_printoptions(): a table set_printoptions takes back.
function M.get_printoptions()
  local copy = {}
  for name, value in pairs(options) do copy[name] = value end
  return copy
end

--- torch.printoptions(options [, body]): the options hold while body runs, or until the returned
-- value is closed.
function M.printoptions(given, body)
  local old = M.get_printoptions()
  M.set_printoptions(given)
  if not body then
    return setmetatable({}, { __close = function() M.set_printoptions(old) end })
  end
  local results = table.pack(pcall(body))
  M.set_printoptions(old)
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

return M
