-- torch.testing: comparing tensors in tests, and making them.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"

local torch = core.torch
local M = {}

local function is_tensor(v) return type(v) == "userdata" and torch.is_tensor(v) end

-- rtol, atol by dtype; integers and booleans must be equal.
local tolerances = {
  [torch.float16] = { 1e-3, 1e-5 }, [torch.bfloat16] = { 1.6e-2, 1e-5 }, [torch.float32] = { 1.3e-6, 1e-5 },
  [torch.float64] = { 1e-7, 1e-7 }, [torch.complex64] = { 1.3e-6, 1e-5 }, [torch.complex128] = { 1e-7, 1e-7 },
}

-- The wider tolerances of the two dtypes, unless given.
local function tolerances_of(a, b, options)
  if options.rtol then return options.rtol, options.atol end
  local s, t = tolerances[a] or { 0, 0 }, tolerances[b] or { 0, 0 }
  return math.max(s[1], t[1]), math.max(s[2], t[2])
end

local function allowed(tolerance)
  return tolerance > 0 and (" (up to %s allowed)"):format(text.repr(tolerance)) or ""
end

-- Where element number i (counted from 0) of a shape stands: "(0, 2)".
local function place_of(i, shape)
  local index = {}
  for d = #shape, 1, -1 do
    index[d] = i % shape[d - 1]
    i = i // shape[d - 1]
  end
  return text.repr(index)
end

local function scalar_report(actual, expected, difference, relative, rtol, atol)
  return ("Scalars are not %s!\n\nExpected %s but got %s.\nAbsolute difference: %s%s\nRelative difference: %s%s"):format(
    (rtol > 0 or atol > 0) and "close" or "equal", text.repr(expected:item()), text.repr(actual:item()),
    text.repr(difference:item()), allowed(atol), text.repr(relative:item()), allowed(rtol))
end

-- What is wrong between two tensors of one shape and dtype, or nil.
local function difference_of(actual, expected, rtol, atol, equal_nan)
  local matches = torch.isclose(actual, expected, rtol, atol, equal_nan)
  if matches:all():item() then return end
  if actual.dtype == torch.bool then actual, expected = actual:long(), expected:long() end
  local difference = (actual - expected):abs()
  local relative = difference / expected:abs()
  if actual.ndim == 0 then return scalar_report(actual, expected, difference, relative, rtol, atol) end
  difference = difference:masked_fill(matches, 0)
  relative = relative:masked_fill(matches, 0)
  local count, total = matches:logical_not():sum():item(), actual:numel()
  local at, relative_at = difference:argmax():item(), relative:argmax():item()
  return ("Tensor-likes are not %s!\n\nMismatched elements: %d / %d (%.1f%%)\n"
    .. "Greatest absolute difference: %s at index %s%s\nGreatest relative difference: %s at index %s%s"):format(
    (rtol > 0 or atol > 0) and "close" or "equal", count, total, 100 * count / total,
    text.repr(difference:reshape(-1)[at]:item()), place_of(at, actual.shape), allowed(atol),
    text.repr(relative:reshape(-1)[relative_at]:item()), place_of(relative_at, actual.shape), allowed(rtol))
end

local function attribute(name, a, b)
  return ("The values for attribute '%s' do not match: %s != %s."):format(name, tostring(a), tostring(b))
end

local function compare_tensors(actual, expected, options)
  if actual.shape ~= expected.shape then return attribute("shape", actual.shape, expected.shape) end
  if options.check_device and actual.device ~= expected.device then
    return attribute("device", actual.device, expected.device)
  end
  if options.check_dtype and actual.dtype ~= expected.dtype then
    return attribute("dtype", actual.dtype, expected.dtype)
  end
  if options.check_stride then
    for d = 0, actual.ndim - 1 do
      if actual:stride(d) ~= expected:stride(d) then
        return attribute("stride()", text.repr(actual:stride()), text.repr(expected:stride()))
      end
    end
  end
  local rtol, atol = tolerances_of(actual.dtype, expected.dtype, options)
  local dtype = torch.promote_types(actual.dtype, expected.dtype)
  return difference_of(actual:detach():to(dtype), expected:detach():to(dtype), rtol, atol, options.equal_nan)
end

local function compare_numbers(actual, expected, options)
  if type(actual) == "boolean" then
    if actual ~= expected then
      return ("Booleans mismatch: %s is not %s"):format(text.repr(actual), text.repr(expected))
    end
    return
  end
  local function tensor_of(v)
    return torch.tensor(v, { dtype = math.type(v) == "integer" and torch.int64 or torch.float64 })
  end
  local a, b = tensor_of(actual), tensor_of(expected)
  if a.dtype ~= b.dtype then a, b = a:to(torch.float64), b:to(torch.float64) end
  return compare_tensors(a, b, options)
end

local compare

