-- torch.distributions.AffineTransform: y = loc + scale * x.
local core = require "lampad.core"
local args = require "lampad.args"
local class = require "lampad.class"
local text = require "lampad.text"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Transform = require "lampad.distributions.transforms.transform"

local torch = core.torch

local AffineTransform = Transform:extend "AffineTransform"
local spec = args "AffineTransform(any loc, any scale, int event_dim=0, int cache_size=0)"
AffineTransform.bijective = true

--- AffineTransform(loc, scale, event_dim = 0, {cache_size}): numbers or tensors; event_dim: the number of the last dims that
--- make an event (1 for vectors).
function AffineTransform:init(...)
  local loc, scale, event_dim, cache_size = spec(...)
  self:_set_cache(cache_size)
  for name, value in pairs { loc = loc, scale = scale } do
    if type(value) ~= "number" and not utils.is_tensor(value) then
      args.fail("AffineTransform", "argument '%s' must be a number or a tensor, got %s", name, text.describe(value))
    end
  end
  self.loc, self.scale, self._event_dim = loc, scale, event_dim
end

function AffineTransform:event_dim() return self._event_dim end

local space = constraints.dependent_property(function(self)
  if self._event_dim == 0 then return constraints.real end
  return constraints.independent(constraints.real, self._event_dim)
end, { is_discrete = false })
AffineTransform.domain, AffineTransform.codomain = space, space

function AffineTransform:with_cache(cache_size)
  cache_size = cache_size or 1
  if self._cache_size == cache_size then return self end
  return AffineTransform(self.loc, self.scale, self._event_dim, cache_size)
end

local function same(a, b)
  if type(a) == "number" and type(b) == "number" then return a == b end
  if type(a) == "number" then a, b = b, a end
  return a:eq(b):all():item()
end

function AffineTransform:__eq(other)
  return class.isinstance(other, AffineTransform) and same(self.loc, other.loc) and same(self.scale, other.scale)
end

function AffineTransform:sign()
  local scale = self.scale
  if type(scale) ~= "number" then return scale:sign() end
  return scale > 0 and 1 or scale < 0 and -1 or 0
end

function AffineTransform:_call(x) return self.loc + self.scale * x end
function AffineTransform:_inverse(y) return (y - self.loc) / self.scale end

function AffineTransform:log_abs_det_jacobian(x)
  local shape, scale = x.shape, self.scale
  local result
  if type(scale) == "number" then
    result = torch.full_like(x, math.log(math.abs(scale)))
  else
    result = scale:abs():log()
  end
  if self._event_dim > 0 then
    result = utils.sum_rightmost(result, self._event_dim)
    shape = shapes.slice(shape, 0, -self._event_dim)
  end
  return result:expand(shape)
end

function AffineTransform:forward_shape(shape)
  for _, value in ipairs { self.loc, self.scale } do
    if type(value) ~= "number" then shape = torch.broadcast_shapes(shape, value.shape) end
  end
  return shape
end
AffineTransform.inverse_shape = AffineTransform.forward_shape

return AffineTransform
