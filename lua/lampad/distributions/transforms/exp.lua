-- torch.distributions.ExpTransform: y = exp(x).
local constraints = require "lampad.distributions.constraints"
local class = require "lampad.class"
local Transform = require "lampad.distributions.transforms.transform"

--- ExpTransform{cache_size}.
local ExpTransform = Transform:extend "ExpTransform"
ExpTransform.domain, ExpTransform.codomain = constraints.real, constraints.positive
ExpTransform.bijective, ExpTransform.sign = true, 1

function ExpTransform:_call(x) return x:exp() end
function ExpTransform:_inverse(y) return y:log() end
function ExpTransform:log_abs_det_jacobian(x) return x end

function ExpTransform:__eq(other) return class.isinstance(other, ExpTransform) end

return ExpTransform
