-- torch.distributions.ExponentialFamily: densities exp(<t(x), theta> - F(theta) + k(x)).
--
-- A subclass defines _natural_params(), which returns the parameters theta, _log_normalizer(theta...), which gives F, and
-- the field or attribute _mean_carrier_measure, the mean of k(x). Entropy and KL divergence follow from the derivatives of
-- F (Nielsen and Nock, "Entropies and cross-entropies of exponential families").
local core = require "lampad.core"
local args = require "lampad.args"
local utils = require "lampad.distributions.utils"
local Distribution = require "lampad.distributions.distribution"

local torch = core.torch
local ExponentialFamily = Distribution:extend "ExponentialFamily"

function ExponentialFamily:_natural_params()
  args.fail(self.__name, "the distribution does not implement _natural_params")
end
function ExponentialFamily:_log_normalizer()
  args.fail(self.__name, "the distribution does not implement _log_normalizer")
end

--- F at the natural parameters, and the lists of these (as leaves) and of its derivatives by them.
function ExponentialFamily:_normalizer_and_means()
  local params = { self:_natural_params() }
  for i, p in ipairs(params) do params[i] = p:detach():requires_grad_(true) end
  local _ <close> = torch.enable_grad()
  local normalizer = self:_log_normalizer(table.unpack(params))
  return normalizer, params, { torch.autograd.grad(normalizer:sum(), params, { create_graph = true }) }
end

--- F less the product of the natural parameters and the means of the statistics.
function ExponentialFamily:entropy()
  local carrier = self._mean_carrier_measure
  if carrier == nil then args.fail(self.__name, "the distribution does not implement entropy") end
  local normalizer, params, means = self:_normalizer_and_means()
  local result = normalizer - carrier
  for i, p in ipairs(params) do
    result = result - utils.sum_rightmost(p * means[i], p.ndim - #self._batch_shape)
  end
  return result
end

return ExponentialFamily
