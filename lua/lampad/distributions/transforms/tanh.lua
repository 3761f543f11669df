-- torch.distributions.TanhTransform: y = tanh(x). The inverse is infinite at -1 and 1: cache_size = 1 helps there.
local F = require "lampad.nn.functional"
local constraints = require "lampad.distributions.constraints"
local class = require "lampad.class"
local Transform = require "lampad.distributions.transforms.transform"

--- TanhTransform{cache_size}.
local TanhTransform = Transform:extend "TanhTransform"
TanhTransform.domain, TanhTransform.codomain = constraints.real, constraints.real
TanhTransform.codomain = constraints.interval(-1.0, 1.0)
TanhTransform.bijective, TanhTransform.sign = true, 1

function TanhTransform:_call(x) return x:tanh() end
function TanhTransform:_inverse(y) return y:atanh() end

--- log(1 - tanh(x)^2), without cancellation.
function TanhTransform:log_abs_det_jacobian(x) return 2 * (math.log(2) - x - F.softplus(-2 * x)) end

function TanhTransform:__eq(other) return class.isinstance(other, TanhTransform) end

return TanhTransform
