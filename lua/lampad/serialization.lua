-- torch.load and torch.save: PyTorch's own files, and torch.serialization, where they are too.
--
-- Reading is done by the engine (tensor/io); nothing in a file is ever run, whatever weights_only says. What a file
-- holds becomes, in Lua:
--   dict, OrderedDict       a table with items() (lampad.dict); an ordered map (lampad.ordered_dict)
--   list, tuple             a sequence from 1; with None among its items also `n`, its length
--   set, frozenset          a table whose keys are the items (torch.save writes these four as what they were)
--   None, bool, int, float, str, bytes, complex   nil and Lua's own; an int past 64 bits becomes the nearest float
--   tensor, Parameter, numpy array                tensors; those that share a storage share it here
--   anything else           an inert record (lampad.inert)
-- A TorchScript archive becomes the ordered map of its module's parameters and buffers; its code is not read.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Dict = require "lampad.dict"
local Inert = require "lampad.inert"
local OrderedDict = require "lampad.ordered_dict"
local python_kind = require "lampad.python_kind"

local torch = core.torch
local M = {}

--- None: Python's None where Lua has no nil: the key None of a dict, a value that torch.save is to write as None.
M.None = Dict.None

-- Flags of tensor values (lampad/checkpoint.h).
local PARAMETER, REQUIRES_GRAD, CONJ, NEG, UNTYPED = 1, 2, 4, 8, 16
local MAX_DEPTH = 1000

-- --- loading ------------------------------------------------------------------------------------------------

local build

-- The values of a list of numbers, and how many.
local function build_all(reader, numbers, into)
  local count = #numbers
  for i = 1, count do into[i] = build(reader, numbers[i]) end
  return into, count
end

local function build_sequence(reader, number, numbers, kind)
  local list = python_kind.note({}, kind)
  reader.made[number] = list
  local _, count = build_all(reader, numbers, list)
  for i = 1, count do
    if list[i] == nil then
      list.n = count
      break
    end
  end
  return list
end

-- Python's None as a key.
local function key_of(reader, number)
  local key = build(reader, number)
  if key == nil then return Dict.None end
  return key
end

local function build_dict(reader, number, numbers)
  local keys, dict = {}, Dict.new()
  reader.made[number] = dict
  for i = 1, #numbers, 2 do keys[(i + 1) // 2] = key_of(reader, numbers[i]) end
  Dict.fill(dict, keys, function(i) return build(reader, numbers[2 * i]) end)
  return dict
end

local function build_ordered(reader, number, numbers, attributes)
  local map = OrderedDict()
  reader.made[number] = map
  for i = 1, #numbers, 2 do OrderedDict.put(map, key_of(reader, numbers[i]), build(reader, numbers[i + 1])) end
  local fields = attributes and build(reader, attributes)
  if type(fields) == "table" and fields._metadata ~= nil then rawset(map, "_metadata", fields._metadata) end
  return map
end

local function build_set(reader, number, numbers, kind)
  local set = python_kind.note({}, kind)
  reader.made[number] = set
  for _, item in ipairs(numbers) do set[Dict.stored_key(build(reader, item))] = true end
  return set
end

-- Where the caller wants a tensor that was saved on the device.
local function place(reader, tensor, device)
  local target = reader.map_location
  if type(target) == "function" then
    target = target(require("lampad.storage").untyped(tensor), device or "cpu")
    if type(target) == "table" then target = nil end -- the storage itself: as it is
  elseif type(target) == "table" then
    target = target[device or "cpu"]
  end
  if target == nil then return tensor end
  return tensor:to(torch.device(target))
end

local function build_tensor(reader, tensor, flags, device)
  tensor = place(reader, tensor, device)
  if flags & CONJ ~= 0 then tensor = tensor:conj():resolve_conj():clone() end
  if flags & NEG ~= 0 then tensor = tensor:neg() end
  local may_require = tensor:is_floating_point() or tensor:is_complex()
  local requires_grad = flags & REQUIRES_GRAD ~= 0 and may_require
  if flags & PARAMETER ~= 0 then return require "lampad.nn.parameter"(tensor, requires_grad) end
  if requires_grad then tensor:requires_grad_(true) end
  return tensor
end

