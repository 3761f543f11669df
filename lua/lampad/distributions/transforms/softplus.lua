-- torch.distributions.SoftplusTransform: y = log(1 + exp(x)), x itself above 20.
local F = require "lampad.nn.functional"
local constraints = require "lampad.distributions.constraints"
local class = require "lampad.class"
local Transform = require "lampad.distributions.transforms.transform"

--- SoftplusTransform{cache_size}.
local SoftplusTransform = Transform:extend "SoftplusTransform"
SoftplusTransform.domain, SoftplusTransform.codomain = constraints.real, constraints.positive
SoftplusTransform.bijective, SoftplusTransform.sign = true, 1

function SoftplusTransform:_call(x) return F.softplus(x) end
function SoftplusTransform:_inverse(y) return (-y):expm1():neg():log() + y end
function SoftplusTransform:log_abs_det_jacobian(x) return -F.softplus(-x) end

function SoftplusTransform:__eq(other) return class.isinstance(other, SoftplusTransform) end

return SoftplusTransform
