-- torch.distributions.Categorical: indices 0 ... K - 1 with the probabilities of the last dim.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Distribution = require "lampad.distributions.distribution"

local torch = core.torch

local Categorical = Distribution:extend "Categorical"
local spec = args "Categorical(any probs=nil, any logits=nil, bool validate_args=nil)"

Categorical.arg_constraints = Categorical.constrained { { "probs", constraints.simplex }, { "logits", constraints.real_vector } }
Categorical.support = constraints.dependent_property(
  function(self) return constraints.integer_interval(0, self._num_events - 1) end, { is_discrete = true, event_dim = 0 })
Categorical.has_enumerate_support = true
utils.add_probs_logits(Categorical, false)

--- Categorical(probs) or Categorical{logits = x}: tensors (..., K). probs are divided by their sum, logits (any real numbers)
--- are shifted so that their exponentials sum to 1.
function Categorical:init(...)
  local probs, logits, validate_args = spec(...)
  utils.one_of_probs_logits(self.__name, probs, logits)
  local name = probs ~= nil and "probs" or "logits"
  local param = utils.check_tensor(self.__name, name, probs ~= nil and probs or logits)
  if param.ndim < 1 then args.fail(self.__name, "`%s` parameter must be at least one-dimensional.", name) end
  self.given = name
  self[name] = probs ~= nil and probs / probs:sum(-1, true) or logits - logits:logsumexp(-1, true)
  self._num_events = param:size(-1)
  Distribution.init(self, shapes.slice(param.shape, 0, -1), nil, validate_args)
end

function Categorical:expand(batch_shape)
  local events = torch.Size { self._num_events }
  return self:_expand(Categorical, batch_shape, { probs = events, logits = events }, { "given", "_num_events" })
end

local function nans(self)
  return torch.full(self:_extended_shape(), 0 / 0, { dtype = self.probs.dtype, device = self.probs.device })
end

--- NaN: categories have no mean.
function Categorical:mean() return nans(self) end
function Categorical:variance() return nans(self) end
function Categorical:mode() return self.probs:argmax(-1) end

function Categorical:sample(...)
  local sample_shape = shapes.sample("Categorical", ...)
  local _ <close> = torch.no_grad()
  local rows, count = self.probs:reshape(-1, self._num_events), sample_shape:numel()
  local shape = self:_extended_shape(sample_shape)
  if count == 0 or rows:size(0) == 0 then return torch.empty(shape, { dtype = torch.int64 }) end
  return torch.multinomial(rows, count, true).T:reshape(shape)
end

function Categorical:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local index, logits = table.unpack(torch.broadcast_tensors { value:long():unsqueeze(-1), self.logits })
  return logits:gather(-1, index:narrow(-1, 0, 1)):squeeze(-1)
end

function Categorical:entropy()
  -- 0 log 0 is 0: logits of -inf stand for the least finite number.
  local logits = self.logits:clamp { min = torch.finfo(self.logits.dtype).min }
  return -(logits * self.probs):sum(-1)
end

function Categorical:enumerate_support(expand)
  return utils.enumerate_integers(self, self._num_events, torch.empty(0, { dtype = torch.int64 }), expand)
end

return Categorical
