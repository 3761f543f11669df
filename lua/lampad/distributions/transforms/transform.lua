-- torch.distributions.Transform: an invertible map of random variables with a known Jacobian.
--
-- A subclass defines _call(x), _inverse(y) and log_abs_det_jacobian(x, y), and the attributes domain, codomain (constraints),
-- bijective and, where the map is monotone, sign. t(x) applies the transform, t.inv is its inverse.
local args = require "lampad.args"
local property = require "lampad.distributions.property"
local class = require "lampad.class"
local utils = require "lampad.distributions.utils"

local Transform = property.base_class("Transform", "domain codomain bijective sign event_dim inv")

Transform.bijective = false

local spec = args "Transform(int cache_size=0)"

--- Transform.init(self, cache_size): with cache_size 1 the last pair of input and output is kept, so that the inverse of an
--- output is its input.
function Transform:init(...)
  self:_set_cache((spec(...)))
end

function Transform:_set_cache(cache_size)
  if cache_size ~= 0 and cache_size ~= 1 then args.fail(self.__name, "cache_size must be 0 or 1") end
  self._cache_size = cache_size
end

for _, name in ipairs { "domain", "codomain", "sign", "_call", "_inverse", "log_abs_det_jacobian" } do
  Transform[name] = function(self) args.fail(self.__name, "the transform does not implement %s", name) end
end

--- The number of dims that the transform mixes.
function Transform:event_dim()
  local from, to = self.domain.event_dim, self.codomain.event_dim
  if from ~= to then args.fail(self.__name, "Please use either .domain.event_dim or .codomain.event_dim") end
  return from
end

--- The shape of t(x) for the shape of x.
function Transform:forward_shape(shape) return shape end
--- The shape of t.inv(y) for the shape of y.
function Transform:inverse_shape(shape) return shape end

--- The same transform with another cache_size (1 when none is given).
function Transform:with_cache(cache_size)
  cache_size = cache_size or 1
  if self._cache_size == cache_size then return self end
  local class_of = getmetatable(self).class
  if class_of.init ~= Transform.init then args.fail(self.__name, "with_cache is not implemented") end
  return class_of { cache_size = cache_size }
end

function Transform:_forward(x)
  if self._cache_size == 0 then return self:_call(x) end
  if rawequal(x, rawget(self, "_cached_x")) then return self._cached_y end
  local y = self:_call(x)
  self._cached_x, self._cached_y = x, y
  return y
end

function Transform:_backward(y)
  if self._cache_size == 0 then return self:_inverse(y) end
  if rawequal(y, rawget(self, "_cached_y")) then return self._cached_x end
  local x = self:_inverse(y)
  self._cached_x, self._cached_y = x, y
  return x
end

function Transform:__call(x)
  return self:_forward(utils.to_tensor(self.__name, "x", x))
end
function Transform:__tostring() return self.__name .. "()" end
function Transform:__eq(other) return rawequal(self, other) end

-- --- the inverse ----------------------------------------------------------------------------------------------

local Inverse = Transform:extend "_InverseTransform"

function Inverse:init(transform)
  self:_set_cache(transform._cache_size)
  self._inv = transform
end

function Inverse:domain() return self._inv.codomain end
function Inverse:codomain() return self._inv.domain end
function Inverse:bijective() return self._inv.bijective end
function Inverse:sign() return self._inv.sign end
function Inverse:inv() return self._inv end
function Inverse:with_cache(cache_size) return self._inv:with_cache(cache_size).inv end
function Inverse:_forward(x) return self._inv:_backward(x) end
function Inverse:_backward(y) return self._inv:_forward(y) end
function Inverse:log_abs_det_jacobian(x, y) return -self._inv:log_abs_det_jacobian(y, x) end
function Inverse:forward_shape(shape) return self._inv:inverse_shape(shape) end
function Inverse:inverse_shape(shape) return self._inv:forward_shape(shape) end
function Inverse:__tostring() return ("%s(%s)"):format(self.__name, tostring(self._inv)) end
function Inverse:__eq(other) return class.isinstance(other, Inverse) and self._inv == other._inv end

--- The inverse transform; its inverse is this one.
function Transform:inv()
  local inverse = rawget(self, "_inv")
  if not inverse then
    inverse = Inverse(self)
    self._inv = inverse
  end
  return inverse
end

return Transform
