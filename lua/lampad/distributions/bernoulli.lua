-- torch.distributions.Bernoulli: 1 with probability probs, else 0.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local ExponentialFamily = require "lampad.distributions.exp_family"

local torch = core.torch

local Bernoulli = ExponentialFamily:extend "Bernoulli"
local spec = args "Bernoulli(any probs=nil, any logits=nil, bool validate_args=nil)"

Bernoulli.arg_constraints = Bernoulli.constrained { { "probs", constraints.unit_interval }, { "logits", constraints.real } }
Bernoulli.support = constraints.boolean
Bernoulli.has_enumerate_support = true
Bernoulli._mean_carrier_measure = 0
utils.add_probs_logits(Bernoulli, true)

--- Bernoulli(probs) or Bernoulli{logits = x}: numbers or tensors.
function Bernoulli:init(...)
  local probs, logits, validate_args = spec(...)
  local batch_shape = utils.init_probs_logits(self, probs, logits)
  ExponentialFamily.init(self, batch_shape, nil, validate_args)
end

function Bernoulli:expand(batch_shape)
  return self:_expand(Bernoulli, batch_shape, { probs = shapes.none, logits = shapes.none }, { "given" })
end

function Bernoulli:mean() return self.probs end
function Bernoulli:variance() return self.probs * (1 - self.probs) end

function Bernoulli:mode()
  local mode = self.probs:ge(0.5):to(self.probs)
  return mode:masked_fill(self.probs:eq(0.5), 0 / 0)
end

function Bernoulli:sample(...)
  local shape = self:_extended_shape(...)
  local _ <close> = torch.no_grad()
  return torch.bernoulli(self.probs:expand(shape))
end

function Bernoulli:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local logits
  logits, value = utils.broadcast_all(self.logits, value)
  return -utils.binary_cross_entropy(logits, value)
end

function Bernoulli:entropy() return utils.binary_cross_entropy(self.logits, self.probs) end

function Bernoulli:enumerate_support(expand) return utils.enumerate_integers(self, 2, self._param, expand) end

function Bernoulli:_natural_params() return torch.logit(self.probs) end
function Bernoulli:_log_normalizer(x) return torch.log1p(torch.exp(x)) end

return Bernoulli
