-- The memory behind tensors as Lua values: x:storage() (TypedStorage, elements of x's dtype) and x:untyped_storage()
-- (UntypedStorage, bytes). A storage is a row of numbers without shape; indices count from 0 (s[0], s[-1]).
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"

local torch = core.torch
local M = {}

local Storage = {}
local kinds = {} -- storage -> "TypedStorage" or "UntypedStorage"
setmetatable(kinds, { __mode = "k" })

local function row_of(s) return rawget(s, "_row") end

-- --- text -----------------------------------------------------------------------------------------------

local function storage_text(s)
  local row, lines = row_of(s), {}
  for i, v in ipairs(row:tolist()) do lines[i] = " " .. text.repr(v) end
  local dtype = kinds[s] == "TypedStorage" and ("dtype=%s, "):format(tostring(row.dtype)) or ""
  lines[#lines + 1] = ("[torch.storage.%s(%sdevice=%s) of size %d]"):format(kinds[s], dtype, tostring(row.device),
    row:numel())
  return table.concat(lines, "\n")
end

-- --- the object --------------------------------------------------------------------------------------------

local meta

-- row: a 1-d tensor over all of the storage.
local function new(kind, row)
  local s = setmetatable({ _row = row }, meta)
  kinds[s] = kind
  return s
end

local function check_place(s, i)
  local n = row_of(s):numel()
  if math.type(i) ~= "integer" then
    args.fail("storage", "indices must be integers, got %s", text.describe(i))
  end
  if i < -n or i >= n then args.fail("storage", "index %d is out of range for a storage of %d elements", i, n) end
  return i < 0 and i + n or i
end

meta = {
  __name = "torch.storage",
  __len = function(s) return row_of(s):numel() end,
  __tostring = storage_text,
  __index = function(s, key)
    if type(key) == "number" then return row_of(s)[check_place(s, key)]:item() end
    if key == "dtype" then return row_of(s).dtype end
    if key == "device" then return row_of(s).device end
    return Storage[key]
  end,
  __newindex = function(s, key, value)
    if type(key) ~= "number" then args.fail("storage", "has no field '%s' to set", tostring(key)) end
    row_of(s)[check_place(s, key)] = value
  end,
  __eq = function(a, b)
    if not (kinds[a] and kinds[b]) then return false end
    return row_of(a):data_ptr() == row_of(b):data_ptr() and #a == #b
  end,
}

--- The number of elements (bytes, when untyped).
function Storage:size() return row_of(self):numel() end
Storage.len = Storage.size
function Storage:nbytes() return row_of(self).nbytes end
function Storage:element_size() return row_of(self):element_size() end
function Storage:data_ptr() return row_of(self):data_ptr() end
function Storage:tolist() return row_of(self):tolist() end
function Storage:get_device() return row_of(self):get_device() end
function Storage:is_shared() return core.is_shared(row_of(self)) end
function Storage:is_pinned() return false end
function Storage:cpu() return self end
function Storage:clone() return new(kinds[self], row_of(self):clone()) end
function Storage:untyped() return new("UntypedStorage", core.storage_tensor(row_of(self), torch.uint8)) end

--- Moves the memory to where processes forked later share it.
function Storage:share_memory_()
  core.share_memory(row_of(self))
  return self
end

--- Copies another storage's elements (converted) into this one; both have the same length.
function Storage:copy_(source)
  if not M.is_storage(source) then
    args.fail("storage.copy_", "argument 'source' must be a storage, got %s", text.describe(source))
  end
  if #source ~= #self then
    args.fail("storage.copy_", "source has %d elements, this storage %d", #source, #self)
  end
  row_of(self):copy_(row_of(source))
  return self
end

function Storage:fill_(value)
  row_of(self):fill_(value)
  return self
end

--- Makes the memory at least `size` elements long; tensors over it stay as they are. It does not shrink.
function Storage:resize_(size)
  if math.type(size) ~= "integer" or size < 0 then
    args.fail("storage.resize_", "argument 'size' must be an integer of at least 0, got %s",
      text.describe(size))
  end
  if size > #self then row_of(self):resize_(size) end
  return self
end

--- The name that PyTorch gives the type: "torch.FloatStorage"; "torch.storage.UntypedStorage".
function Storage:type()
  if kinds[self] == "UntypedStorage" then return "torch.storage.UntypedStorage" end
  return (require("lampad.tensor_methods").type_name(row_of(self)):gsub("Tensor$", "Storage"))
end

for name, dtype in pairs { float = "float32", double = "float64", half = "float16", bfloat16 = "bfloat16", int = "int32",
  long = "int64", short = "int16", char = "int8", byte = "uint8", bool = "bool" } do
  Storage[name] = function(self) return new("TypedStorage", row_of(self):to(torch[dtype]):clone()) end
end

-- --- for tensors ---------------------------------------------------------------------------------------------

--- x:storage()
function M.typed(x) return new("TypedStorage", core.storage_tensor(x, x.dtype)) end
--- x:untyped_storage()
function M.untyped(x) return new("UntypedStorage", core.storage_tensor(x, torch.uint8)) end
--- Whether a value is a storage: torch.is_storage.
function M.is_storage(v) return type(v) == "table" and kinds[v] ~= nil end
--- The 1-d tensor of a storage's elements, in the dtype.
function M.tensor_of(s, dtype) return core.storage_tensor(row_of(s), dtype) end
function M.kind_of(s) return kinds[s] end

return M
