-- torch.distributions.AbsTransform: y = |x|; no bijection: its inverse is the identity.
local constraints = require "lampad.distributions.constraints"
local class = require "lampad.class"
local Transform = require "lampad.distributions.transforms.transform"

--- AbsTransform{cache_size}.
local AbsTransform = Transform:extend "AbsTransform"
AbsTransform.domain, AbsTransform.codomain = constraints.real, constraints.positive

function AbsTransform:_call(x) return x:abs() end
function AbsTransform:_inverse(y) return y end

function AbsTransform:__eq(other) return class.isinstance(other, AbsTransform) end

return AbsTransform