-- Lists member by member, other tables key by key.
local function compare_tables(actual, expected, options)
  if #actual > 0 or #expected > 0 then
    if #actual ~= #expected then
      return ("The length of the sequences mismatch: %d != %d"):format(#actual, #expected)
    end
  end
  for key in pairs(expected) do
    if actual[key] == nil then return ("The keys mismatch: %s is missing"):format(text.repr(key)) end
  end
  for key, value in pairs(actual) do
    if expected[key] == nil then return ("The keys mismatch: %s is not expected"):format(text.repr(key)) end
    local trouble = compare(value, expected[key], options)
    if trouble then return trouble .. ("\n\nThe failure occurred for item [%s]"):format(text.repr(key)) end
  end
end

function compare(actual, expected, options)
  if is_tensor(actual) and is_tensor(expected) then return compare_tensors(actual, expected, options) end
  local kind = type(actual)
  if kind == type(expected) then
    if kind == "number" or kind == "boolean" then return compare_numbers(actual, expected, options) end
    if kind == "table" then return compare_tables(actual, expected, options) end
    if actual == nil then return end
  end
  args.fail("assert_close", "cannot compare %s with %s; takes tensors, numbers, and tables of these",
    text.describe(actual), text.describe(expected))
end

local close_spec = args [[assert_close(*, float rtol=nil, float atol=nil,
  bool equal_nan=false, bool check_device=true, bool check_dtype=true, bool check_layout=true,
  bool check_stride=false, any msg=nil, bool allow_subclasses=true)]]

--- Raises an error that says how actual differs from expected, unless |actual - expected| <= atol + rtol * |expected| and
--- shapes, dtypes and devices are equal. Tables are compared member by member. msg: a text, or a function of the report.
function M.assert_close(actual, expected, ...)
  local rtol, atol, equal_nan, device, dtype, _, stride, msg = close_spec(...)
  if (rtol == nil) ~= (atol == nil) then
    args.fail("assert_close", "both 'rtol' and 'atol' must be either specified or omitted, but got no %s",
      rtol == nil and "rtol" or "atol")
  end
  local trouble = compare(actual, expected, { rtol = rtol, atol = atol, equal_nan = equal_nan, check_device = device,
    check_dtype = dtype, check_stride = stride })
  if not trouble then return end
  if type(msg) == "function" then trouble = msg(trouble) elseif msg ~= nil then trouble = tostring(msg) end
  error(args.where() .. trouble, 0)
end

-- --- make_tensor ------------------------------------------------------------------------------------------------

local make_spec = args [[make_tensor(ints shape, *, dtype dtype, any device=nil, float low=nil, float high=nil,
  bool requires_grad=false, bool noncontiguous=false, bool exclude_zero=false, any memory_format=nil)]]

-- Where values lie unless low and high say otherwise.
local function bounds_of(dtype, low, high)
  local least, most = -9, 9
  if dtype == torch.bool then least, most = 0, 2
  elseif dtype == torch.uint8 then least, most = 0, 10
  elseif not (dtype.is_floating_point or dtype.is_complex) then most = 10 end
  low, high = low or least, high or most
  if low >= high then args.fail("make_tensor", "low must be below high, got %g and %g", low, high) end
  return low, high
end

--- A tensor of uniform numbers in [low, high), from the default generator: for tests.
function M.make_tensor(...)
  local given = table.pack(...)
  if type(given[1]) == "number" and type(given[2]) == "number" then -- a spread shape
    local shape, options = {}, given[given.n]
    for i = 1, given.n - 1 do shape[i] = given[i] end
    return M.make_tensor(shape, options)
  end
  local shape, dtype, device, low, high, requires_grad, noncontiguous, exclude_zero, format = make_spec(...)
  low, high = bounds_of(dtype, low, high)
  local sizes, count = {}, 1
  local result
  for i, n in ipairs(type(shape) == "number" and { shape } or shape) do
    sizes[i], count = n, count * n
  end
  local strided = noncontiguous and count > 1
  if strided then sizes[#sizes] = 2 * sizes[#sizes] end -- every other element is taken
  if dtype.is_floating_point then
    result = torch.empty(sizes, { dtype = dtype, device = device }):uniform_(low, high)
  elseif dtype.is_complex then
    result = torch.empty(sizes, { dtype = dtype, device = device })
    torch.view_as_real(result):uniform_(low, high)
  else
    result = torch.randint(math.ceil(low), math.ceil(high), sizes, { dtype = dtype, device = device })
  end
  if strided then
    result = result["..., 1::2"]
  elseif format ~= nil then
    result = result:clone { memory_format = format }
  end
  if exclude_zero then
    local tiny = (dtype.is_floating_point or dtype.is_complex) and torch.finfo(dtype).tiny or 1
    result:masked_fill_(result:eq(0), tiny)
  end
  return requires_grad and result:requires_grad_() or result
end

return M
