-- torch.distributions.SigmoidTransform: y = 1 / (1 + exp(-x)), kept inside (0, 1).
local core = require "lampad.core"
local F = require "lampad.nn.functional"
local constraints = require "lampad.distributions.constraints"
local class = require "lampad.class"
local Transform = require "lampad.distributions.transforms.transform"

--- SigmoidTransform{cache_size}.
local SigmoidTransform = Transform:extend "SigmoidTransform"
SigmoidTransform.domain, SigmoidTransform.codomain = constraints.real, constraints.unit_interval
SigmoidTransform.bijective, SigmoidTransform.sign = true, 1

local function inside(y)
  local finfo = core.torch.finfo(y.dtype)
  return y:clamp { min = finfo.tiny, max = 1 - finfo.eps }
end

function SigmoidTransform:_call(x) return inside(x:sigmoid()) end

function SigmoidTransform:_inverse(y)
  y = inside(y)
  return y:log() - (-y):log1p()
end

function SigmoidTransform:log_abs_det_jacobian(x) return -F.softplus(-x) - F.softplus(x) end

function SigmoidTransform:__eq(other) return class.isinstance(other, SigmoidTransform) end

return SigmoidTransform
