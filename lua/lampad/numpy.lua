-- torch.numpy: NumPy's files, with NumPy's names: load, save, savez, savez_compressed.
-- The formats: numpy.org/doc/stable/reference/generated/numpy.lib.format.html. Pickled objects are never read.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local OrderedDict = require "lampad.ordered_dict"

local torch = core.torch
local numpy = {}

local function starts_as_zip(filename)
  local file = io.open(filename, "rb")
  local head = file and file:read(4)
  if file then file:close() end
  return head == "PK\3\4" or head == "PK\5\6"
end

local load_spec = args "numpy.load(str file, any mmap_mode=nil, bool allow_pickle=false)"
--- The array of a .npy file as a tensor, or the arrays of a .npz archive as an ordered map name -> tensor; told apart by
--- content. bool, int8 to int64, uint8, float16 to float64, complex64 and complex128, in any byte order; an array in
--- Fortran's order gives a tensor with its strides. mmap_mode = "c" (or "r") maps a .npy file instead of reading it; writes
--- to the tensor stay in memory.
function numpy.load(...)
  local file, mmap_mode, allow_pickle = load_spec(...)
  if mmap_mode ~= nil and mmap_mode ~= "c" and mmap_mode ~= "r" then
    args.fail("numpy.load", "argument 'mmap_mode' must be \"c\", \"r\" or nil, got %s", text.describe(mmap_mode))
  end
  if allow_pickle then
    args.fail("numpy.load", "argument 'allow_pickle' must be false: pickled objects can run code and are never read")
  end
  if not starts_as_zip(file) then return core.npy_load(file, mmap_mode ~= nil) end
  local names, tensors = core.npz_load(file)
  local result = OrderedDict()
  for i, name in ipairs(names) do result[name] = tensors[i] end
  return result
end

-- The tensor of what may be saved: a tensor, a number, a boolean, a nested list of them.
local function array_of(what, name, value)
  if type(value) == "userdata" and torch.is_tensor(value) then return value end
  if type(value) == "number" or type(value) == "boolean" or type(value) == "table" and not OrderedDict.is(value) then
    return torch.tensor(value)
  end
  args.fail(what, "argument '%s' must be a tensor, a number or a list of numbers, got %s", name, text.describe(value))
end

local function with_suffix(what, file, suffix)
  if type(file) ~= "string" then args.fail(what, "argument 'file' must be a string, got %s", text.describe(file)) end
  return file:sub(-#suffix) == suffix and file or file .. suffix
end

--- save(file, arr): writes a tensor, byte by byte as NumPy would. ".npy" is added to a name without it. The file appears
--- under its name once all of it is on the disk.
function numpy.save(file, arr)
  core.npy_save(with_suffix("numpy.save", file, ".npy"), array_of("numpy.save", "arr", arr))
end

-- Arrays by position are arr_0, arr_1, ...; a last plain table with names, or an ordered map, gives named ones.
local function write_archive(what, compress, file, ...)
  local given, names, tensors = table.pack(...), {}, {}
  local function add(name, value)
    names[#names + 1], tensors[#tensors + 1] = name, array_of(what, name, value)
  end
  local last = given[given.n]
  local named = OrderedDict.is(last) and last or args.is_named(last) and next(last) ~= nil and last
  local taken = {}
  for i = 1, named and given.n - 1 or given.n do
    local name = ("arr_%d"):format(i - 1)
    taken[name] = true
    add(name, given[i])
  end
  if named then
    for name, value in OrderedDict.items(OrderedDict(named)) do
      if type(name) ~= "string" then
        args.fail(what, "names of arrays must be strings, got %s", text.describe(name))
      end
      if taken[name] then args.fail(what, "the array '%s' is given twice, by position and by name", name) end
      add(name, value)
    end
  end
  core.npz_save(with_suffix(what, file, ".npz"), names, tensors, compress, what)
end

--- savez(file, a, b, {name = c}): writes several tensors into one archive, named arr_0, arr_1, ... and by their names.
--- savez(file, map) writes a map. ".npz" is added to a name without it.
function numpy.savez(file, ...) write_archive("numpy.savez", false, file, ...) end

--- The same, compressed.
function numpy.savez_compressed(file, ...) write_archive("numpy.savez_compressed", true, file, ...) end

return numpy
