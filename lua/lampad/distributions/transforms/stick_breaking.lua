-- torch.distributions.StickBreakingTransform: vectors of K - 1 numbers to points of the simplex of K.
-- Each coordinate takes a share sigmoid(x) of what those before it left; offsets make equal shares of x = 0.
local core = require "lampad.core"
local args = require "lampad.args"
local F = require "lampad.nn.functional"
local shapes = require "lampad.distributions.shapes"
local SigmoidTransform = require "lampad.distributions.transforms.sigmoid"
local constraints = require "lampad.distributions.constraints"
local class = require "lampad.class"
local Transform = require "lampad.distributions.transforms.transform"

--- StickBreakingTransform{cache_size}.
local StickBreakingTransform = Transform:extend "StickBreakingTransform"
StickBreakingTransform.domain, StickBreakingTransform.codomain = constraints.real_vector, constraints.simplex
StickBreakingTransform.bijective = true

local share = SigmoidTransform()

-- log(K - 1), ..., log 1 for vectors of K - 1 numbers.
local function offsets(x)
  local n = x:size(-1)
  return (n + 1 - x:new_ones(n):cumsum(-1)):log()
end

function StickBreakingTransform:_call(x)
  local z = share(x - offsets(x))
  return F.pad(z, { 0, 1 }, { value = 1 }) * F.pad((1 - z):cumprod(-1), { 1, 0 }, { value = 1 })
end

function StickBreakingTransform:_inverse(y)
  local front = y:narrow(-1, 0, y:size(-1) - 1)
  -- What is left may round to 0 or below.
  local rest = (1 - front:cumsum(-1)):clamp { min = core.torch.finfo(y.dtype).tiny }
  return front:log() - rest:log() + offsets(front)
end

function StickBreakingTransform:log_abs_det_jacobian(x, y)
  local u = x - offsets(x)
  return (F.logsigmoid(u) - u + y:narrow(-1, 0, y:size(-1) - 1):log()):sum(-1)
end

local function resized(self, shape, by)
  if #shape < 1 then args.fail(self.__name, "Too few dimensions on input") end
  return shapes.slice(shape, 0, -1) .. { shape[-1] + by }
end

function StickBreakingTransform:forward_shape(shape) return resized(self, shape, 1) end
function StickBreakingTransform:inverse_shape(shape) return resized(self, shape, -1) end

function StickBreakingTransform:__eq(other) return class.isinstance(other, StickBreakingTransform) end

return StickBreakingTransform
