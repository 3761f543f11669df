-- optim.AdamW (Loshchilov and Hutter 2019): Adam with weight decay taken off the weights directly.
local Adam = require "lampad.optim.adam"

local AdamW = Adam:extend "AdamW"
local spec = Adam.spec_for("AdamW", "0.01", "true")

--- optim.AdamW(net:parameters(), {lr = 1e-3, weight_decay = 0.01}).
function AdamW:init(...)
  local o = spec:collect(...)
  o.decoupled_weight_decay = true
  self:_setup(o)
end

return AdamW
