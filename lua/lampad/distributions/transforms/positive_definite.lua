-- torch.distributions.PositiveDefiniteTransform: L L^T of the matrices L of LowerCholeskyTransform.
local core = require "lampad.core"
local LowerCholeskyTransform = require "lampad.distributions.transforms.lower_cholesky"
local constraints = require "lampad.distributions.constraints"
local class = require "lampad.class"
local Transform = require "lampad.distributions.transforms.transform"

--- PositiveDefiniteTransform{cache_size}.
local PositiveDefiniteTransform = Transform:extend "PositiveDefiniteTransform"
PositiveDefiniteTransform.domain, PositiveDefiniteTransform.codomain = constraints.real, constraints.positive_definite
PositiveDefiniteTransform.domain = constraints.independent(constraints.real, 2)

local lower = LowerCholeskyTransform()

function PositiveDefiniteTransform:_call(x)
  local L = lower(x)
  return L:matmul(L.mT)
end

function PositiveDefiniteTransform:_inverse(y) return lower.inv(core.torch.linalg.cholesky(y)) end

function PositiveDefiniteTransform:__eq(other) return class.isinstance(other, PositiveDefiniteTransform) end

return PositiveDefiniteTransform
