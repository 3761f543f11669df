-- torch.distributions.VonMises: angles in [-pi, pi), of density proportional to exp(concentration cos(x - loc)).
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Distribution = require "lampad.distributions.distribution"

local torch = core.torch

local VonMises = Distribution:extend "VonMises"
local spec = args "VonMises(any loc, any concentration, bool validate_args=nil)"

VonMises.arg_constraints = VonMises.constrained { { "loc", constraints.real }, { "concentration", constraints.positive } }
VonMises.support = constraints.real

--- VonMises(loc, concentration, {validate_args}): angles in radians, positive concentrations.
function VonMises:init(...)
  local loc, concentration, validate_args = spec(...)
  local batch_shape
  self.loc, self.concentration, batch_shape =
    utils.parameters("VonMises", "loc", loc, "concentration", concentration)
  Distribution.init(self, batch_shape, nil, validate_args)
end

function VonMises:expand(batch_shape)
  return self:_expand(VonMises, batch_shape, { loc = shapes.none, concentration = shapes.none })
end

-- Abramowitz and Stegun 9.8.1 to 9.8.4: polynomials for I0(x) and I1(x) / x at x below 3.75, and for both times
-- sqrt(x) e^-x above it.
local small = {
  [0] = { 1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.360768e-1, 0.45813e-2 },
  { 0.5, 0.87890594, 0.51498869, 0.15084934, 0.2658733e-1, 0.301532e-2, 0.32411e-3 },
}
local large = {
  [0] = { 0.39894228, 0.1328592e-1, 0.225319e-2, -0.157565e-2, 0.916281e-2, -0.2057706e-1, 0.2635537e-1, -0.1647633e-1,
    0.392377e-2 },
  { 0.39894228, -0.3988024e-1, -0.362018e-2, 0.163801e-2, -0.1031555e-1, 0.2282967e-1, -0.2895312e-1, 0.1787654e-1,
    -0.420059e-2 },
}

local function polynomial(coefficients, y)
  local sum = coefficients[#coefficients]
  for i = #coefficients - 1, 1, -1 do sum = coefficients[i] + y * sum end
  return sum
end

-- log I_order(x).
local function log_bessel_i(x, order)
  local near = polynomial(small[order], (x / 3.75):pow(2))
  if order == 1 then near = x:abs() * near end
  return torch.where(x:lt(3.75), near:log(), x - 0.5 * x:log() + polynomial(large[order], 3.75 / x):log())
end

function VonMises:mean() return self.loc end
function VonMises:mode() return self.loc end

--- The circular variance, 1 - I1(concentration) / I0(concentration).
VonMises.variance = utils.lazy_property(function(self)
  return 1 - (log_bessel_i(self.concentration, 1) - log_bessel_i(self.concentration, 0)):exp()
end)

function VonMises:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  return self.concentration * torch.cos(value - self.loc) - math.log(2 * math.pi) - log_bessel_i(self.concentration, 0)
end

-- The envelope's parameter, by its series at concentrations where the closed form would lose all digits.
local function envelope(kappa)
  local tau = 1 + (1 + 4 * kappa:pow(2)):sqrt()
  local rho = (tau - (2 * tau):sqrt()) / (2 * kappa)
  return torch.where(kappa:lt(1e-5), 1 / kappa + kappa, (1 + rho:pow(2)) / (2 * rho))
end

--- Best and Fisher's rejection from a wrapped Cauchy envelope (1979), in doubles; all places draw until the last accepts.
function VonMises:sample(...)
  local _ <close> = torch.no_grad()
  local shape = self:_extended_shape(...)
  local loc, kappa = self.loc:double(), self.concentration:double()
  local r = envelope(kappa)
  local x = torch.zeros(shape, { dtype = torch.float64, device = self.loc.device })
  local done = torch.zeros(shape, { dtype = torch.bool, device = self.loc.device })
  while not done:all():item() do
    local u1, u2, u3 = table.unpack(torch.rand(torch.Size { 3 } .. shape, { dtype = torch.float64 }):unbind())
    local z = torch.cos(math.pi * u1)
    local f = (1 + r * z) / (r + z)
    local c = kappa * (r - f)
    local accept = (c * (2 - c) - u2):gt(0) | ((c / u2):log() + 1 - c):ge(0)
    x = torch.where(accept, (u3 - 0.5):sign() * f:acos(), x)
    done = done | accept
  end
  return ((x + math.pi + loc) % (2 * math.pi) - math.pi):to(self.loc.dtype)
end

return VonMises
