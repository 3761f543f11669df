-- torch.distributions.CumulativeDistributionTransform: a distribution function, to [0, 1].
local args = require "lampad.args"
local text = require "lampad.text"
local constraints = require "lampad.distributions.constraints"
local Transform = require "lampad.distributions.transforms.transform"

local Cumulative = Transform:extend "CumulativeDistributionTransform"
local spec = args "CumulativeDistributionTransform(any distribution, int cache_size=0)"
Cumulative.bijective, Cumulative.sign = true, 1
Cumulative.codomain = constraints.unit_interval

--- CumulativeDistributionTransform(distribution, {cache_size}): y = distribution:cdf(x), its inverse icdf.
function Cumulative:init(...)
  local distribution, cache_size = spec(...)
  if not require("lampad.class").isinstance(distribution, require "lampad.distributions.distribution") then
    args.fail(self.__name, "argument 'distribution' must be a Distribution, got %s", text.describe(distribution))
  end
  self:_set_cache(cache_size)
  self.distribution = distribution
end

function Cumulative:domain() return self.distribution.support end

function Cumulative:with_cache(cache_size)
  cache_size = cache_size or 1
  if self._cache_size == cache_size then return self end
  return Cumulative(self.distribution, cache_size)
end

function Cumulative:_call(x) return self.distribution:cdf(x) end
function Cumulative:_inverse(y) return self.distribution:icdf(y) end
function Cumulative:log_abs_det_jacobian(x) return self.distribution:log_prob(x) end

return Cumulative
