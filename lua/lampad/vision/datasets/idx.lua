-- The IDX format of MNIST: two zero bytes, a type code, the number of dims, the dims (big-endian
-- 32-bit), then the values row by row. Files may be gzipped. Every fault gives an error that names the
-- file. Source: the format's page at yann.lecun.com/exdb/mnist.
local core = require "lampad.core"
local args = require "lampad.args"

local idx = {}

local UINT8 = 0x08 -- the only type code MNIST files use
local MAX_BYTES = 1 << 31

local function bad(what, path, format, ...)
  args.fail(what, "%s " .. format, path, ...)
end

--- Reads a file of unsigned bytes into a uint8 tensor. `ndim` is the number of dims it must have; `what`
--- stands in front of errors.
function idx.read(path, ndim, what)
  local bytes, message = core.read_gz(path, MAX_BYTES)
  if not bytes then args.fail(what, "%s", message) end
  if #bytes < 4 then bad(what, path, "is no IDX file: it has only %d bytes", #bytes) end
  local zero, code, dims = (">I2BB"):unpack(bytes)
  if zero ~= 0 or code ~= UINT8 then
    bad(what, path, "is no IDX file of bytes: it starts with %02x %02x %02x %02x, expected 00 00 08 %02x",
      bytes:byte(1), bytes:byte(2), code, dims, ndim)
  end
  if dims ~= ndim then
    bad(what, path, "has %d dims, expected %d (%s)", dims, ndim, ndim == 1 and "labels" or "images")
  end
  if #bytes < 4 + 4 * dims then bad(what, path, "is truncated: it ends in its header") end
  local sizes, need = {}, 1
  for d = 1, dims do
    sizes[d] = (">I4"):unpack(bytes, 1 + 4 * d)
    need = need * sizes[d]
    if need > MAX_BYTES then bad(what, path, "is corrupted: its header claims more than %d values", MAX_BYTES) end
  end
  local have = #bytes - 4 - 4 * dims
  if have < need then
    bad(what, path, "is truncated: it has %d of the %d values its header (%s) announces", have, need,
      table.concat(sizes, " x "))
  end
  if have > need then
    bad(what, path, "is corrupted: %d bytes follow the %d values its header announces", have - need, need)
  end
  return core.tensor_from_bytes(bytes, core.torch.uint8, sizes, 4 + 4 * dims)
end

return idx