local function build_record(reader, number, callee, arguments, kwargs, state, list, dict)
  local record = Inert.new {}
  reader.made[number] = record
  local function value(part) return part and build(reader, part) end
  local class = value(callee)
  record.class = type(class) == "table" and class.class or class
  record.args, record.kwargs, record.state = value(arguments), value(kwargs), value(state)
  record.list, record.dict = value(list), value(dict)
  return record
end

local function of_kind(builder, kind)
  return function(reader, number, numbers) return builder(reader, number, numbers, kind) end
end

local builders = {
  list = of_kind(build_sequence, "list"), tuple = of_kind(build_sequence, "tuple"), set = of_kind(build_set, "set"),
  frozenset = of_kind(build_set, "frozenset"), dict = build_dict,
  ordered_dict = build_ordered, record = build_record,
  size = function(reader, _, numbers)
    local sizes = {}
    for i, part in ipairs(numbers) do
      sizes[i] = build(reader, part)
      if math.type(sizes[i]) ~= "integer" then args.fail("load", "the file is damaged: a torch.Size of no integers") end
    end
    return torch.Size(sizes)
  end,
  device = function(_, _, name)
    local ok, device = pcall(torch.device, name)
    return ok and device or name
  end,
  global = function(_, _, name) return Inert.new { class = name } end,
  tensor = function(reader, _, tensor, flags, _, device) return build_tensor(reader, tensor, flags, device) end,
  storage = function(reader, _, tensor, flags, _, device)
    local storage = require "lampad.storage"
    tensor = place(reader, tensor, device)
    return flags & UNTYPED ~= 0 and storage.untyped(tensor) or storage.typed(tensor)
  end,
}

-- Values of these kinds are one Lua object wherever the file points at them.
function build(reader, number)
  local made = reader.made[number]
  if made ~= nil then return made end
  if reader.depth >= MAX_DEPTH then args.fail("load", "the file's values are nested deeper than %d", MAX_DEPTH) end
  reader.depth = reader.depth + 1
  local function finish(kind, ...)
    local builder = builders[kind]
    if not builder then return (...) end -- a value as it is
    local value = builder(reader, number, ...)
    reader.made[number] = value
    return value
  end
  local value = finish(core.checkpoint_node(reader.tree, number))
  reader.depth = reader.depth - 1
  return value
end

-- The weights of a TorchScript archive; of a frozen one, whose module has none, its constants.
local function script_weights(root)
  local weights = OrderedDict()
  if Inert.is(root.module) then weights = root.module:state_dict() end
  if #weights == 0 and type(root.constants) == "table" then
    for i = 1, root.constants.n or #root.constants do
      local value = root.constants[i]
      if torch.is_tensor(value) then weights["constants." .. i - 1] = value end
    end
  end
  return weights
end

