-- torch.distributions.LowerCholeskyTransform: lower triangular matrices with the exponentials of the diagonal.
local constraints = require "lampad.distributions.constraints"
local class = require "lampad.class"
local Transform = require "lampad.distributions.transforms.transform"

--- LowerCholeskyTransform{cache_size}.
local LowerCholeskyTransform = Transform:extend "LowerCholeskyTransform"
LowerCholeskyTransform.domain, LowerCholeskyTransform.codomain = constraints.real, constraints.lower_cholesky
LowerCholeskyTransform.domain = constraints.independent(constraints.real, 2)

function LowerCholeskyTransform:_call(x) return x:tril(-1) + x:diagonal(0, -2, -1):exp():diag_embed() end
function LowerCholeskyTransform:_inverse(y) return y:tril(-1) + y:diagonal(0, -2, -1):log():diag_embed() end

function LowerCholeskyTransform:__eq(other) return class.isinstance(other, LowerCholeskyTransform) end

return LowerCholeskyTransform
