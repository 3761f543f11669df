-- torch.distributions.ContinuousBernoulli: densities on [0, 1] proportional to probs^x (1 - probs)^(1 - x).
-- Loaiza-Ganem and Cunningham, "The continuous Bernoulli" (2019). Near probs = 1/2 the closed forms are 0 / 0: between the
-- two `lims` Taylor polynomials stand for them.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local ExponentialFamily = require "lampad.distributions.exp_family"

local torch = core.torch

local ContinuousBernoulli = ExponentialFamily:extend "ContinuousBernoulli"
local spec = args "ContinuousBernoulli(any probs=nil, any logits=nil, floats lims=nil, bool validate_args=nil)"

ContinuousBernoulli.arg_constraints = ContinuousBernoulli.constrained { { "probs", constraints.unit_interval },
  { "logits", constraints.real } }
ContinuousBernoulli.support = constraints.unit_interval
ContinuousBernoulli.has_rsample = true
ContinuousBernoulli._mean_carrier_measure = 0
utils.add_probs_logits(ContinuousBernoulli, true)
ContinuousBernoulli.probs = utils.lazy_property(
  function(self) return utils.clamp_probs(utils.logits_to_probs(self.logits, true)) end)

--- ContinuousBernoulli(probs) or ContinuousBernoulli{logits = x}; lims: the bounds of the region treated by polynomials.
function ContinuousBernoulli:init(...)
  local probs, logits, lims, validate_args = spec(...)
  self._lims = args.tuple("ContinuousBernoulli", "lims", lims or { 0.499, 0.501 }, 2)
  local batch_shape = utils.init_probs_logits(self, probs, logits)
  if probs ~= nil then
    if validate_args ~= nil and not constraints.unit_interval:check(self.probs):all():item() then
      args.fail("ContinuousBernoulli", "The parameter probs has invalid values")
    end
    self.probs = utils.clamp_probs(self.probs)
  end
  ExponentialFamily.init(self, batch_shape, nil, validate_args)
end

function ContinuousBernoulli:expand(batch_shape)
  return self:_expand(ContinuousBernoulli, batch_shape, { probs = shapes.none, logits = shapes.none }, { "given", "_lims" })
end

-- Where the closed forms hold, and the probabilities with the lower limit in the other places.
local function stable(self)
  local outside = self.probs:le(self._lims[1]) | self.probs:gt(self._lims[2])
  return outside, torch.where(outside, self.probs, self._lims[1] * torch.ones_like(self.probs))
end

-- log(1 - p) - log p.
local function log_odds_against(p) return torch.log1p(-p) - torch.log(p) end

--- The logarithm of the density's factor, 2 atanh(1 - 2 p) / (1 - 2 p).
function ContinuousBernoulli:_cont_bern_log_norm()
  local outside, p = stable(self)
  local below, above = torch.where(p:le(0.5), p, torch.zeros_like(p)), torch.where(p:ge(0.5), p, torch.ones_like(p))
  local closed = log_odds_against(p):abs():log()
    - torch.where(p:le(0.5), torch.log1p(-2 * below), torch.log(2 * above - 1))
  local square = (self.probs - 0.5):pow(2)
  return torch.where(outside, closed, math.log(2) + (4 / 3 + 104 / 45 * square) * square)
end

function ContinuousBernoulli:mean()
  local outside, p = stable(self)
  local x = self.probs - 0.5
  return torch.where(outside, p / (2 * p - 1) + 1 / log_odds_against(p), 0.5 + (1 / 3 + 16 / 45 * x:pow(2)) * x)
end

function ContinuousBernoulli:variance()
  local outside, p = stable(self)
  local square = (self.probs - 0.5):pow(2)
  return torch.where(outside, p * (p - 1) / (1 - 2 * p):pow(2) + 1 / log_odds_against(p):pow(2),
    1 / 12 - (1 / 15 - 128 / 945 * square) * square)
end

function ContinuousBernoulli:rsample(...)
  return self:icdf(torch.rand(self:_extended_shape(...), { dtype = self.probs.dtype, device = self.probs.device }))
end

function ContinuousBernoulli:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local logits
  logits, value = utils.broadcast_all(self.logits, value)
  return self:_cont_bern_log_norm() - utils.binary_cross_entropy(logits, value)
end

function ContinuousBernoulli:cdf(value)
  if self._validate_args then self:_validate_sample(value) end
  local outside, p = stable(self)
  local closed = (p:pow(value) * (1 - p):pow(1 - value) + p - 1) / (2 * p - 1)
  local inside = torch.where(outside, closed, value)
  return torch.where(value:le(0), torch.zeros_like(value), torch.where(value:ge(1), torch.ones_like(value), inside))
end

function ContinuousBernoulli:icdf(value)
  value = utils.to_tensor(self.__name, "value", value)
  local outside, p = stable(self)
  local log_rest = torch.log1p(-p)
  return torch.where(outside, (torch.log1p(-p + value * (2 * p - 1)) - log_rest) / (torch.log(p) - log_rest), value)
end

function ContinuousBernoulli:entropy()
  local log_rest, log_p = torch.log1p(-self.probs), torch.log(self.probs)
  return self.mean * (log_rest - log_p) - self:_cont_bern_log_norm() - log_rest
end

function ContinuousBernoulli:_natural_params() return self.logits end

--- log((e^x - 1) / x), by its Taylor polynomial at small logits.
function ContinuousBernoulli:_log_normalizer(x)
  local low, high = self._lims[1] - 0.5, self._lims[2] - 0.5
  local outside = x:le(low) | x:gt(high)
  local safe = torch.where(outside, x, low * torch.ones_like(x))
  local closed = torch.log(torch.special.expm1(safe):abs()) - torch.log(safe:abs())
  return torch.where(outside, closed, 0.5 * x + x:pow(2) / 24 - x:pow(4) / 2880)
end

return ContinuousBernoulli
