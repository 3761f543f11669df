-- torch.unique, torch.unique_consecutive, torch.nonzero and torch.lu: functions whose number of results hangs on
-- their options. The engine's ops always give all results.
local core = require "lampad.core"
local args = require "lampad.args"

local unique = {}

local function chosen(output, inverse, counts, return_inverse, return_counts)
  if return_inverse and return_counts then return output, inverse, counts end
  if return_inverse then return output, inverse end
  if return_counts then return output, counts end
  return output
end

local unique_spec = args [[unique(Tensor input, bool sorted=true, bool return_inverse=false,
  bool return_counts=false, int dim=nil)]]

--- torch.unique(input, sorted, return_inverse, return_counts, dim): the distinct values (or slices of dim) in
--- order; then each element's place among them and their counts, where asked for.
function unique.unique(...)
  local input, sorted, return_inverse, return_counts, dim = unique_spec(...)
  if dim then
    local output, inverse, counts = core.torch.unique_dim(input, dim, sorted, return_inverse, return_counts)
    return chosen(output, inverse, counts, return_inverse, return_counts)
  end
  local output, inverse, counts = core.torch._unique2(input, sorted, return_inverse, return_counts)
  return chosen(output, inverse, counts, return_inverse, return_counts)
end

local consecutive_spec = args [[unique_consecutive(Tensor input, bool return_inverse=false,
  bool return_counts=false, int dim=nil)]]

--- torch.unique_consecutive(input, return_inverse, return_counts, dim): runs of equal values as one each.
function unique.unique_consecutive(...)
  local input, return_inverse, return_counts, dim = consecutive_spec(...)
  local output, inverse, counts = core.torch._unique_consecutive(input, return_inverse, return_counts, { dim = dim })
  return chosen(output, inverse, counts, return_inverse, return_counts)
end

--- torch.nonzero(input): one row of indices per element that is not 0; with {as_tuple = true} a list of one
--- 1-d tensor per dim.
function unique.nonzero(input, options)
  if type(options) == "table" and options.as_tuple ~= nil then
    if options.as_tuple then return core.torch.where(input) end
    options = nil
  end
  if options == nil then return core.torch.argwhere(input) end
  return core.torch.argwhere(input, options) -- out = ..., or the op's own error
end

local lu_spec = args [[lu(Tensor A, bool pivot=true, bool get_infos=false)]]

--- torch.lu(A, pivot, get_infos): LU and pivots as lu_factor gives them;
--- with get_infos also, for each matrix, 0 or the number of the pivot that is zero.
function unique.lu(...)
  local A, pivot, get_infos = lu_spec(...)
  if get_infos then return core.torch.linalg.lu_factor_ex(A, { pivot = pivot }) end
  local LU, pivots = core.torch.linalg.lu_factor_ex(A, { pivot = pivot })
  return LU, pivots
end

-- The functions and methods of these names.
for name, fn in pairs(unique) do
  core.torch[name] = fn
  core.methods[name] = fn
end

return unique
