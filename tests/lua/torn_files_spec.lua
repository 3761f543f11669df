-- Files that are torn: cut at every length, and written by processes that are killed at any moment or may write no more. A cut
-- file is refused; where a file was being written, the old one or the whole new one is there.
-- LAMPAD_KILLS sets the number of processes that are killed for each format (default 6).
local torch = require "lampad"
local command = require "command"

local root = arg and arg[0] and arg[0]:match("^(.*)/tests/lua/") or "."
local golden = root .. "/tests/golden/"
local kills = tonumber(os.getenv "LAMPAD_KILLS" or 6)

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function write(path, bytes)
  local file <close> = assert(io.open(path, "wb"))
  file:write(bytes)
end

local function run(script)
  local out <close> = assert(io.popen(script .. " 2>&1"))
  return out:read "a"
end

describe("files cut short", function()
  after_each(command.clean)

  local function refused_at_every_length(bytes, load, last)
    for length = 0, last or #bytes - 1 do
      local ok, message = pcall(load, bytes:sub(1, length))
      assert.is_false(ok, ("cut to %d of %d bytes it loads"):format(length, #bytes))
      assert.is_string(message)
      assert.is_nil(message:find "attempt to")
    end
    load(bytes)
  end

  -- As a file, for a text without a zero byte would be taken for a path.
  local path
  local function load_file(bytes)
    write(path, bytes)
    return torch.load(path)
  end

  for _, name in ipairs { "training.pt", "values_4.pt", "dtypes_deflated.pt", "script_frozen.pt", "values_legacy.pt" } do
    it("are refused: " .. name, function()
      path = command.new_folder() .. "/cut"
      refused_at_every_length(read(golden .. "checkpoints/" .. name), load_file)
    end)
  end

  it("are refused when mapped", function()
    path = command.new_folder() .. "/cut"
    refused_at_every_length(read(golden .. "checkpoints/training.pt"), function(bytes)
      write(path, bytes)
      return torch.load(path, { mmap = true })
    end)
  end)

  it("are refused: safetensors, npy, npz", function()
    path = command.new_folder() .. "/cut"
    refused_at_every_length(read(golden .. "files/plain.safetensors"), torch.safetensors.load)
    refused_at_every_length(read(golden .. "files/fortran.npy"), torch.from_numpy)
    local npz = read(root .. "/tests/fuzz/corpus/npz/deflated.npz")
    refused_at_every_length(npz, function(bytes)
      write(path, bytes)
      for _, t in pairs(torch.numpy.load(path)) do assert(torch.is_tensor(t)) end
    end)
  end)

  it("are refused: the tar format up to its last member", function()
    path = command.new_folder() .. "/cut"
    local sample = root .. "/../shared/data/weights/pt-format-samples/burn_reader/tar_weight_bias.tar"
    local file = io.open(sample, "rb")
    if not file then return pending("skipped: " .. sample .. " is not there") end
    local bytes = file:read "a"
    file:close()
    local whole = #bytes:gsub("%z+$", "") -- tar fills up with zeros
    refused_at_every_length(bytes, load_file, whole - 1)
  end)
end)

-- --- writers that do not come to their end ------------------------------------------------------------------------

-- format -> how a child saves value k to PATH, and how the value is read.
local formats = {
  pt = { save = "torch.save({ epoch = k, data = { x, x[':100'] } }, PATH)", load = function(path)
    local value = torch.load(path)
    return value.epoch, value.data[1]
  end },
  safetensors = { save = "torch.safetensors.save_file({ x = x }, PATH, { epoch = tostring(k) })", load = function(path)
    local f <close> = torch.safetensors.safe_open(path)
    return math.tointeger(f:metadata().epoch), f:get_tensor "x"
  end },
  npy = { save = "torch.numpy.save(PATH, x)", load = function(path)
    local x = torch.numpy.load(path)
    return math.tointeger(x[0]:item()), x
  end },
  npz = { save = "torch.numpy.savez(PATH, x, { epoch = torch.tensor(k) })", load = function(path)
    local arrays = torch.numpy.load(path)
    return arrays.epoch:item(), arrays.arr_0
  end },
}
local order = { "pt", "safetensors", "npy", "npz" }

-- The script of a child that saves the numbers from first to last to the path, each `count` times; where it lies.
local function child(format, path, count, first, last)
  local script = command.new_folder() .. "/child.lua"
  local loop = "local torch = require 'lampad' for k = %d, %d do local x = torch.full({ %d }, k, { dtype = torch.float64 }) %s end"
  write(script, loop:format(first, last, count, formats[format].save:gsub("PATH", function() return ("%q"):format(path) end)))
  return script
end

local function whole_value(format, path)
  local epoch, x = formats[format].load(path)
  assert.is_true(x:eq(epoch):all():item())
  return epoch
end

local function left_in(dir) return select(2, run(("ls -A '%s'"):format(dir)):gsub("%.lampad%-[^\n]*", "")) end

describe("writers that are stopped", function()
  after_each(command.clean)

  for _, format in ipairs(order) do
    it("killed at any moment, leave a whole file: " .. format, function()
      local dir = command.new_folder()
      local path = dir .. "/a." .. format
      run(("'%s' '%s'"):format(command.path, child(format, path, 200000, 1, 1)))
      local last, changes = 1, 0
      for i = 1, kills do
        local code = child(format, path, 200000, last + 1, last + 100000)
        run(("'%s' '%s' > /dev/null 2>&1 & pid=$!; sleep %.3f; kill -KILL $pid; wait $pid 2>/dev/null"):format(command.path,
          code, 0.05 + 0.3 * math.random()))
        local epoch = whole_value(format, path)
        assert.is_true(epoch >= last)
        if epoch > last then changes = changes + 1 end
        last = epoch
        assert.is_true(left_in(dir) <= i)
      end
      assert.is_true(changes > 0 or kills < 3)
    end)

    it("that may write no more, leave the old file: " .. format, function()
      local dir = command.new_folder()
      local path = dir .. "/a." .. format
      run(("'%s' '%s'"):format(command.path, child(format, path, 1000, 7, 7)))
      local old = read(path)
      local failures = 0
      for _, limit in ipairs { 0, 1, 7, 8, 100, 300, 312, 313, 400 } do -- in blocks of 512 bytes; the file has 160,000 bytes and more
        local code = child(format, path, 20000, 8, 8)
        local text = run(("trap '' XFSZ; ulimit -f %d; '%s' '%s'"):format(limit, command.path, code))
        if text ~= "" then
          failures = failures + 1
          assert.matches("cannot write .*File too large; the file was left as it was", text)
          assert.equal(old, read(path))
        else
          assert.equal(8, whole_value(format, path))
          write(path, old)
        end
        assert.equal(0, left_in(dir))
      end
      assert.is_true(failures >= 6 and failures < 9)
    end)
  end
end)
