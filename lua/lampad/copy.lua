-- deepcopy: copies of modules, tables and tensors in which what was shared stays shared.
local core = require "lampad.core"
local args = require "lampad.args"
local Parameter = require "lampad.nn.parameter"
local uninitialized = require "lampad.nn.uninitialized"

local torch = core.torch
local copy = {}

local STORAGES = {} -- key in `seen` of the copies of storages by address

-- A tensor over a copy of t's storage. Tensors that share a storage (views of one another) share its copy.
local function copy_memory(t, seen)
  t = t:detach()
  if t:numel() == 0 or torch.is_conj(t) or torch.is_neg(t) then return t:clone() end
  local storage = t:untyped_storage()
  local place = storage:data_ptr()
  seen[STORAGES] = seen[STORAGES] or {}
  local copied = seen[STORAGES][place]
  if not copied then
    copied = storage:clone()
    seen[STORAGES][place] = copied
  end
  return torch.empty(0, { dtype = t.dtype, device = t.device }):set_(copied, t:storage_offset(), t.shape, t:stride())
end

local function copy_tensor(t, seen)
  if t.grad_fn ~= nil then
    args.fail("deepcopy", "only tensors created by the user (leaves of the graph) can be deep-copied; call x:detach() "
      .. "first. In a module this may be a weight that weight_norm or spectral_norm computed")
  end
  local result = copy_memory(t, seen)
  if t.requires_grad then result:requires_grad_(true) end
  if Parameter.is(t) then Parameter.mark(result) end
  if t.grad ~= nil then result.grad = t.grad:detach():clone() end
  return result
end

local function copy_value(value, seen)
  local kind = type(value)
  if kind ~= "table" and kind ~= "userdata" then return value end
  local done = seen[value]
  if done ~= nil then return done end
  if kind == "userdata" then
    local result = value
    if torch.is_tensor(value) then
      result = copy_tensor(value, seen)
    elseif uninitialized.is_lazy(value) then
      result = uninitialized.copy(value)
    end
    seen[value] = result
    return result
  end
  local meta = getmetatable(value)
  if type(meta) == "table" and rawget(value, "__meta") then return value end -- a class
  local own = type(meta) == "table" and meta.__deepcopy__
  if own then
    local result = own(value, seen)
    seen[value] = result
    return result
  end
  local result = {}
  seen[value] = result
  for key, member in next, value do
    -- Tables as keys are private marks of a class (class identity), never copied.
    rawset(result, type(key) == "userdata" and copy_value(key, seen) or key, copy_value(member, seen))
  end
  return setmetatable(result, meta)
end

--- A deep copy of a tensor, module, table or plain value. Functions, dtypes and generators are shared. What stands in
--- `memo` (copies by original) is not copied again. A class may define __deepcopy__(self, memo).
function copy.deepcopy(value, memo) return copy_value(value, memo or {}) end

return copy
