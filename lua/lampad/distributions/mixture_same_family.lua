-- torch.distributions.MixtureSameFamily: a mixture of distributions of one class, whose last batch dim counts them.
local core = require "lampad.core"
local args = require "lampad.args"
local class = require "lampad.class"
local text = require "lampad.text"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Categorical = require "lampad.distributions.categorical"
local Distribution = require "lampad.distributions.distribution"

local torch = core.torch

local Mixture = Distribution:extend "MixtureSameFamily"
local spec = args "MixtureSameFamily(any mixture_distribution, any component_distribution, bool validate_args=nil)"

Mixture.arg_constraints = Mixture.constrained {}
Mixture.mixture_distribution = utils.property(function(self) return self._mixture_distribution end)
Mixture.component_distribution = utils.property(function(self) return self._component_distribution end)

--- MixtureSameFamily(mixture_distribution, component_distribution, {validate_args}): a Categorical of K components, of no
--- batch or the components' batch less its last dim, which is K.
function Mixture:init(...)
  local mixture, component, validate_args = spec(...)
  local what = "MixtureSameFamily"
  if not class.isinstance(mixture, Categorical) then
    args.fail(what, "The Mixture distribution needs to be an instance of torch.distributions.Categorical, got %s",
      text.describe(mixture))
  end
  if not class.isinstance(component, Distribution) then
    args.fail(what, "The Component distribution needs to be an instance of torch.distributions.Distribution, got %s",
      text.describe(component))
  end
  if #component.batch_shape == 0 then
    args.fail(what, "the component distribution needs a batch dim that counts the components, got batch_shape %s",
      tostring(component.batch_shape))
  end
  local mixture_batch, component_batch = mixture.batch_shape, shapes.slice(component.batch_shape, 0, -1)
  for i = 1, math.min(#mixture_batch, #component_batch) do
    local a, b = mixture_batch[-i], component_batch[-i]
    if a ~= 1 and b ~= 1 and a ~= b then
      args.fail(what, "`mixture_distribution.batch_shape` (%s) is not compatible with "
        .. "`component_distribution.batch_shape`(%s)", tostring(mixture_batch), tostring(component_batch))
    end
  end
  local count, component_count = mixture.logits:size(-1), component.batch_shape[-1]
  if count ~= component_count then
    args.fail(what, "`mixture_distribution component` (%d) does not equal `component_distribution.batch_shape[-1]` (%d)",
      count, component_count)
  end
  self._mixture_distribution, self._component_distribution = mixture, component
  self._num_component, self._event_ndims = count, #component.event_shape
  Distribution.init(self, component_batch, component.event_shape, validate_args)
end

function Mixture:expand(batch_shape)
  return self:_expand(Mixture, batch_shape, { _component_distribution = torch.Size { self._num_component },
    _mixture_distribution = shapes.none }, { "_num_component", "_event_ndims" })
end

Mixture.support = constraints.dependent_property(
  function(self) return constraints.MixtureSameFamilyConstraint(self._component_distribution.support) end)

-- The dim that counts the components, of size 1.
local function pad(self, x) return x:unsqueeze(-1 - self._event_ndims) end

-- The probabilities as (batch..., K, 1...), beside values of the components.
local function weights(self)
  local probs = self._mixture_distribution.probs
  local mixture_dims = #self._mixture_distribution.batch_shape
  local padding = mixture_dims == 1 and 0 or #self.batch_shape - mixture_dims
  return probs:reshape(shapes.slice(probs.shape, 0, -1) .. shapes.ones(padding) .. shapes.slice(probs.shape, -1)
    .. shapes.ones(self._event_ndims))
end

function Mixture:mean()
  return (weights(self) * self._component_distribution.mean):sum(-1 - self._event_ndims)
end

--- The mean of the variances and the variance of the means.
function Mixture:variance()
  local w, component, dim = weights(self), self._component_distribution, -1 - self._event_ndims
  local spread = (component.mean - pad(self, self.mean)):pow(2)
  return (w * component.variance):sum(dim) + (w * spread):sum(dim)
end

function Mixture:cdf(value)
  return (self._component_distribution:cdf(pad(self, value)) * self._mixture_distribution.probs):sum(-1)
end

function Mixture:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local of_component = self._component_distribution:log_prob(pad(self, value))
  return torch.logsumexp(of_component + torch.log_softmax(self._mixture_distribution.logits, -1), -1)
end

--- Draws a component and a number of each component, and keeps the drawn one's.
function Mixture:sample(...)
  local sample_shape = shapes.sample("MixtureSameFamily", ...)
  local _ <close> = torch.no_grad()
  local dim = #sample_shape + #self.batch_shape
  local chosen = self._mixture_distribution:sample(sample_shape)
  local numbers = self._component_distribution:sample(sample_shape)
  local index = chosen:reshape(chosen.shape .. shapes.ones(self._event_ndims + 1))
  return numbers:gather(dim, index:expand(chosen.shape .. { 1 } .. self.event_shape)):squeeze(dim)
end

function Mixture:__tostring()
  return ("MixtureSameFamily(\n  %s,\n  %s)"):format(tostring(self._mixture_distribution),
    tostring(self._component_distribution))
end

return Mixture
