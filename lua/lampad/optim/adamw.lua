-- optim.AdamW (Loshchilov and Hutter 2019): Adam with weight decay taken off the weights directly.
local args = require "lampad.args"
local Adam = require "lampad.optim.adam"

local AdamW = Adam:extend "AdamW"
local spec = args [[AdamW(any params, scalar lr=0.001, scalars betas=nil, float eps=1e-08, float weight_decay=0.01,
  bool amsgrad=false, *, bool maximize=false, bool foreach=nil, bool capturable=false, bool differentiable=false,
  bool fused=nil)]]

--- optim.AdamW(params, lr = 1e-3, betas = {0.9, 0.999}, eps = 1e-8, weight_decay = 0.01, amsgrad = false, {maximize,
--- foreach, capturable, differentiable, fused}). State as Adam's.
function AdamW:init(...)
  local o = spec:collect(...)
  o.betas = o.betas or { 0.9, 0.999 }
  o.decoupled_weight_decay = true
  self:_setup(o)
end

-- Whatever was saved, Adam's state_dict included, the decay stays decoupled.
function AdamW:_loaded()
  for _, group in ipairs(self.param_groups) do group.decoupled_weight_decay = true end
end

return AdamW
