-- torch.nn.modules: PyTorch's package of the layers. Its members are those of torch.nn; modules.module has the hooks
-- of all modules at once.
local nn = require "lampad.nn"

local modules = require "lampad.lazy"({
  module = function()
    local library = { Module = nn.Module }
    for name, fn in pairs(require("lampad.nn.module_hooks").module) do library[name] = fn end
    return library
  end,
  [1] = function(name) return nn[name] end,
}, function() return getmetatable(nn).__names() end)

return modules
