-- torch.distributions.LogisticNormal: points of the simplex, normal vectors through stick breaking.
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local utils = require "lampad.distributions.utils"
local transforms = require "lampad.distributions.transforms"
local Normal = require "lampad.distributions.normal"
local TransformedDistribution = require "lampad.distributions.transformed_distribution"

local LogisticNormal = TransformedDistribution:extend "LogisticNormal"
local spec = args "LogisticNormal(any loc, any scale, bool validate_args=nil)"

LogisticNormal.arg_constraints = LogisticNormal.constrained { { "loc", constraints.real }, { "scale", constraints.positive } }
LogisticNormal.support = constraints.simplex
LogisticNormal.has_rsample = true
for _, name in ipairs { "loc", "scale" } do
  LogisticNormal[name] = utils.property(function(self) return self.base_dist.base_dist[name] end)
end

--- LogisticNormal(loc, scale, {validate_args}): tensors (..., K - 1) for points (..., K).
function LogisticNormal:init(...)
  local loc, scale, validate_args = spec(...)
  local base = Normal(loc, scale, { validate_args = validate_args })
  if #base.batch_shape == 0 then base = base:expand { 1 } end
  TransformedDistribution.init(self, base, transforms.StickBreakingTransform(), { validate_args = validate_args })
end

function LogisticNormal:expand(batch_shape) return self:_expand_transformed(LogisticNormal, batch_shape) end

return LogisticNormal
