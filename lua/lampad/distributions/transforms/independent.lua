-- torch.distributions.IndependentTransform: a transform whose last batch dims count as dims of the event.
local args = require "lampad.args"
local class = require "lampad.class"
local text = require "lampad.text"
local constraints = require "lampad.distributions.constraints"
local utils = require "lampad.distributions.utils"
local Transform = require "lampad.distributions.transforms.transform"

local IndependentTransform = Transform:extend "IndependentTransform"
local spec = args "IndependentTransform(any base_transform, int reinterpreted_batch_ndims, int cache_size=0)"
utils.delegate(IndependentTransform, "base_transform", "bijective sign")

--- IndependentTransform(base_transform, reinterpreted_batch_ndims, {cache_size}): log_abs_det_jacobian sums over the dims.
function IndependentTransform:init(...)
  local base, count, cache_size = spec(...)
  if not class.isinstance(base, Transform) then
    args.fail("IndependentTransform", "argument 'base_transform' must be a Transform, got %s", text.describe(base))
  end
  self:_set_cache(cache_size)
  self.base_transform, self.reinterpreted_batch_ndims = base:with_cache(cache_size), count
end

function IndependentTransform:with_cache(cache_size)
  cache_size = cache_size or 1
  if self._cache_size == cache_size then return self end
  return IndependentTransform(self.base_transform, self.reinterpreted_batch_ndims, cache_size)
end

for _, name in ipairs { "domain", "codomain" } do
  IndependentTransform[name] = constraints.dependent_property(function(self)
    return constraints.independent(self.base_transform[name], self.reinterpreted_batch_ndims)
  end, { is_discrete = false })
end

local function check_dims(self, value, constraint)
  if value.ndim < constraint.event_dim then args.fail(self.__name, "Too few dimensions on input") end
  return value
end

function IndependentTransform:_call(x) return self.base_transform(check_dims(self, x, self.domain)) end
function IndependentTransform:_inverse(y) return self.base_transform.inv(check_dims(self, y, self.codomain)) end

function IndependentTransform:log_abs_det_jacobian(x, y)
  return utils.sum_rightmost(self.base_transform:log_abs_det_jacobian(x, y), self.reinterpreted_batch_ndims)
end

function IndependentTransform:forward_shape(shape) return self.base_transform:forward_shape(shape) end
function IndependentTransform:inverse_shape(shape) return self.base_transform:inverse_shape(shape) end

function IndependentTransform:__tostring()
  return ("%s(%s, %d)"):format(self.__name, tostring(self.base_transform), self.reinterpreted_batch_ndims)
end

return IndependentTransform
