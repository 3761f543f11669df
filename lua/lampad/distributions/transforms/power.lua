-- torch.distributions.PowerTransform: y = x^exponent.
local core = require "lampad.core"
local args = require "lampad.args"
local class = require "lampad.class"
local constraints = require "lampad.distributions.constraints"
local utils = require "lampad.distributions.utils"
local Transform = require "lampad.distributions.transforms.transform"

local torch = core.torch

local PowerTransform = Transform:extend "PowerTransform"
local spec = args "PowerTransform(any exponent, int cache_size=0)"
PowerTransform.domain, PowerTransform.codomain = constraints.positive, constraints.positive
PowerTransform.bijective = true
PowerTransform.sign = utils.lazy_property(function(self) return self.exponent:sign() end)

--- PowerTransform(exponent, {cache_size}): a number or a tensor.
function PowerTransform:init(...)
  local exponent, cache_size = spec(...)
  self:_set_cache(cache_size)
  self.exponent = utils.parameters("PowerTransform", "exponent", exponent)
end

function PowerTransform:with_cache(cache_size)
  cache_size = cache_size or 1
  if self._cache_size == cache_size then return self end
  return PowerTransform(self.exponent, cache_size)
end

function PowerTransform:_call(x) return x:pow(self.exponent) end
function PowerTransform:_inverse(y) return y:pow(1 / self.exponent) end
function PowerTransform:log_abs_det_jacobian(x, y) return (self.exponent * y / x):abs():log() end
function PowerTransform:forward_shape(shape) return torch.broadcast_shapes(shape, self.exponent.shape) end
PowerTransform.inverse_shape = PowerTransform.forward_shape

function PowerTransform:__eq(other)
  return class.isinstance(other, PowerTransform) and self.exponent:eq(other.exponent):all():item()
end

return PowerTransform
