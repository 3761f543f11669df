-- nn.DataParallel: a module split over the GPUs of one process. Lampad drives one GPU at most in a process, where this is
-- the module itself, as in PyTorch without GPUs; state_dict() names its entries "module. ...".
local args = require "lampad.args"
local Module = require "lampad.nn.module"
local is_lazy = require("lampad.nn.uninitialized").is_lazy

local DataParallel = Module:extend "DataParallel"
local spec = args "DataParallel(Module module, any device_ids=nil, any output_device=nil, int dim=0)"

--- nn.DataParallel(module, device_ids = nil, output_device = nil, dim = 0): calls go to `module`. More than one device is
--- an error.
function DataParallel:init(...)
  local module, ids, output_device, dim = spec(...)
  if ids ~= nil and type(ids) ~= "table" then ids = { ids } end
  if ids and #ids > 1 then
    args.fail("DataParallel", "device_ids must hold one device at most, got %d", #ids)
  end
  for p in module:parameters() do
    if is_lazy(p) then
      args.fail(nil, "Modules with uninitialized parameters can't be used with `DataParallel`. Run a dummy forward pass to "
        .. "correctly initialize the modules")
    end
  end
  self:_set { device_ids = ids or {}, output_device = output_device, dim = dim }
  self.module = module
end

function DataParallel:forward(...) return self.module(...) end

return DataParallel
