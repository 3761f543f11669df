-- Arithmetic, elementwise functions, running sums.
local core = require "lampad.core"
local value = require "lampad.onnx.value"
local types = require "lampad.onnx.types"
local common = require "lampad.onnx.ops.common"

local torch = core.torch
local op = {}

-- --- arithmetic ---------------------------------------------------------------------------------------
op.Add = common.binary(function(a, b) return a + b end)
op.Sub = common.binary(function(a, b) return a - b end)
op.Mul = common.binary(function(a, b) return a * b end)

local function divide(a, b)
  if common.is_integer(a) then return torch.div(a, b, { rounding_mode = "trunc" }) end
  return a / b
end

local TOP = math.mininteger

-- a >= b for int64 tensors read as unsigned numbers.
local function unsigned_ge(a, b) return a:bitwise_xor(TOP):ge(b:bitwise_xor(TOP)) end

local function shift_right_logical(a, b)
  local moved = a:bitwise_right_shift(b)
  local mask = torch.where(b:le(0), torch.full_like(b, -1), torch.full_like(b, 1):bitwise_left_shift(64 - b) - 1)
  return torch.where(b:ge(64), torch.zeros_like(moved), moved:bitwise_and(mask))
end

-- Quotient of unsigned numbers: half of n is not negative, so that signed division serves; one step corrects it.
local function divide_unsigned(n, d)
  local half = shift_right_logical(n, torch.ones_like(n))
  local quotient = torch.div(half, d:clamp(1), { rounding_mode = "trunc" }) * 2
  local rest = n - quotient * d
  quotient = quotient + unsigned_ge(rest, d):to(torch.int64)
  return torch.where(d:lt(0), unsigned_ge(n, d):to(torch.int64), quotient)
end

-- An operator of two values that goes its own way for uint64.
local function unless_uint64(f, unsigned)
  local plain, wide = value.op_of(f), value.op_of(function(_, a, b) return unsigned(torch.broadcast_tensors { a, b }) end)
  return value.raw(function(node, a, b)
    local op_run = value.type_of(a) == types.uint64 and wide or plain
    return value.apply(op_run, node, { a, b }, 2)
  end)
end

op.Div = unless_uint64(common.binary(divide), function(pair) return divide_unsigned(pair[1], pair[2]) end)

op.Mod = unless_uint64(function(node, a, b)
  if node:flag "fmod" then return torch.fmod(a, b) end
  return torch.remainder(a, b)
end, function(pair) return pair[1] - divide_unsigned(pair[1], pair[2]) * pair[2] end)

op.Pow = common.binary(function(a, b)
  local result = torch.pow(a, b)
  if common.is_integer(a) and not common.is_integer(b) then return result:to(a.dtype) end
  return result.dtype == a.dtype and result or result:to(a.dtype)
end)

-- Folds an operator of two over any number of inputs.
local function fold(f)
  return function(_, first, ...)
    local result = first
    for i = 1, select("#", ...) do result = f(result, (select(i, ...))) end
    return result
  end
end

op.Sum = fold(function(a, b) return a + b end)
op.Max = value.ordered(fold(torch.maximum))
op.Min = value.ordered(fold(torch.minimum))
op.Mean = function(node, ...) return op.Sum(node, ...) / select("#", ...) end

op.Clip = value.ordered(function(node, x, low, high)
  if node.opset < 11 then return x:clamp(node:get "min", node:get "max") end
  if low then x = torch.maximum(x, low) end
  if high then x = torch.minimum(x, high) end
  return x
end)

-- --- elementwise functions ----------------------------------------------------------------------------
for name, f in pairs {
  Abs = torch.abs, Neg = torch.neg, Ceil = torch.ceil, Floor = torch.floor, Round = torch.round, Sqrt = torch.sqrt,
  Exp = torch.exp, Log = torch.log, Reciprocal = torch.reciprocal, Sign = torch.sign, Erf = torch.erf,
  Sin = torch.sin, Cos = torch.cos, Tan = torch.tan, Asin = torch.asin, Acos = torch.acos, Atan = torch.atan,
  Sinh = torch.sinh, Cosh = torch.cosh, Asinh = torch.asinh, Acosh = torch.acosh, Atanh = torch.atanh,
} do
  op[name] = function(_, x) return f(x) end
end

op.IsNaN = function(_, x) return x:isnan() end

op.IsInf = function(node, x)
  local result = torch.zeros_like(x, { dtype = torch.bool })
  if node:flag("detect_positive", 1) then result = result:logical_or(x:isposinf()) end
  if node:flag("detect_negative", 1) then result = result:logical_or(x:isneginf()) end
  return result
end

-- --- bits ---------------------------------------------------------------------------------------------
op.BitwiseAnd = function(_, a, b) return a:bitwise_and(b) end
op.BitwiseOr = function(_, a, b) return a:bitwise_or(b) end
op.BitwiseXor = function(_, a, b) return a:bitwise_xor(b) end
op.BitwiseNot = function(_, a) return a:bitwise_not() end

local function shift(node, a, b)
  if node:need "direction" == "LEFT" then return a:bitwise_left_shift(b) end
  return a:bitwise_right_shift(b)
end

op.BitShift = value.raw(function(node, a, b)
  local run = shift
  if value.type_of(a) == types.uint64 and node:need "direction" == "RIGHT" then
    run = function(_, n, count)
      local pair = torch.broadcast_tensors { n, count }
      return shift_right_logical(pair[1], pair[2])
    end
  end
  return value.apply(value.op_of(run), node, { a, b }, 2)
end)

-- --- running sums and products ------------------------------------------------------------------------
-- `exclusive` leaves each element's own number out: the result moves on by one and begins with `neutral`.
local function running(f, neutral)
  return function(node, x, axis)
    local dim = node:axis(axis:item(), x.ndim)
    if node:flag "reverse" then x = x:flip(dim) end
    local result = f(x, dim)
    if node:flag "exclusive" and x:size(dim) > 0 then
      local begin = torch.full_like(x:narrow(dim, 0, 1), neutral)
      result = torch.cat({ begin, result:narrow(dim, 0, x:size(dim) - 1) }, dim)
    end
    if node:flag "reverse" then result = result:flip(dim) end
    return result:to(x.dtype)
  end
end

op.CumSum = running(torch.cumsum, 0)
op.CumProd = running(torch.cumprod, 1)

return op
