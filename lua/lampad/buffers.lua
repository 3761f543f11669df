-- Tensors from bytes: torch.frombuffer, from_numpy, from_file.
local core = require "lampad.core"
local args = require "lampad.args"

local torch = core.torch
local M = {}

-- The bytes text[offset, offset + count * itemsize) as a 1-d tensor.
local function from_bytes(text, dtype, count, offset)
  if dtype == torch.bool then return core.tensor_from_bytes(text, torch.uint8, { count }, offset):ne(0) end
  return core.tensor_from_bytes(text, dtype, { count }, offset)
end

local buffer_spec = args [[frombuffer(str buffer, *, dtype dtype, int count=-1, int offset=0, bool requires_grad=false)]]

--- A 1-d tensor of the elements that a string's bytes stand for, from byte `offset` on; count -1: as many as there are.
--- Strings of Lua cannot change, so the tensor holds a copy.
function M.frombuffer(...)
  local buffer, dtype, count, offset, requires_grad = buffer_spec(...)
  local length, item = #buffer, dtype.itemsize
  if length == 0 or count == 0 then
    args.fail("frombuffer", "both buffer length (%d) and count (%d) must not be 0", length, count)
  end
  if offset < 0 or offset >= length then
    args.fail("frombuffer", "offset (%d bytes) must be non-negative and no greater than buffer length (%d bytes) minus 1",
      offset, length)
  end
  if count < 0 then
    if (length - offset) % item ~= 0 then
      args.fail("frombuffer", "buffer length (%d bytes) after offset (%d bytes) must be a multiple of element size (%d)",
        length - offset, offset, item)
    end
    count = (length - offset) // item
  elseif count > (length - offset) // item then
    args.fail("frombuffer", "requested buffer length (%d * %d bytes) after offset (%d bytes) must not be greater than "
      .. "actual buffer length (%d bytes)", count, item, offset, length)
  end
  local result = from_bytes(buffer, dtype, count, offset)
  return requires_grad and result:requires_grad_() or result
end

-- --- from_numpy ---------------------------------------------------------------------------------------

local numpy_spec = args "from_numpy(any ndarray)"

--- A tensor from the text of a .npy file (as numpy.save writes it), or from a nested table of numbers.
function M.from_numpy(...)
  local array = numpy_spec(...)
  if type(array) == "string" then
    if array:sub(1, 6) ~= "\x93NUMPY" then
      args.fail("from_numpy", "expected the text of a .npy file, which begins with \\x93NUMPY; for raw bytes use "
        .. "torch.frombuffer")
    end
    return core.npy_parse(core.tensor_from_bytes(array, torch.uint8, { #array }))
  end
  if type(array) ~= "table" then
    args.fail("from_numpy", "expected a nested table of numbers or the text of a .npy file, got %s",
      require("lampad.text").describe(array))
  end
  return torch.tensor(array)
end

-- --- from_file ------------------------------------------------------------------------------------------

local file_spec = args [[from_file(str filename, bool? shared=nil, int size=0, *, dtype dtype=nil, any layout=nil,
  any device=nil, bool pin_memory=false, bool requires_grad=false)]]

--- A 1-d tensor of `size` elements over a file's memory. With shared = true writes go to the file, which is made, or made
--- larger, when need be; else the file is only read.
function M.from_file(...)
  local filename, shared, size, dtype, _, device, _, requires_grad = file_spec(...)
  if device ~= nil and tostring(torch.device(device)) ~= "cpu" then
    args.fail("from_file", "files are mapped on the CPU only, got device %s", tostring(device))
  end
  local result = core.file_tensor(filename, shared or false, size, dtype or torch.get_default_dtype())
  return requires_grad and result:requires_grad_() or result
end

return M
