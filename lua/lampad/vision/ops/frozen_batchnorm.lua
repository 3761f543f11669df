-- vision.ops.FrozenBatchNorm2d (torchvision.ops.misc).
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"

local torch = core.torch

local FrozenBatchNorm2d = Module:extend "FrozenBatchNorm2d"
local spec = args "FrozenBatchNorm2d(int num_features, float eps=1e-05)"

--- nn.BatchNorm2d with statistics, weight and bias that never change: they are buffers. Input (N, num_features, H, W).
function FrozenBatchNorm2d:init(...)
  local count, eps = spec(...)
  if count < 0 then args.fail("FrozenBatchNorm2d", "num_features must not be negative, got %d", count) end
  self:_set { eps = eps }
  self:register_buffer("weight", torch.ones(count))
  self:register_buffer("bias", torch.zeros(count))
  self:register_buffer("running_mean", torch.zeros(count))
  self:register_buffer("running_var", torch.ones(count))
end

-- The state of an nn.BatchNorm2d fits, but for its count of batches.
function FrozenBatchNorm2d:_load_from_state_dict(state, prefix, ...)
  state[prefix .. "num_batches_tracked"] = nil
  Module._load_from_state_dict(self, state, prefix, ...)
end

FrozenBatchNorm2d.forward = args.forward("FrozenBatchNorm2d", { "x" }, function(self, x)
  local scale = self.weight * (self.running_var + self.eps):rsqrt()
  local bias = self.bias - self.running_mean * scale
  return x * scale:reshape(1, -1, 1, 1) + bias:reshape(1, -1, 1, 1)
end)

function FrozenBatchNorm2d.__tostring(self)
  return ("FrozenBatchNorm2d(%d, eps=%s)"):format(self.weight:size(0), text.repr(self.eps))
end

FrozenBatchNorm2d:_guard_methods()

return { FrozenBatchNorm2d = FrozenBatchNorm2d }
