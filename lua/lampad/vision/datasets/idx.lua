-- The IDX format of MNIST: two zero bytes, a type code, the number of dims, the dims (big-endian 32-bit), then the values row
-- by row, big-endian. Files may be packed (gzip; xz and bzip2 by name). Every fault gives an error that names the file. Source:
-- the format's page at yann.lecun.com/exdb/mnist.
local core = require "lampad.core"
local args = require "lampad.args"

local torch = core.torch
local idx = {}

local MAX_BYTES = 1 << 31
local types = { [0x08] = { torch.uint8, 1 }, [0x09] = { torch.int8, 1 }, [0x0B] = { torch.int16, 2 }, [0x0C] = { torch.int32, 4 },
  [0x0D] = { torch.float32, 4 }, [0x0E] = { torch.float64, 8 } }

local function bad(what, path, format, ...)
  args.fail(what, "%s " .. format, path, ...)
end

local function read_bytes(path, what)
  local bytes, message
  if path:find "%.xz$" or path:find "%.bz2$" then
    bytes, message = core.read_packed(path, MAX_BYTES)
    if bytes then bytes = core.tensor_to_bytes(bytes) end
  else
    bytes, message = core.read_gz(path, MAX_BYTES)
  end
  if not bytes then args.fail(what, "%s", message) end
  return bytes
end

--- Reads a file of bytes, or of the numbers of another type code (0x0C: int32), into a tensor. `ndim` is the number of dims it
--- must have; `what` stands in front of errors.
function idx.read(path, ndim, what, wanted)
  wanted = wanted or 0x08
  local bytes = read_bytes(path, what)
  if #bytes < 4 then bad(what, path, "is no IDX file: it has only %d bytes", #bytes) end
  local zero, code, dims = (">I2BB"):unpack(bytes)
  if zero ~= 0 or code ~= wanted then
    bad(what, path, "is no IDX file of %s: it starts with %02x %02x %02x %02x, expected 00 00 %02x %02x",
      wanted == 0x08 and "bytes" or tostring(types[wanted][1]), bytes:byte(1), bytes:byte(2), code, dims, wanted, ndim)
  end
  if dims ~= ndim then
    bad(what, path, "has %d dims, expected %d (%s)", dims, ndim, ndim == 3 and "images" or "labels")
  end
  if #bytes < 4 + 4 * dims then bad(what, path, "is truncated: it ends in its header") end
  local dtype, size = table.unpack(types[code])
  local sizes, need = {}, 1
  for d = 1, dims do
    sizes[d] = (">I4"):unpack(bytes, 1 + 4 * d)
    need = need * sizes[d]
    if need > MAX_BYTES then bad(what, path, "is corrupted: its header claims more than %d values", MAX_BYTES) end
  end
  local have = (#bytes - 4 - 4 * dims) // size
  if have < need then
    bad(what, path, "is truncated: it has %d of the %d values its header (%s) announces", have, need,
      table.concat(sizes, " x "))
  end
  if #bytes - 4 - 4 * dims > need * size then
    bad(what, path, "is corrupted: %d bytes follow the %d values its header announces", #bytes - 4 - 4 * dims - need * size, need)
  end
  if size == 1 then return core.tensor_from_bytes(bytes, dtype, sizes, 4 + 4 * dims) end
  local swapped = core.tensor_from_bytes(bytes, torch.uint8, { need, size }, 4 + 4 * dims):flip(1):contiguous()
  return swapped:view(dtype):reshape(sizes)
end

return idx
