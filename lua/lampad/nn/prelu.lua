-- nn.PReLU: max(0, x) + weight * min(0, x) with a learned weight (He et al. 2015).
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"
local Parameter = require "lampad.nn.parameter"
local F = require "lampad.nn.functional"

local PReLU = Module:extend "PReLU"
local spec = args "PReLU(int num_parameters=1, float init=0.25, device device=nil, dtype dtype=nil)"

--- weight: (num_parameters), one for all channels or one for each.
function PReLU:init(...)
  local count, value, device, dtype = spec(...)
  self:_set { num_parameters = count, init_value = value }
  self.weight = Parameter(core.torch.full({ count }, value, args.making(device, dtype)))
end

function PReLU:forward(input)
  if type(input) ~= "userdata" then input = args.input("PReLU", input, "input") end
  return F.prelu(input, self.weight)
end

function PReLU:extra_repr() return "num_parameters=" .. text.repr(self.num_parameters) end

return PReLU
