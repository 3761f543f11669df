-- torch.distributions.Chi2: the sum of df squares of standard normal numbers, Gamma(df / 2, 1 / 2).
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Gamma = require "lampad.distributions.gamma"

local Chi2 = Gamma:extend "Chi2"
local spec = args "Chi2(any df, bool validate_args=nil)"

Chi2.arg_constraints = Chi2.constrained { { "df", constraints.positive } }

--- Chi2(df): a positive number or tensor.
function Chi2:init(...)
  local df, validate_args = spec(...)
  Gamma.init(self, 0.5 * utils.parameters("Chi2", "df", df), 0.5, { validate_args = validate_args })
end

function Chi2:expand(batch_shape)
  return self:_expand(Chi2, batch_shape, { concentration = shapes.none, rate = shapes.none })
end

--- The degrees of freedom.
Chi2.df = utils.property(function(self) return self.concentration * 2 end)

return Chi2
