-- torch.accelerator: the device beside the CPU, when there is one.
local cuda = require "lampad.cuda"
local core = require "lampad.core"

local M = {}

--- Whether there is a device beside the CPU.
function M.is_available() return cuda.is_available() end
function M.device_count() return cuda.device_count() end
--- The device, or nil.
function M.current_accelerator() return cuda.is_available() and core.torch.device "cuda" or nil end
--- Waits for the device; without one there is nothing to wait for.
function M.synchronize() end

return M