-- The bytes of a file handle or of a function that gives them piece by piece; nil for a path.
local function bytes_of(source)
  if type(source) == "string" then
    -- No path has a zero byte; every file of a format that is read here has one.
    return source:find("\0", 1, true) and source or nil
  end
  if io.type(source) == "file" then return source:read "a" end
  if type(source) ~= "function" then
    args.fail("load", "argument 'f' must be a path, a string of bytes, an open file or a function that returns the next "
      .. "bytes, got %s", text.describe(source))
  end
  local parts = {}
  while true do
    local part = source()
    if part == nil or part == "" then return table.concat(parts) end
    if type(part) ~= "string" then
      args.fail("load", "the function must return strings, and nil at the end, got %s", text.describe(part))
    end
    parts[#parts + 1] = part
  end
end

local load_spec = args "load(any f, any map_location=nil, any pickle_module=nil, *, any weights_only=nil, bool mmap=false)"

--- load(f, map_location, {mmap = false}): what a file of torch.save holds: PyTorch's zip format, that of before 1.6, the
--- tar format before that, TorchScript archives; a safetensors or .npz file as an ordered map of tensors, a .npy file as a
--- tensor. The content says which it is. f: a path, the file's bytes as a string, an open file, or a function that
--- returns the next bytes. map_location: a device, a table from saved devices to devices, or a function (storage, device) ->
--- device or nil; without it tensors go to the CPU. mmap: tensors are the file's pages, read as they are touched; writing
--- to them changes memory only. weights_only is accepted: nothing is ever run. Errors: a file that is missing, damaged or
--- of another format.
function M.load(...)
  local f, map_location, _, _, mmap = load_spec(...)
  local bytes = bytes_of(f)
  if bytes and mmap then args.fail("load", "mmap = true needs a path") end
  local tree, message
  if bytes then
    tree, message = core.checkpoint_read(bytes)
  else
    tree, message = core.checkpoint_open(f, mmap)
  end
  if not tree then
    local name = bytes and "the bytes" or ("'%s'"):format(f)
    args.fail("load", "cannot load %s: %s", name, message)
  end
  local reader = { tree = tree, made = {}, depth = 0, map_location = map_location }
  local number, format = core.checkpoint_root(tree)
  local value = build(reader, number)
  core.checkpoint_close(tree)
  if format == "torchscript" then return script_weights(value) end
  return value
end

--- load_pickle(path): what a file of Python's pickle.dump holds, by the same rules; data sets come as such.
function M.load_pickle(path)
  local tree, message = core.pickle_open(path)
  if not tree then args.fail("load_pickle", "cannot load '%s': %s", path, message) end
  local value = build({ tree = tree, made = {}, depth = 0 }, (core.checkpoint_root(tree)))
  core.checkpoint_close(tree)
  return value
end

-- --- saving -------------------------------------------------------------------------------------------------

local add

local function fail_at(writer, value, why)
  local path = table.concat(writer.path)
  args.fail("save", "cannot save %s%s%s", text.describe(value), path == "" and "" or " at obj" .. path, why or "")
end

local function add_at(writer, step, value)
  local path = writer.path
  if #path >= MAX_DEPTH then args.fail("save", "tables are nested deeper than %d", MAX_DEPTH) end
  path[#path + 1] = type(step) == "string" and "." .. step or ("[%s]"):format(tostring(step))
  local number = add(writer, value)
  path[#path] = nil
  return number
end

local noted_length

-- Keys are what Python can have as keys: a list is a tuple.
local function add_key(writer, key)
  local kind = type(key)
  if writer.keys[key] then return writer.keys[key] end
  if key == Dict.None then return core.checkpoint_add(writer.tree, nil) end
  if kind == "string" or kind == "number" or kind == "boolean" then return add(writer, key) end
  local number
  if kind == "userdata" and not torch.is_tensor(key) then number = core.checkpoint_add(writer.tree, key) end
  local length = kind == "table" and getmetatable(key) == nil and python_kind.of(key) ~= "frozenset" and noted_length(key)
  if kind == "table" and python_kind.of(key) == "frozenset" then
    number = core.checkpoint_add_container(writer.tree, "frozenset")
    for item in next, key do core.checkpoint_append(writer.tree, number, add_key(writer, item)) end
  elseif length then
    number = core.checkpoint_add_container(writer.tree, "tuple")
    if #writer.path >= MAX_DEPTH then args.fail("save", "tables are nested deeper than %d", MAX_DEPTH) end
    writer.path[#writer.path + 1] = "[a key]"
    for i = 1, length do
      local item = key[i]
      if item == nil then item = Dict.None end
      core.checkpoint_append(writer.tree, number, add_key(writer, item))
    end
    writer.path[#writer.path] = nil
  end
  if not number then fail_at(writer, key, " as a key") end
  if kind == "table" then writer.keys[key] = number end
  return number
end

local function add_entry(writer, container, key, value)
  core.checkpoint_append(writer.tree, container, add_key(writer, key), add_at(writer, key, value))
end

-- The length when the keys are those of a list (table.pack's `n` counts too, for nil among the items), else nil.
local function list_length(t)
  local count, most, n = 0, 0, nil
  for key, value in next, t do
    if key == "n" and math.type(value) == "integer" then
      n = value
    elseif math.type(key) == "integer" and key >= 1 then
      count, most = count + 1, math.max(most, key)
    else
      return nil
    end
  end
  if n then return count > 0 and most <= n and n <= 2 * count + 1000 and n or nil end
  return count > 0 and most == count and count or nil
end

-- The length of a table that came as a list or tuple, and may be empty or hold only None.
function noted_length(t)
  local key = next(t)
  if key == nil then return 0 end
  if key == "n" and next(t, key) == nil and math.type(t.n) == "integer" and t.n >= 0 then return t.n end
  return list_length(t)
end

local function is_set(t)
  for _, value in next, t do
    if value ~= true then return false end
  end
  return true
end

-- Integers, then strings, then the others: the same data gives the same file.
local ranks = { number = 1, string = 2, boolean = 3 }
local function before(a, b)
  local x, y = ranks[type(a)] or 4, ranks[type(b)] or 4
  if x ~= y then return x < y end
  if x <= 2 then return a < b end
  return tostring(a) < tostring(b)
end

local function sorted_keys(t)
  local keys = {}
  for key in next, t do keys[#keys + 1] = key end
  table.sort(keys, before)
  return keys
end

-- PyTorch's weights_only knows sets, but no frozensets.
local function add_set(writer, t)
  local number = core.checkpoint_add_container(writer.tree, "set")
  writer.made[t] = number
  for _, key in ipairs(sorted_keys(t)) do core.checkpoint_append(writer.tree, number, add_key(writer, key)) end
  return number
end

local function add_table(writer, t)
  local tree = writer.tree
  local storage = package.loaded["lampad.storage"]
  if storage and storage.is_storage(t) then
    local row = storage.tensor_of(t, t.dtype)
    return core.checkpoint_add_storage(tree, row, storage.kind_of(t) == "UntypedStorage")
  end
  if t == Dict.None then return core.checkpoint_add(tree, nil) end
  if OrderedDict.is(t) then
    local number = core.checkpoint_add_container(tree, "ordered_dict")
    writer.made[t] = number
    for key, value in OrderedDict.items(t) do add_entry(writer, number, key, value) end
    local metadata = rawget(t, "_metadata")
    if metadata ~= nil then
      local fields = core.checkpoint_add_container(tree, "dict")
      add_entry(writer, fields, "_metadata", metadata)
      core.checkpoint_attributes(tree, number, fields)
    end
    return number
  end
  if not Dict.is(t) and getmetatable(t) ~= nil then
    fail_at(writer, t, (Inert.is(t) and ", which only another program understands")
      or (t.state_dict and "; save its state_dict() instead"))
  end
  local kind, length = python_kind.of(t), nil
  if kind == "list" or kind == "tuple" then
    length = noted_length(t)
  elseif (kind == "set" or kind == "frozenset") and is_set(t) then
    return add_set(writer, t)
  elseif not (Dict.is(t) and Dict.has_order(t)) then
    length = list_length(t)
  end
  local number = core.checkpoint_add_container(tree, length and (kind == "tuple" and "tuple" or "list") or "dict")
  writer.made[t] = number
  if length then
    for i = 1, length do core.checkpoint_append(tree, number, add_at(writer, i, t[i])) end
    return number
  end
  if Dict.is(t) then
    for key, value in Dict.items(t) do add_entry(writer, number, key, value) end
    return number
  end
  for _, key in ipairs(sorted_keys(t)) do add_entry(writer, number, key, t[key]) end
  return number
end

local function add_tensor(writer, t)
  local flags = 0
  if require("lampad.nn.parameter").is(t) then flags = PARAMETER end
  if t.requires_grad then flags = flags | REQUIRES_GRAD end
  return core.checkpoint_add_tensor(writer.tree, t:cpu(), flags)
end

function add(writer, value)
  local kind = type(value)
  if kind == "string" then return core.checkpoint_add(writer.tree, value, not utf8.len(value)) end
  if kind ~= "table" and kind ~= "userdata" then
    return core.checkpoint_add(writer.tree, value) or fail_at(writer, value)
  end
  local number = writer.made[value]
  if number then return number end
  if kind == "table" then return add_table(writer, value) end
  number = torch.is_tensor(value) and add_tensor(writer, value) or core.checkpoint_add(writer.tree, value)
  if not number then
    fail_at(writer, value, torch.isinstance(value, torch.Generator) and "; save its get_state() instead" or nil)
  end
  writer.made[value] = number
  return number
end

local save_spec = args "save(any? obj, str f)"

--- save(obj, f): writes PyTorch's zip format, which torch.load(f, weights_only=True) of PyTorch reads. obj: tables (with
--- keys 1 to n they become lists, else dicts; an empty one is an empty dict), ordered maps, tensors, Parameters, numbers,
--- booleans, strings, dtypes, devices, sizes, nested in any way; tensors that share a storage share it in the file. The
--- file is written under another name, synced to the disk and renamed: on an error the old file is as it was.
function M.save(...)
  local obj, f = save_spec(...)
  local tree = core.checkpoint_new()
  local number = add({ tree = tree, made = {}, keys = {}, path = {} }, obj)
  local ok, message = core.checkpoint_write(tree, number, f)
  core.checkpoint_close(tree)
  if not ok then args.fail("save", "%s", message) end
end

return M
