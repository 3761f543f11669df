-- torch.distributions.Binomial: the number of successes among total_count trials of probability probs.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Distribution = require "lampad.distributions.distribution"

local torch = core.torch

local Binomial = Distribution:extend "Binomial"
local spec = args "Binomial(any total_count=1, any probs=nil, any logits=nil, bool validate_args=nil)"

Binomial.arg_constraints = Binomial.constrained { { "total_count", constraints.nonnegative_integer },
  { "probs", constraints.unit_interval }, { "logits", constraints.real } }
Binomial.support = constraints.dependent_property(
  function(self) return constraints.integer_interval(0, self.total_count) end, { is_discrete = true, event_dim = 0 })
Binomial.has_enumerate_support = true
utils.add_probs_logits(Binomial, true)

--- Binomial(total_count, probs) or Binomial{total_count = n, logits = x}.
function Binomial:init(...)
  local total_count, probs, logits, validate_args = spec(...)
  local batch_shape = utils.init_counted(self, total_count, probs, logits)
  Distribution.init(self, batch_shape, nil, validate_args)
end

function Binomial:expand(batch_shape)
  return self:_expand(Binomial, batch_shape,
    { total_count = shapes.none, probs = shapes.none, logits = shapes.none }, { "given" })
end

function Binomial:mean() return self.total_count * self.probs end
function Binomial:mode() return ((self.total_count + 1) * self.probs):floor():clamp { max = self.total_count } end
function Binomial:variance() return self.total_count * self.probs * (1 - self.probs) end

function Binomial:sample(...)
  local shape = self:_extended_shape(...)
  local _ <close> = torch.no_grad()
  return torch.binomial(self.total_count:expand(shape), self.probs:expand(shape))
end

-- max(x, 0) with slope 1/2 at 0.
local function positive_part(x) return (x:clamp { min = 0 } + x - x:clamp { max = 0 }) / 2 end

function Binomial:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local n, x = self.total_count, self.logits
  -- n log(1 + e^x) without overflow, less log n!: where x is infinite but for the clamped probability, the error of the
  -- clamp is rounded away beside log n!, and certain counts have probability 1.
  local normalizer = n * positive_part(x) + n * torch.log1p(torch.exp(-x:abs())) - torch.lgamma(n + 1)
  return value * x - torch.lgamma(value + 1) - torch.lgamma(n - value + 1) - normalizer
end

-- The one total_count, or an error.
local function single_count(self, what)
  local most = self.total_count:max():item()
  if self.total_count:min():item() ~= most then
    args.fail("Binomial", "Inhomogeneous total count not supported by `%s`.", what)
  end
  return math.tointeger(most)
end

function Binomial:entropy()
  single_count(self, "entropy")
  local log_prob = self:log_prob(self:enumerate_support(false))
  return -(log_prob:exp() * log_prob):sum(0)
end

function Binomial:enumerate_support(expand)
  return utils.enumerate_integers(self, 1 + single_count(self, "enumerate_support"), self._param, expand)
end

return Binomial
