-- torch.distributions.Independent: a distribution whose last batch dims count as dims of the event.
local args = require "lampad.args"
local class = require "lampad.class"
local text = require "lampad.text"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Distribution = require "lampad.distributions.distribution"

local Independent = Distribution:extend "Independent"
local spec = args "Independent(any base_distribution, int reinterpreted_batch_ndims, bool validate_args=nil)"

Independent.arg_constraints = Independent.constrained {}
utils.delegate(Independent, "base_dist", "has_rsample mean mode variance")

--- Independent(base_distribution, reinterpreted_batch_ndims, {validate_args}): log_prob sums over that many of the base's
--- last batch dims.
function Independent:init(...)
  local base, count, validate_args = spec(...)
  if not class.isinstance(base, Distribution) then
    args.fail("Independent", "argument 'base_distribution' must be a Distribution, got %s", text.describe(base))
  end
  if count < 0 then
    args.fail("Independent", "argument 'reinterpreted_batch_ndims' must be >= 0, got %d", count)
  end
  if count > #base.batch_shape then
    args.fail("Independent", "Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), actual %d vs %d",
      count, #base.batch_shape)
  end
  local shape = base.batch_shape .. base.event_shape
  local cut = #shape - count - #base.event_shape
  self.base_dist, self.reinterpreted_batch_ndims = base, count
  Distribution.init(self, shapes.slice(shape, 0, cut), shapes.slice(shape, cut), validate_args)
end

function Independent:expand(batch_shape)
  local extra = shapes.slice(self.event_shape, 0, self.reinterpreted_batch_ndims)
  return self:_expand(Independent, batch_shape, { base_dist = extra }, { "reinterpreted_batch_ndims" })
end

function Independent:has_enumerate_support()
  return self.reinterpreted_batch_ndims <= 0 and self.base_dist.has_enumerate_support
end

Independent.support = constraints.dependent_property(function(self)
  local support = self.base_dist.support
  if self.reinterpreted_batch_ndims == 0 then return support end
  return constraints.independent(support, self.reinterpreted_batch_ndims)
end)

function Independent:sample(...) return self.base_dist:sample(...) end
function Independent:rsample(...) return self.base_dist:rsample(...) end

function Independent:log_prob(value)
  return utils.sum_rightmost(self.base_dist:log_prob(value), self.reinterpreted_batch_ndims)
end

function Independent:entropy() return utils.sum_rightmost(self.base_dist:entropy(), self.reinterpreted_batch_ndims) end

function Independent:enumerate_support(expand)
  if self.reinterpreted_batch_ndims > 0 then
    args.fail("Independent", "Enumeration over cartesian product is not implemented")
  end
  return self.base_dist:enumerate_support(expand)
end

function Independent:__tostring()
  return ("%s(%s, %d)"):format(self.__name, tostring(self.base_dist), self.reinterpreted_batch_ndims)
end

return Independent
