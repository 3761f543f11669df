-- nn.Linear: y = x W^T + b.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"
local Parameter = require "lampad.nn.parameter"
local init = require "lampad.nn.initializers"
local F = require "lampad.nn.functional"

local torch = core.torch
local Linear = Module:extend "Linear"
local spec = args "Linear(int in_features, int out_features, bool bias=true, device device=nil, dtype dtype=nil)"

--- weight: (out_features, in_features), bias: (out_features). Input (..., in_features).
function Linear:init(...)
  local in_features, out_features, bias, device, dtype = spec(...)
  self:_set { in_features = in_features, out_features = out_features }
  local options = args.making(device, dtype)
  self.weight = Parameter(torch.empty({ out_features, in_features }, options))
  self:register_parameter("bias", bias and Parameter(torch.empty({ out_features }, options)) or nil)
  self:reset_parameters()
end

--- Both from U(-k, k), k = 1 / sqrt(in_features).
function Linear:reset_parameters()
  init.kaiming_uniform_(self.weight, math.sqrt(5))
  if self.bias ~= nil then
    local bound = self.in_features > 0 and 1 / math.sqrt(self.in_features) or 0
    init.uniform_(self.bias, -bound, bound)
  end
end

function Linear:forward(input)
  if type(input) ~= "userdata" then input = args.input(self.__name, input, "input") end
  return F.linear(input, self.weight, self.bias)
end

function Linear:extra_repr()
  return ("in_features=%d, out_features=%d, bias=%s"):format(self.in_features, self.out_features,
    text.repr(self.bias ~= nil))
end

return Linear
