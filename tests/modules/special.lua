--- Module samples that are not replayed, each with the reason.
local M = {}

-- A number of the constructor that is whole, but a float: PyTorch refuses it, in Lua it is an integer.
local function has_whole_float(r)
  local function is_whole(v) return math.type(v) == "float" and math.tointeger(v) ~= nil end
  for i = 1, r.make.args.items.n do
    if is_whole(r.make.args.items[i]) then return true end
  end
  for _, pair in ipairs(r.make.named) do
    if is_whole(pair[2]) then return true end
  end
  return false
end

--- The reason why a sample is left out, or nil.
function M.left_out(r)
  if r.flags & 4 ~= 0 and r.message:find "int" and has_whole_float(r) then return "a whole float is an integer in Lua" end
end

--- Whether a sample is not tried in a mode ("strided", "single").
function M.skips() return false end

--- Whether None by position in the constructor is false here: momentum, whose default is not nil.
function M.none_is_false(name) return name:find "Norm%dd$" ~= nil or name == "SyncBatchNorm" end

return M
