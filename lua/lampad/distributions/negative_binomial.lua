-- torch.distributions.NegativeBinomial: successes of probability probs before total_count failures.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Distribution = require "lampad.distributions.distribution"
local Gamma = require "lampad.distributions.gamma"

local torch = core.torch
local logsigmoid = require("lampad.nn.functional").logsigmoid

local NegativeBinomial = Distribution:extend "NegativeBinomial"
local spec = args "NegativeBinomial(any total_count, any probs=nil, any logits=nil, bool validate_args=nil)"

NegativeBinomial.arg_constraints = NegativeBinomial.constrained { { "total_count", constraints.greater_than_eq(0) },
  { "probs", constraints.half_open_interval(0.0, 1.0) }, { "logits", constraints.real } }
NegativeBinomial.support = constraints.nonnegative_integer
utils.add_probs_logits(NegativeBinomial, true)

--- NegativeBinomial(total_count, probs) or NegativeBinomial{total_count = n, logits = x}; total_count may be fractional.
function NegativeBinomial:init(...)
  local total_count, probs, logits, validate_args = spec(...)
  local batch_shape = utils.init_counted(self, total_count, probs, logits)
  Distribution.init(self, batch_shape, nil, validate_args)
end

function NegativeBinomial:expand(batch_shape)
  return self:_expand(NegativeBinomial, batch_shape,
    { total_count = shapes.none, probs = shapes.none, logits = shapes.none }, { "given" })
end

function NegativeBinomial:mean() return self.total_count * self.logits:exp() end
function NegativeBinomial:mode() return ((self.total_count - 1) * self.logits:exp()):floor():clamp { min = 0 } end
function NegativeBinomial:variance() return self.mean / torch.sigmoid(-self.logits) end

-- A Poisson number whose rate is a Gamma number.
function NegativeBinomial:sample(...)
  local _ <close> = torch.no_grad()
  local gamma = Gamma(self.total_count, torch.exp(-self.logits), { validate_args = false })
  return torch.poisson(gamma:sample(...))
end

function NegativeBinomial:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local n = self.total_count
  local log_power = n * logsigmoid(-self.logits) + value * logsigmoid(self.logits)
  local log_choose = torch.lgamma(n + value) - torch.lgamma(1 + value) - torch.lgamma(n)
  return log_power + log_choose:masked_fill((n + value):eq(0), 0)
end

return NegativeBinomial
