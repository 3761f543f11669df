-- torch.distributions.ComposeTransform: transforms one after the other.
local core = require "lampad.core"
local args = require "lampad.args"
local class = require "lampad.class"
local text = require "lampad.text"
local constraints = require "lampad.distributions.constraints"
local utils = require "lampad.distributions.utils"
local Transform = require "lampad.distributions.transforms.transform"

local ComposeTransform = Transform:extend "ComposeTransform"
local spec = args "ComposeTransform(any parts, int cache_size=0)"

--- ComposeTransform(parts, {cache_size}): the parts do the caching. No parts make the identity.
function ComposeTransform:init(...)
  local parts, cache_size = spec(...)
  if type(parts) ~= "table" or getmetatable(parts) ~= nil then
    args.fail("ComposeTransform", "argument 'parts' must be a list of transforms, got %s", text.describe(parts))
  end
  self:_set_cache(cache_size)
  self.parts = {}
  for i, part in ipairs(parts) do
    if not class.isinstance(part, Transform) then
      args.fail("ComposeTransform", "part %d must be a Transform, got %s", i - 1, text.describe(part))
    end
    self.parts[i] = cache_size > 0 and part:with_cache(cache_size) or part
  end
end

-- A constraint with dims added to its event up to event_dim.
local function widened(constraint, event_dim)
  if event_dim <= constraint.event_dim then return constraint end
  return constraints.independent(constraint, event_dim - constraint.event_dim)
end

-- The event of the whole is the largest that a part sees, carried to the front or the back.
ComposeTransform.domain = constraints.dependent_property(function(self)
  local parts = self.parts
  if #parts == 0 then return constraints.real end
  local event_dim = parts[#parts].codomain.event_dim
  for i = #parts, 1, -1 do
    local from = parts[i].domain.event_dim
    event_dim = math.max(event_dim + from - parts[i].codomain.event_dim, from)
  end
  return widened(parts[1].domain, event_dim)
end, { is_discrete = false })

ComposeTransform.codomain = constraints.dependent_property(function(self)
  local parts = self.parts
  if #parts == 0 then return constraints.real end
  local event_dim = parts[1].domain.event_dim
  for _, part in ipairs(parts) do
    local to = part.codomain.event_dim
    event_dim = math.max(event_dim + to - part.domain.event_dim, to)
  end
  return widened(parts[#parts].codomain, event_dim)
end, { is_discrete = false })

function ComposeTransform:bijective()
  for _, part in ipairs(self.parts) do
    if not part.bijective then return false end
  end
  return true
end

function ComposeTransform:sign()
  local sign = 1
  for _, part in ipairs(self.parts) do sign = sign * part.sign end
  return sign
end

function ComposeTransform:inv()
  local inverse = rawget(self, "_inv")
  if not inverse then
    local parts = {}
    for i = #self.parts, 1, -1 do parts[#parts + 1] = self.parts[i].inv end
    inverse = ComposeTransform(parts)
    self._inv, inverse._inv = inverse, self
  end
  return inverse
end

function ComposeTransform:with_cache(cache_size)
  cache_size = cache_size or 1
  if self._cache_size == cache_size then return self end
  return ComposeTransform(self.parts, cache_size)
end

function ComposeTransform:_forward(x)
  for _, part in ipairs(self.parts) do x = part(x) end
  return x
end

function ComposeTransform:_backward(y) return self.inv(y) end

function ComposeTransform:log_abs_det_jacobian(x, y)
  local parts, sum = self.parts, nil
  if #parts == 0 then return core.torch.zeros_like(x) end
  local event_dim = self.domain.event_dim
  for i, part in ipairs(parts) do
    local next_x = i == #parts and y or part(x)
    local from = part.domain.event_dim
    local term = utils.sum_rightmost(part:log_abs_det_jacobian(x, next_x), event_dim - from)
    sum = sum and sum + term or term
    event_dim = event_dim + part.codomain.event_dim - from
    x = next_x
  end
  return sum
end

function ComposeTransform:forward_shape(shape)
  for _, part in ipairs(self.parts) do shape = part:forward_shape(shape) end
  return shape
end

function ComposeTransform:inverse_shape(shape)
  for i = #self.parts, 1, -1 do shape = self.parts[i]:inverse_shape(shape) end
  return shape
end

function ComposeTransform:__eq(other)
  if not class.isinstance(other, ComposeTransform) or #self.parts ~= #other.parts then return false end
  for i, part in ipairs(self.parts) do
    if part ~= other.parts[i] then return false end
  end
  return true
end

function ComposeTransform:__tostring()
  local lines = {}
  for i, part in ipairs(self.parts) do lines[i] = tostring(part) end
  return ("%s(\n    %s\n)"):format(self.__name, table.concat(lines, ",\n    "))
end

return ComposeTransform
