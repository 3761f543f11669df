-- Matrix products and linear algebra.
local core = require "lampad.core"
local value = require "lampad.onnx.value"
local common = require "lampad.onnx.ops.common"

local torch = core.torch
local op = {}

op.MatMul = function(_, a, b) return torch.matmul(a, b) end

op.Gemm = function(node, a, b, c)
  if node:flag "transA" then a = a:t() end
  if node:flag "transB" then b = b:t() end
  local result = torch.matmul(a, b)
  local alpha, beta = node:get("alpha", 1.0), node:get("beta", 1.0)
  if alpha ~= 1 then result = (result * alpha):to(a.dtype) end
  if not c then return result end
  return result + (beta ~= 1 and (c * beta):to(c.dtype) or c)
end

op.Einsum = function(node, ...)
  return torch.einsum((node:need "equation":gsub("%s", "")), ...)
end

op.Det = function(_, x) return torch.linalg.det(x) end

-- Integers minus their zero point, as int32. A zero point of one dim stands for the rows of a matrix.
local function shifted(x, zero, dim)
  local wide = x:to(torch.int32)
  if not zero then return wide end
  zero = zero:to(torch.int32)
  if zero.ndim == 1 and zero:numel() > 1 then zero = common.along(zero, dim, x.ndim) end
  return wide - zero
end

op.MatMulInteger = value.op_of(function(_, a, b, a_zero, b_zero)
  return torch.matmul(shifted(a, a_zero, math.max(a.ndim - 2, 0)), shifted(b, b_zero, b.ndim - 1))
end)

return op
