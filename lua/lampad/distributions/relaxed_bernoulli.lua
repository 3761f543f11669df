-- torch.distributions.RelaxedBernoulli: numbers in (0, 1) that stand for a Bernoulli number, differentiable, and
-- LogitRelaxedBernoulli, their log odds. Maddison, Mnih, Teh, "The concrete distribution" (2017).
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local transforms = require "lampad.distributions.transforms"
local utils = require "lampad.distributions.utils"
local Distribution = require "lampad.distributions.distribution"
local TransformedDistribution = require "lampad.distributions.transformed_distribution"

local torch = core.torch
local M = {}

local constrained = Distribution.constrained { { "probs", constraints.unit_interval }, { "logits", constraints.real } }

local Logit = Distribution:extend "LogitRelaxedBernoulli"
M.LogitRelaxedBernoulli = Logit
local logit_spec = args "LogitRelaxedBernoulli(any temperature, any probs=nil, any logits=nil, bool validate_args=nil)"

Logit.arg_constraints = constrained
Logit.support = constraints.real
utils.add_probs_logits(Logit, true)

--- LogitRelaxedBernoulli(temperature, probs) or {temperature = t, logits = x}.
function Logit:init(...)
  local temperature, probs, logits, validate_args = logit_spec(...)
  self.temperature = utils.parameters("RelaxedBernoulli", "temperature", temperature)
  local batch_shape = utils.init_probs_logits(self, probs, logits)
  Distribution.init(self, batch_shape, nil, validate_args)
end

function Logit:expand(batch_shape)
  return self:_expand(Logit, batch_shape, { probs = shapes.none, logits = shapes.none }, { "temperature", "given" })
end

local function log_odds(p) return p:log() - (-p):log1p() end

function Logit:rsample(...)
  local shape = self:_extended_shape(...)
  local probs = utils.clamp_probs(self.probs:expand(shape))
  local u = utils.clamp_probs(torch.rand(shape, { dtype = probs.dtype, device = probs.device }))
  return (log_odds(u) + probs:log() - (-probs):log1p()) / self.temperature
end

function Logit:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local logits
  logits, value = utils.broadcast_all(self.logits, value)
  local difference = logits - value * self.temperature
  return self.temperature:log() + difference - 2 * difference:exp():log1p()
end

local Relaxed = TransformedDistribution:extend "RelaxedBernoulli"
M.RelaxedBernoulli = Relaxed
local spec = args "RelaxedBernoulli(any temperature, any probs=nil, any logits=nil, bool validate_args=nil)"

Relaxed.arg_constraints = constrained
Relaxed.support = constraints.unit_interval
Relaxed.has_rsample = true
utils.delegate(Relaxed, "base_dist", "temperature probs logits")

--- RelaxedBernoulli(temperature, probs) or {temperature = t, logits = x}.
function Relaxed:init(...)
  local temperature, probs, logits, validate_args = spec(...)
  local base = Logit { temperature = temperature, probs = probs, logits = logits }
  TransformedDistribution.init(self, base, transforms.SigmoidTransform(), { validate_args = validate_args })
end

function Relaxed:expand(batch_shape) return self:_expand_transformed(Relaxed, batch_shape) end

return M
