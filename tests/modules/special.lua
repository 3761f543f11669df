--- Module samples that are not replayed, each with the reason.
local M = {}

--- The reason why a sample is left out, or nil.
function M.left_out(r)
  local dim = r.make.named[1]
  if r.name == "LogSoftmax" and dim and dim[2] == 1.0 then return "a whole float is an integer in Lua" end
end

--- Whether a sample is not tried in a mode ("strided", "single").
function M.skips() return false end

--- Whether None by position in the constructor is false here: momentum, whose default is not nil.
function M.none_is_false(name) return name:find "Norm%dd$" ~= nil or name == "SyncBatchNorm" end

return M
