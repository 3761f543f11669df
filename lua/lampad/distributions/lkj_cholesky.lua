-- torch.distributions.LKJCholesky: Cholesky factors of correlation matrices whose density goes as det^(concentration - 1).
-- Lewandowski, Kurowicka, Joe, "Generating random correlation matrices based on vines and extended onion method" (2009).
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Beta = require "lampad.distributions.beta"
local Distribution = require "lampad.distributions.distribution"

local torch = core.torch

local LKJ = Distribution:extend "LKJCholesky"
local spec = args "LKJCholesky(int dim, any concentration=1.0, bool validate_args=nil)"

LKJ.arg_constraints = LKJ.constrained { { "concentration", constraints.positive } }
LKJ.support = constraints.corr_cholesky

--- LKJCholesky(dim, concentration = 1, {validate_args}): matrices of dim rows; concentration 1 is the uniform distribution.
function LKJ:init(...)
  local dim, concentration, validate_args = spec(...)
  if dim < 2 then
    args.fail("LKJCholesky", "Expected dim to be an integer greater than or equal to 2. Found dim=%d.", dim)
  end
  self.dim = dim
  local batch_shape
  self.concentration, batch_shape = utils.parameters("LKJCholesky", "concentration", concentration)
  -- The squared length of row k below the diagonal, k = 0 ... dim - 1 (the first takes no part).
  local dtype, device = self.concentration.dtype, self.concentration.device
  local row = torch.arange(-1, dim - 1, { dtype = dtype, device = device }):clamp { min = 0 }
  self._beta = Beta(row + 0.5, (self.concentration + 0.5 * (dim - 2)):unsqueeze(-1) - 0.5 * row)
  Distribution.init(self, batch_shape, torch.Size { dim, dim }, validate_args)
end

function LKJ:expand(batch_shape)
  return self:_expand(LKJ, batch_shape, { concentration = shapes.none, _beta = torch.Size { self.dim } }, { "dim" })
end

--- Row by row: a direction on the sphere, of a length drawn from the Beta distribution (the onion method).
function LKJ:sample(...)
  local _ <close> = torch.no_grad()
  local shape = self:_extended_shape(...)
  local y = self._beta:sample(shapes.sample("LKJCholesky", ...)):unsqueeze(-1)
  local normal = torch.randn(shape, { dtype = y.dtype, device = y.device }):tril(-1)
  local direction = normal / normal:norm { dim = -1, keepdim = true }
  direction:select(-2, 0):fill_(0)
  local w = y:sqrt() * direction
  local rest = (1 - w:pow(2):sum(-1)):clamp { min = torch.finfo(w.dtype).tiny }
  return w + torch.diag_embed(rest:sqrt())
end

function LKJ:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local eta, dim = self.concentration, self.dim
  local diagonal = value:diagonal(0, -2, -1):narrow(-1, 1, dim - 1)
  local order = torch.arange(2, dim + 1, { device = eta.device })
  local power = 2 * (eta - 1):unsqueeze(-1) + dim - order
  local alpha = eta + 0.5 * (dim - 1)
  local normalizer = 0.5 * (dim - 1) * math.log(math.pi) + torch.mvlgamma(alpha - 0.5, dim - 1)
    - torch.lgamma(alpha) * (dim - 1)
  return (power * diagonal:log()):sum(-1) - normalizer
end

return LKJ
