-- Comparisons, truth, choice.
local core = require "lampad.core"
local value = require "lampad.onnx.value"
local common = require "lampad.onnx.ops.common"

local torch = core.torch
local op = {}

op.Equal = common.binary(torch.eq)
op.Greater = value.ordered(common.binary(torch.gt))
op.GreaterOrEqual = value.ordered(common.binary(torch.ge))
op.Less = value.ordered(common.binary(torch.lt))
op.LessOrEqual = value.ordered(common.binary(torch.le))

op.And = common.binary(torch.logical_and)
op.Or = common.binary(torch.logical_or)
op.Xor = common.binary(torch.logical_xor)
op.Not = function(_, a) return a:logical_not() end

op.Where = function(_, condition, a, b) return torch.where(condition, a, b) end

return op
