-- torch.distributions.Multinomial: counts of the categories among total_count draws.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Distribution = require "lampad.distributions.distribution"
local Binomial = require "lampad.distributions.binomial"
local Categorical = require "lampad.distributions.categorical"

local torch = core.torch

local Multinomial = Distribution:extend "Multinomial"
local spec = args "Multinomial(any total_count=1, any probs=nil, any logits=nil, bool validate_args=nil)"

Multinomial.arg_constraints = Multinomial.constrained { { "probs", constraints.simplex }, { "logits", constraints.real_vector } }
Multinomial.support = constraints.dependent_property(
  function(self) return constraints.multinomial(self.total_count) end, { is_discrete = true, event_dim = 1 })
utils.delegate(Multinomial, "_categorical", "probs logits _param param_shape")

--- Multinomial(total_count, probs) or Multinomial{total_count = n, logits = x}: probs (..., K) as of Categorical. log_prob
--- takes any total count.
function Multinomial:init(...)
  local total_count, probs, logits, validate_args = spec(...)
  if math.type(total_count) ~= "integer" then
    args.fail("Multinomial", "inhomogeneous total_count is not supported: expected an integer, got %s",
      require("lampad.text").describe(total_count))
  end
  self.total_count = total_count
  self._categorical = Categorical(probs, logits)
  self._binomial = Binomial(total_count, self.probs)
  Distribution.init(self, self._categorical.batch_shape, shapes.slice(self._categorical.param_shape, -1), validate_args)
end

function Multinomial:expand(batch_shape)
  return self:_expand(Multinomial, batch_shape, { _categorical = shapes.none, _binomial = self.event_shape },
    { "total_count" })
end

function Multinomial:mean() return self.probs * self.total_count end
function Multinomial:variance() return self.total_count * self.probs * (1 - self.probs) end

function Multinomial:sample(...)
  local sample_shape = shapes.sample("Multinomial", ...)
  local _ <close> = torch.no_grad()
  local draws = self._categorical:sample(torch.Size { self.total_count } .. sample_shape)
  draws = draws:movedim(0, -1)
  local counts = torch.zeros(self:_extended_shape(sample_shape), { dtype = torch.int64 })
  return counts:scatter_add(-1, draws, torch.ones_like(draws)):type_as(self.probs)
end

-- n entropies of one draw, less what the order of the draws says.
function Multinomial:entropy()
  local n = self.total_count
  local counts = self._binomial:enumerate_support(false):narrow(0, 1, n)
  local expected = self._binomial:log_prob(counts):exp() * torch.lgamma(counts + 1)
  local log_factorial = torch.lgamma(torch.tensor(n + 1, { dtype = self.probs.dtype }))
  return n * self._categorical:entropy() - log_factorial + expected:sum { 0, -1 }
end

function Multinomial:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local logits
  logits, value = utils.broadcast_all(self.logits, value)
  logits = logits:masked_fill(value:eq(0) & logits:eq(-math.huge), 0)
  return torch.lgamma(value:sum(-1) + 1) - torch.lgamma(value + 1):sum(-1) + (logits * value):sum(-1)
end

return Multinomial
