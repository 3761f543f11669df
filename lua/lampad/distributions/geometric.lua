-- torch.distributions.Geometric: the number of failures before the first success of probability probs.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Distribution = require "lampad.distributions.distribution"

local torch = core.torch

local Geometric = Distribution:extend "Geometric"
local spec = args "Geometric(any probs=nil, any logits=nil, bool validate_args=nil)"

Geometric.arg_constraints = Geometric.constrained { { "probs", constraints.unit_interval }, { "logits", constraints.real } }
Geometric.support = constraints.nonnegative_integer
utils.add_probs_logits(Geometric, true)

--- Geometric(probs) or Geometric{logits = x}; probs in (0, 1].
function Geometric:init(...)
  local probs, logits, validate_args = spec(...)
  local batch_shape = utils.init_probs_logits(self, probs, logits)
  Distribution.init(self, batch_shape, nil, validate_args)
  if self._validate_args and probs ~= nil then
    local valid = self.probs:gt(0)
    if not valid:all():item() then
      args.fail("Geometric", "Expected parameter probs (%s) of distribution %s to be positive but found invalid values:\n%s",
        self._described(self.probs), tostring(self), shapes.text(self.probs:detach()[valid:logical_not()]))
    end
  end
end

function Geometric:expand(batch_shape)
  return self:_expand(Geometric, batch_shape, { probs = shapes.none, logits = shapes.none }, { "given" })
end

function Geometric:mean() return 1 / self.probs - 1 end
function Geometric:mode() return torch.zeros_like(self.probs) end
function Geometric:variance() return (1 / self.probs - 1) / self.probs end

-- The number of whole steps of the survival function (1 - p)^k above a uniform number.
function Geometric:sample(...)
  local shape = self:_extended_shape(...)
  local _ <close> = torch.no_grad()
  local u = self.probs:new_empty(shape):uniform_(torch.finfo(self.probs.dtype).tiny, 1)
  return (u:log() / (-self.probs):log1p()):floor()
end

function Geometric:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local probs
  value, probs = utils.broadcast_all(value, self.probs)
  local failure = probs:masked_fill(probs:eq(1) & value:eq(0), 0)
  return value * (-failure):log1p() + self.probs:log()
end

function Geometric:entropy() return utils.binary_cross_entropy(self.logits, self.probs) / self.probs end

return Geometric
