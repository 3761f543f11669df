-- What CatTransform and StackTransform share: a list of transforms for the parts of a tensor along a dim.
local core = require "lampad.core"
local args = require "lampad.args"
local class = require "lampad.class"
local text = require "lampad.text"
local Transform = require "lampad.distributions.transforms.transform"

local Parts = Transform:extend "Parts"

--- Stores the transforms, with the cache size, and the dim.
function Parts:_set_parts(tseq, dim, cache_size)
  if type(tseq) ~= "table" or getmetatable(tseq) ~= nil then
    args.fail(self.__name, "argument 'tseq' must be a list of transforms, got %s", text.describe(tseq))
  end
  self:_set_cache(cache_size)
  self.transforms, self.dim = {}, dim
  for i, t in ipairs(tseq) do
    if not class.isinstance(t, Transform) then
      args.fail(self.__name, "All elements of tseq must be Transform instances, got %s at %d", text.describe(t), i - 1)
    end
    self.transforms[i] = cache_size > 0 and t:with_cache(cache_size) or t
  end
end

function Parts:bijective()
  for _, t in ipairs(self.transforms) do
    if not t.bijective then return false end
  end
  return true
end

--- Raises unless the value has the dim with `size` elements along it.
function Parts:_check(value, size)
  if self.dim < -value.ndim or self.dim >= value.ndim then
    args.fail(self.__name, "dim %d out of range for tensor with %d dimensions", self.dim, value.ndim)
  end
  if value:size(self.dim) ~= size then
    args.fail(self.__name, "the size %d of dim %d must equal %d, that of the transforms", value:size(self.dim), self.dim, size)
  end
end

--- The constraints of the transforms by attribute name.
function Parts:_constraints(name)
  local list = {}
  for i, t in ipairs(self.transforms) do list[i] = t[name] end
  return list
end

function Parts:_call(x)
  local parts = self:_split(x)
  for i, t in ipairs(self.transforms) do parts[i] = t(parts[i]) end
  return core.torch[self.join](parts, self.dim)
end

function Parts:_inverse(y)
  local parts = self:_split(y)
  for i, t in ipairs(self.transforms) do parts[i] = t.inv(parts[i]) end
  return core.torch[self.join](parts, self.dim)
end

return Parts
