-- torch.distributions.OneHotCategorical and OneHotCategoricalStraightThrough: one-hot vectors of categories.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Distribution = require "lampad.distributions.distribution"
local Categorical = require "lampad.distributions.categorical"

local torch = core.torch
local one_hot = require("lampad.nn.functional").one_hot
local M = {}

local OneHot = Distribution:extend "OneHotCategorical"
M.OneHotCategorical = OneHot
local spec = args "OneHotCategorical(any probs=nil, any logits=nil, bool validate_args=nil)"

OneHot.arg_constraints = OneHot.constrained { { "probs", constraints.simplex }, { "logits", constraints.real_vector } }
OneHot.support = constraints.one_hot
OneHot.has_enumerate_support = true
utils.delegate(OneHot, "_categorical", "probs logits _param param_shape")

--- OneHotCategorical(probs) or OneHotCategorical{logits = x}: as Categorical, with vectors of length K for indices.
function OneHot:init(...)
  local probs, logits, validate_args = spec(...)
  self._categorical = Categorical(probs, logits)
  Distribution.init(self, self._categorical.batch_shape, shapes.slice(self._categorical.param_shape, -1), validate_args)
end

function OneHot:expand(batch_shape)
  return self:_expand(OneHot, batch_shape, { _categorical = shapes.none })
end

function OneHot:mean() return self.probs end
function OneHot:mode() return one_hot(self.probs:argmax(-1), self.probs:size(-1)):to(self.probs) end
function OneHot:variance() return self.probs * (1 - self.probs) end

function OneHot:sample(...)
  local _ <close> = torch.no_grad()
  return one_hot(self._categorical:sample(...), self._categorical._num_events):to(self.probs)
end

function OneHot:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  return self._categorical:log_prob(value:argmax(-1))
end

function OneHot:entropy() return self._categorical:entropy() end

function OneHot:enumerate_support(expand)
  if type(expand) == "table" then expand = expand.expand end
  local n = self.event_shape[0]
  local values = torch.eye(n, { dtype = self._param.dtype, device = self._param.device })
  values = values:view(torch.Size { n } .. shapes.ones(#self.batch_shape) .. { n })
  if expand == false then return values end
  return values:expand(torch.Size { n } .. self.batch_shape .. { n })
end

--- OneHotCategoricalStraightThrough: samples whose gradient is that of the probabilities (Bengio, Leonard, Courville 2013).
local StraightThrough = OneHot:extend "OneHotCategoricalStraightThrough"
M.OneHotCategoricalStraightThrough = StraightThrough
StraightThrough.has_rsample = true

function StraightThrough:rsample(...)
  local probs = self._categorical.probs
  return self:sample(...) + (probs - probs:detach())
end

return M
