-- torch.distributions.StackTransform: transforms of the parts that torch.stack joins along a dim.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local Parts = require "lampad.distributions.transforms.parts"

local StackTransform = Parts:extend "StackTransform"
local spec = args "StackTransform(any tseq, int dim=0, int cache_size=0)"
StackTransform.join = "stack"

--- StackTransform(tseq, dim = 0, {cache_size}): one transform for each element of the dim.
function StackTransform:init(...)
  local tseq, dim, cache_size = spec(...)
  self:_set_parts(tseq, dim, cache_size)
end

for _, name in ipairs { "domain", "codomain" } do
  StackTransform[name] = constraints.dependent_property(
    function(self) return constraints.stack(self:_constraints(name), self.dim) end)
end

function StackTransform:with_cache(cache_size)
  cache_size = cache_size or 1
  if self._cache_size == cache_size then return self end
  return StackTransform(self.transforms, self.dim, cache_size)
end

function StackTransform:_split(value)
  self:_check(value, #self.transforms)
  local parts = {}
  for i = 1, #self.transforms do parts[i] = value:select(self.dim, i - 1) end
  return parts
end

function StackTransform:log_abs_det_jacobian(x, y)
  local xs, ys, terms = self:_split(x), self:_split(y), {}
  for i, t in ipairs(self.transforms) do terms[i] = t:log_abs_det_jacobian(xs[i], ys[i]) end
  return core.torch.stack(terms, self.dim)
end

return StackTransform
