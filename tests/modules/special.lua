--- Module samples that are not replayed, each with the reason.
local M = {}

--- The reason why a sample is left out, or nil.
function M.left_out() end

--- Whether None by position in the constructor is false here: momentum, whose default is not nil.
function M.none_is_false(name) return name:find "Norm%dd$" ~= nil end

return M
