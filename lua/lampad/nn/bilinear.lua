-- nn.Bilinear: y = x1^T A x2 + b.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"
local Parameter = require "lampad.nn.parameter"
local init = require "lampad.nn.initializers"
local F = require "lampad.nn.functional"

local torch = core.torch
local Bilinear = Module:extend "Bilinear"
local spec = args [[Bilinear(int in1_features, int in2_features, int out_features, bool bias=true,
  device device=nil, dtype dtype=nil)]]

--- weight: (out_features, in1_features, in2_features), bias: (out_features).
function Bilinear:init(...)
  local in1, in2, out, bias, device, dtype = spec(...)
  if in1 <= 0 then args.fail("Bilinear", "in1_features must be > 0, but got %d", in1) end
  self:_set { in1_features = in1, in2_features = in2, out_features = out }
  local options = args.making(device, dtype)
  self.weight = Parameter(torch.empty({ out, in1, in2 }, options))
  self:register_parameter("bias", bias and Parameter(torch.empty({ out }, options)) or nil)
  self:reset_parameters()
end

--- Both from U(-k, k), k = 1 / sqrt(in1_features).
function Bilinear:reset_parameters()
  local bound = 1 / math.sqrt(self.in1_features)
  init.uniform_(self.weight, -bound, bound)
  if self.bias ~= nil then init.uniform_(self.bias, -bound, bound) end
end

Bilinear.forward = args.forward("Bilinear", { "input1", "input2" }, function(self, input1, input2)
  return F.bilinear(input1, input2, self.weight, self.bias)
end)

function Bilinear:extra_repr()
  return ("in1_features=%d, in2_features=%d, out_features=%d, bias=%s"):format(self.in1_features,
    self.in2_features, self.out_features, text.repr(self.bias ~= nil))
end

return Bilinear
