-- optim.SparseAdam: Adam for sparse gradients. Lampad has no sparse tensors, so that every step with a gradient ends in
-- PyTorch's error for dense ones.
local torch = require("lampad.core").torch
local args = require "lampad.args"
local Optimizer = require "lampad.optim.optimizer"

local SparseAdam = Optimizer:extend "SparseAdam"
local spec = args "SparseAdam(any params, scalar lr=0.001, scalars betas=nil, float eps=1e-08, bool maximize=false)"

--- optim.SparseAdam(params, lr = 1e-3, betas = {0.9, 0.999}, eps = 1e-8, maximize = false): refuses dense gradients, as
--- PyTorch's does.
function SparseAdam:init(...)
  local o = spec:collect(...)
  o.betas = o.betas or { 0.9, 0.999 }
  self:_setup(o)
  local complex = {}
  for i, group in ipairs(self.param_groups) do
    for j, p in ipairs(group.params) do
      if p.dtype.is_complex then complex[#complex + 1] = ("[%d, %d]"):format(i - 1, j - 1) end
    end
  end
  if #complex > 0 then
    args.fail("SparseAdam", "Complex params at indices [%s]: SparseAdam does not support complex parameters",
      table.concat(complex, ", "))
  end
end

function SparseAdam:_check_group(group)
  self:_check_common(group)
  for _, row in ipairs { { "lr", "learning rate" }, { "eps", "epsilon value" } } do
    if self._number(group[row[1]]) == 0 then args.fail("SparseAdam", "Invalid %s: 0", row[2]) end
  end
end

-- PyTorch counts this one's steps with an int.
function SparseAdam:_loaded()
  for _, state in pairs(self.state) do
    if torch.is_tensor(state.step) then state.step = math.tointeger(state.step:item()) end
  end
end

function SparseAdam._update()
  args.fail("SparseAdam.step", "SparseAdam does not support dense gradients, please consider Adam instead")
end

return SparseAdam
