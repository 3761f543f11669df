-- Quantization: numbers in few bits with a scale and a zero point.
local core = require "lampad.core"
local value = require "lampad.onnx.value"
local types = require "lampad.onnx.types"
local common = require "lampad.onnx.ops.common"

local torch = core.torch
local op = {}

-- A scale or zero point in a shape that broadcasts with x: one number, one for each index of the axis, or one for each
-- block of indices.
local function spread(node, t, x)
  if t:numel() == 1 and t.ndim <= 1 then return t:reshape({}) end
  if t.ndim == 1 then return common.along(t, node:axis(node:get("axis", 1), x.ndim), x.ndim) end
  local dim = node:axis(node:get("axis", 1), x.ndim)
  local size = x:size(dim)
  local block = node:get("block_size", 0)
  if block == 0 then block = (size + t:size(dim) - 1) // t:size(dim) end
  return t:repeat_interleave(block, dim):narrow(dim, 0, size)
end

op.QuantizeLinear = value.raw(function(node, x, scale, zero)
  local asked, precision = node:get("output_dtype", 0), node:get("precision", 0)
  local kind = zero and value.type_of(zero) or asked ~= 0 and node:element_type(asked) or types.uint8
  local working = precision ~= 0 and node:element_type(precision).dtype or scale.dtype
  local zero_point = zero and spread(node, value.tensor_of(zero), x)
  -- A scale in float8e8m0 is kept in float32.
  local ratio = x:to(working) / spread(node, value.tensor_of(scale):to(working), x)
  if kind.float then
    if zero_point then ratio = ratio + zero_point end
    return value.typed(kind, kind.from_float(ratio, node:flag("saturate", 1)))
  end
  local low, high = table.unpack(types.range[kind.name] or node:fail("cannot quantize to %s", kind.name))
  local whole = torch.round(ratio:to(torch.float64))
  if zero_point then whole = whole + zero_point:to(torch.float64) end
  return value.typed(kind, whole:clamp(low, high):to(kind.dtype))
end)

op.DequantizeLinear = value.raw(function(node, x, scale, zero)
  local code = node:get("output_dtype", 0)
  local dtype = code ~= 0 and node:element_type(code).dtype or scale.dtype
  local held = value.tensor_of(x)
  local wide = held:to(value.type_of(x).float and torch.float32 or torch.int64)
  if zero then wide = wide - spread(node, value.tensor_of(zero):to(wide.dtype), held) end
  return (wide:to(dtype) * spread(node, value.tensor_of(scale):to(dtype), held)):to(dtype)
end)

op.DynamicQuantizeLinear = function(_, x)
  local low, high = x:min():clamp { max = 0 }, x:max():clamp { min = 0 }
  local scale = (high - low) / 255
  scale = torch.where(scale:eq(0), torch.ones_like(scale), scale)
  local zero = torch.round((-low / scale):clamp(0, 255))
  local y = (torch.round(x / scale) + zero):clamp(0, 255)
  return y:to(torch.uint8), scale, zero:to(torch.uint8)
end

op.QLinearMatMul = function(_, a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero)
  local wide = torch.float64
  local function centred(t, zero, dim)
    if zero:numel() > 1 and zero.ndim == 1 then zero = common.along(zero, dim, t.ndim) end
    return t:to(wide) - zero:to(wide)
  end
  local function shaped(scale, dim, ndim)
    if scale:numel() > 1 and scale.ndim == 1 then return common.along(scale, dim, ndim) end
    return scale
  end
  local product = torch.matmul(centred(a, a_zero, math.max(a.ndim - 2, 0)), centred(b, b_zero, b.ndim - 1))
  local scale = shaped(a_scale, math.max(product.ndim - 2, 0), product.ndim):to(wide)
    * shaped(b_scale, product.ndim - 1, product.ndim):to(wide) / y_scale:to(wide)
  local low, high = table.unpack(types.range[value.type_of(y_zero).name])
  return (torch.round(product * scale) + y_zero:to(wide)):clamp(low, high):to(y_zero.dtype)
end

return op
