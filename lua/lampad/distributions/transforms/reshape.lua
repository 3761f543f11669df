-- torch.distributions.ReshapeTransform: another shape of the event.
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local Transform = require "lampad.distributions.transforms.transform"

local ReshapeTransform = Transform:extend "ReshapeTransform"
local spec = args "ReshapeTransform(any in_shape, any out_shape, int cache_size=0)"
ReshapeTransform.bijective = true

--- ReshapeTransform(in_shape, out_shape, {cache_size}): shapes of as many elements.
function ReshapeTransform:init(...)
  local in_shape, out_shape, cache_size = spec(...)
  self.in_shape = shapes.size(in_shape, "ReshapeTransform", "in_shape")
  self.out_shape = shapes.size(out_shape, "ReshapeTransform", "out_shape")
  if self.in_shape:numel() ~= self.out_shape:numel() then
    args.fail("ReshapeTransform", "in_shape, out_shape have different numbers of elements: %s and %s",
      tostring(self.in_shape), tostring(self.out_shape))
  end
  self:_set_cache(cache_size)
end

ReshapeTransform.domain = constraints.dependent_property(
  function(self) return constraints.independent(constraints.real, #self.in_shape) end)
ReshapeTransform.codomain = constraints.dependent_property(
  function(self) return constraints.independent(constraints.real, #self.out_shape) end)

function ReshapeTransform:with_cache(cache_size)
  cache_size = cache_size or 1
  if self._cache_size == cache_size then return self end
  return ReshapeTransform(self.in_shape, self.out_shape, cache_size)
end

-- The shape in front of the event's.
local function batch_of(x, event) return shapes.slice(x.shape, 0, x.ndim - #event) end

function ReshapeTransform:_call(x) return x:reshape(batch_of(x, self.in_shape) .. self.out_shape) end
function ReshapeTransform:_inverse(y) return y:reshape(batch_of(y, self.out_shape) .. self.in_shape) end
function ReshapeTransform:log_abs_det_jacobian(x) return x:new_zeros(batch_of(x, self.in_shape)) end

local function exchanged(self, shape, from, to)
  if #shape < #from then args.fail(self.__name, "Too few dimensions on input") end
  local cut = #shape - #from
  local event = shapes.slice(shape, cut)
  if event ~= from then
    args.fail(self.__name, "Shape mismatch: expected %s but got %s", tostring(event), tostring(from))
  end
  return shapes.slice(shape, 0, cut) .. to
end

function ReshapeTransform:forward_shape(shape) return exchanged(self, shape, self.in_shape, self.out_shape) end
function ReshapeTransform:inverse_shape(shape) return exchanged(self, shape, self.out_shape, self.in_shape) end

return ReshapeTransform
