-- torch.distributions.RelaxedOneHotCategorical: points of the simplex that stand for one-hot vectors, differentiable, and
-- ExpRelaxedCategorical, their logarithms. Maddison, Mnih, Teh, "The concrete distribution" (2017).
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local transforms = require "lampad.distributions.transforms"
local utils = require "lampad.distributions.utils"
local Categorical = require "lampad.distributions.categorical"
local Distribution = require "lampad.distributions.distribution"
local TransformedDistribution = require "lampad.distributions.transformed_distribution"

local torch = core.torch
local M = {}

local constrained = Distribution.constrained { { "probs", constraints.simplex }, { "logits", constraints.real_vector } }

local Exp = Distribution:extend "ExpRelaxedCategorical"
M.ExpRelaxedCategorical = Exp
local exp_spec = args "ExpRelaxedCategorical(any temperature, any probs=nil, any logits=nil, bool validate_args=nil)"

Exp.arg_constraints = constrained
Exp.support = constraints.real_vector -- the logarithms of the simplex
Exp.has_rsample = true
utils.delegate(Exp, "_categorical", "probs logits _param param_shape")

--- ExpRelaxedCategorical(temperature, probs) or {temperature = t, logits = x}: tensors (..., K).
function Exp:init(...)
  local temperature, probs, logits, validate_args = exp_spec(...)
  self.temperature = utils.parameters("RelaxedOneHotCategorical", "temperature", temperature)
  self._categorical = Categorical(probs, logits)
  Distribution.init(self, self._categorical.batch_shape, shapes.slice(self._categorical.param_shape, -1), validate_args)
end

function Exp:expand(batch_shape)
  return self:_expand(Exp, batch_shape, { _categorical = shapes.none }, { "temperature" })
end

function Exp:rsample(...)
  local u = torch.rand(self:_extended_shape(...), { dtype = self.logits.dtype, device = self.logits.device })
  local gumbel = -torch.log(-utils.clamp_probs(u):log())
  local scores = (self.logits + gumbel) / self.temperature
  return scores - scores:logsumexp(-1, true)
end

function Exp:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local K, t = self._categorical._num_events, self.temperature
  local logits
  logits, value = utils.broadcast_all(self.logits, value)
  local score = logits - value * t
  local log_scale = torch.full_like(t, K):lgamma() + (K - 1) * t:log()
  return (score - score:logsumexp(-1, true)):sum(-1) + log_scale
end

local Relaxed = TransformedDistribution:extend "RelaxedOneHotCategorical"
M.RelaxedOneHotCategorical = Relaxed
local spec = args "RelaxedOneHotCategorical(any temperature, any probs=nil, any logits=nil, bool validate_args=nil)"

Relaxed.arg_constraints = constrained
Relaxed.support = constraints.simplex
Relaxed.has_rsample = true
utils.delegate(Relaxed, "base_dist", "temperature probs logits")

--- RelaxedOneHotCategorical(temperature, probs) or {temperature = t, logits = x}: tensors (..., K).
function Relaxed:init(...)
  local temperature, probs, logits, validate_args = spec(...)
  local base = Exp { temperature = temperature, probs = probs, logits = logits, validate_args = validate_args }
  TransformedDistribution.init(self, base, transforms.ExpTransform(), { validate_args = validate_args })
end

function Relaxed:expand(batch_shape) return self:_expand_transformed(Relaxed, batch_shape) end

return M
