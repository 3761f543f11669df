-- torch.distributions.CatTransform: transforms of the parts that torch.cat joins along a dim.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Parts = require "lampad.distributions.transforms.parts"

local CatTransform = Parts:extend "CatTransform"
local spec = args "CatTransform(any tseq, int dim=0, ints lengths=nil, int cache_size=0)"
CatTransform.join = "cat"

--- CatTransform(tseq, dim = 0, lengths, {cache_size}): each transform takes its length of the dim, 1 when none are given.
function CatTransform:init(...)
  local tseq, dim, lengths, cache_size = spec(...)
  self:_set_parts(tseq, dim, cache_size)
  self.lengths = lengths or { shapes.ones(#self.transforms):unpack() }
  if #self.lengths ~= #self.transforms then
    args.fail("CatTransform", "lengths (%d) must match transforms (%d)", #self.lengths, #self.transforms)
  end
end

function CatTransform:event_dim()
  local most = 0
  for _, t in ipairs(self.transforms) do most = math.max(most, t.event_dim) end
  return most
end

--- The sum of the lengths.
CatTransform.length = utils.property(function(self)
  local sum = 0
  for _, n in ipairs(self.lengths) do sum = sum + n end
  return sum
end)

for _, name in ipairs { "domain", "codomain" } do
  CatTransform[name] = constraints.dependent_property(
    function(self) return constraints.cat(self:_constraints(name), self.dim, self.lengths) end)
end

function CatTransform:with_cache(cache_size)
  cache_size = cache_size or 1
  if self._cache_size == cache_size then return self end
  return CatTransform(self.transforms, self.dim, self.lengths, cache_size)
end

function CatTransform:_split(value)
  self:_check(value, self.length)
  local parts, start = {}, 0
  for i, n in ipairs(self.lengths) do
    parts[i] = value:narrow(self.dim, start, n)
    start = start + n
  end
  return parts
end

--- Joined along the dim, or summed when the dim belongs to the event.
function CatTransform:log_abs_det_jacobian(x, y)
  local xs, ys, terms, event_dim = self:_split(x), self:_split(y), {}, self.event_dim
  for i, t in ipairs(self.transforms) do
    terms[i] = utils.sum_rightmost(t:log_abs_det_jacobian(xs[i], ys[i]), event_dim - t.event_dim)
  end
  local dim = (self.dim >= 0 and self.dim - x.ndim or self.dim) + event_dim
  if dim < 0 then return core.torch.cat(terms, dim) end
  local sum = terms[1]
  for i = 2, #terms do sum = sum + terms[i] end
  return sum
end

return CatTransform
