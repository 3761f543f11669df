-- torch.safetensors: reading and writing files in the safetensors format, with the names of the Python package's
-- safetensors.torch (github.com/huggingface/safetensors). Nothing in such a file is code. Tensors that are read lie over
-- the mapped file: nothing is copied until it is used, and writing to them does not change the file.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local OrderedDict = require "lampad.ordered_dict"

local torch = core.torch
local safetensors = {}

-- --- reading ----------------------------------------------------------------------------------------------

local File, Slice = {}, {}
File.__index, File.__name = File, "safetensors.safe_open"

local function check_device(what, device)
  if device ~= nil and tostring(torch.device(device)) ~= "cpu" then
    args.fail(what, "argument 'device' must be \"cpu\", got %s", tostring(device))
  end
end

local function missing(self, what, name)
  if type(name) ~= "string" then args.fail(what, "argument 'name' must be a string, got %s", text.describe(name)) end
  local near = text.nearest(name, core.safetensors_names(self.handle))
  args.fail(what, "the file has no tensor '%s'%s", name, near and ("; did you mean '%s'?"):format(near) or "")
end

local function tensor_of(self, what, name)
  local tensor = type(name) == "string" and core.safetensors_tensor(self.handle, name, what)
  return tensor or missing(self, what, name)
end

--- The names, sorted.
function File:keys()
  local names = core.safetensors_names(self.handle)
  table.sort(names)
  return names
end

--- The names in the order of their bytes in the file.
function File:offset_keys() return core.safetensors_names(self.handle) end

--- The texts that were saved with the tensors, a table, or nil.
function File:metadata() return core.safetensors_metadata(self.handle) end

--- The tensor of a name.
function File:get_tensor(name) return tensor_of(self, "get_tensor", name) end

local function all_tensors(self, what)
  local result = OrderedDict()
  for _, name in ipairs(core.safetensors_names(self.handle)) do result[name] = tensor_of(self, what, name) end
  return result
end

--- All tensors, an ordered map in the order of the file.
function File:get_tensors() return all_tensors(self, "get_tensors") end

--- A tensor that is not made yet: slice:get_shape(), slice:get_dtype(), and indexing as a tensor, slice["0:2"].
function File:get_slice(name)
  local kind, sizes
  if type(name) == "string" then kind, sizes = core.safetensors_info(self.handle, name) end
  if not kind then missing(self, "get_slice", name) end
  return setmetatable({ file = self, name = name, kind = kind, sizes = sizes }, Slice)
end

--- Closes the file; tensors taken from it stay valid. `local f <close> = safe_open(path)` does it by itself.
function File:close() core.safetensors_close(self.handle) end
File.__close = File.close

local slice_methods = {}
--- The sizes, a list.
function slice_methods.get_shape(slice) return { table.unpack(rawget(slice, "sizes")) } end
--- The type as the format names it: "F32".
function slice_methods.get_dtype(slice) return rawget(slice, "kind") end

function Slice.__index(slice, key)
  local method = slice_methods[key]
  if method then return method end
  return tensor_of(rawget(slice, "file"), "get_slice", rawget(slice, "name"))[key]
end

-- backend: "mmap" maps the file, "pread" reads it whole.
local function open(what, filename, backend)
  if backend ~= "mmap" and backend ~= "pread" then
    args.fail(what, "argument 'backend' must be \"mmap\" or \"pread\", got \"%s\"", backend)
  end
  return setmetatable({ handle = core.safetensors_open(filename, what, backend == "mmap") }, File)
end

local open_spec = args "safe_open(str filename, str framework='pt', any device=nil, *, str backend='mmap')"
--- Opens a file without reading its tensors; the result has keys(), offset_keys(), metadata(), get_tensor(name),
--- get_slice(name), get_tensors(), close(). Raises when the file breaks a rule of the format.
function safetensors.safe_open(...)
  local filename, framework, device, backend = open_spec(...)
  if framework ~= "pt" and framework ~= "torch" and framework ~= "pytorch" then
    args.fail("safe_open", "argument 'framework' must be \"pt\", got \"%s\"", framework)
  end
  check_device("safe_open", device)
  return open("safe_open", filename, backend)
end

local load_file_spec = args "load_file(str filename, any device=nil, *, str backend='mmap')"
--- All tensors of a file, an ordered map name -> tensor. backend = "pread" reads the file instead of mapping it: a mapped
--- file must not be cut short by others while its tensors are in use.
function safetensors.load_file(...)
  local filename, device, backend = load_file_spec(...)
  check_device("load_file", device)
  local file <close> = open("load_file", filename, backend)
  return all_tensors(file, "load_file")
end

local load_spec = args "load(str data)"
--- All tensors of a file's bytes in a string.
function safetensors.load(...)
  local data = load_spec(...)
  local bytes = core.tensor_from_bytes(data, torch.uint8, { #data })
  local file <close> = setmetatable({ handle = core.safetensors_parse(bytes, "load") }, File)
  return all_tensors(file, "load")
end

-- --- writing ----------------------------------------------------------------------------------------------

-- Keys and values of a plain or ordered map as two lists, the keys sorted.
local function lists_of(map)
  local keys, values = {}, {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for i, key in ipairs(keys) do values[i] = map[key] end
  if OrderedDict.is(map) then
    for i, key in ipairs(keys) do values[i] = OrderedDict.get(map, key) end
  end
  return keys, values
end

local function write(what, filename, tensors, metadata)
  local names, values = lists_of(tensors)
  for i, name in ipairs(names) do
    if type(name) ~= "string" then
      args.fail(what, "argument 'tensors' must have names as keys, got the key %s", text.describe(name))
    end
    if not torch.is_tensor(values[i]) then
      args.fail(what, "argument 'tensors': '%s' must be a tensor, got %s", name, text.describe(values[i]))
    end
  end
  local keys, texts = lists_of(metadata or {})
  for i, key in ipairs(keys) do
    if type(key) ~= "string" or type(texts[i]) ~= "string" then
      args.fail(what, "argument 'metadata' must map strings to strings, got %s = %s", tostring(key),
        text.describe(texts[i]))
    end
  end
  return core.safetensors_save(filename, names, values, keys, texts)
end

local save_file_spec = args "save_file(table tensors, str filename, table metadata=nil)"
--- Writes a map name -> tensor, and optionally a table of texts, to a file: under a temporary name, which replaces the old
--- file once all is on the disk. Tensors must be contiguous and must not share memory; complex128 has no place in the
--- format.
function safetensors.save_file(...)
  local tensors, filename, metadata = save_file_spec(...)
  write("save_file", filename, tensors, metadata)
end

local save_spec = args "save(table tensors, table metadata=nil)"
--- The bytes that save_file would write, a string.
function safetensors.save(tensors, ...)
  -- A map whose tensors have the names of our arguments is still the map.
  if type(tensors) == "table" and select("#", ...) == 0 then return write("save", nil, tensors) end
  local map, metadata = save_spec(tensors, ...)
  return write("save", nil, map, metadata)
end

-- --- modules ----------------------------------------------------------------------------------------------

local function range_of(tensor)
  local first = tensor:data_ptr()
  return first, first + tensor:numel() * tensor:element_size()
end

-- Groups of names whose tensors overlap in memory; of each, `keep` is one that covers its whole storage. Returns
-- name -> name kept, for those to leave out.
local function duplicates(what, state, preferred)
  local items = {}
  for name, tensor in OrderedDict.items(state) do
    if torch.is_tensor(tensor) and tensor:numel() > 0 then
      local first, last = range_of(tensor)
      items[#items + 1] = { name = name, first = first, last = last, tensor = tensor }
    end
  end
  table.sort(items, function(a, b)
    if a.first ~= b.first then return a.first < b.first end
    return a.name < b.name
  end)
  local left_out, i = {}, 1
  while i <= #items do
    local group, stop = { items[i] }, items[i].last
    while items[i + #group] and items[i + #group].first < stop do
      group[#group + 1] = items[i + #group]
      stop = math.max(stop, group[#group].last)
    end
    if #group > 1 then
      table.sort(group, function(a, b) return a.name < b.name end)
      local keep
      for _, item in ipairs(group) do
        local whole = item.last - item.first == core.storage_bytes(item.tensor)
        if whole and (not keep or preferred and preferred[item.name] ~= nil and preferred[keep] == nil) then
          keep = item.name
        end
      end
      if not keep then
        local names = {}
        for k, item in ipairs(group) do names[k] = item.name end
        args.fail(what, "the tensors %s share memory, and none of them covers all of it", table.concat(names, ", "))
      end
      for _, item in ipairs(group) do
        if item.name ~= keep then left_out[item.name] = keep end
      end
    end
    i = i + #group
  end
  return left_out
end

local save_model_spec = args "save_model(Module model, str filename, table metadata=nil, bool force_contiguous=true)"
--- Writes a module's state_dict. Of tensors that share memory (tied weights) one is kept; the metadata says for the others
--- which.
function safetensors.save_model(...)
  local model, filename, metadata, force_contiguous = save_model_spec(...)
  local state, texts = OrderedDict.copy(model:state_dict()), {}
  for key, value in pairs(metadata or {}) do texts[key] = value end
  for name, kept in pairs(duplicates("save_model", state)) do
    texts[name] = texts[name] or kept
    state[name] = nil
  end
  if force_contiguous then
    for name, tensor in OrderedDict.items(state) do state[name] = tensor:contiguous() end
  end
  write("save_model", filename, state, texts)
end

local load_model_spec = args "load_model(Module model, str filename, bool strict=true, any device=nil, *, str backend='mmap')"
--- Loads a file into a module; returns the lists of missing and unexpected names. With strict they must be empty, except for
--- tied weights that save_model has left out.
function safetensors.load_model(...)
  local model, filename, strict, device, backend = load_model_spec(...)
  check_device("load_model", device)
  local file <close> = open("load_model", filename, backend)
  local state = all_tensors(file, "load_model")
  local left_out = duplicates("load_model", model:state_dict(), state)
  local result = model:load_state_dict(state, { strict = false })
  local missing_names, unexpected = {}, { table.unpack(result.unexpected_keys) }
  for _, name in ipairs(result.missing_keys) do
    if left_out[name] then
      left_out[name] = nil
    else
      missing_names[#missing_names + 1] = name
    end
  end
  for name in pairs(left_out) do unexpected[#unexpected + 1] = name end
  table.sort(missing_names)
  table.sort(unexpected)
  if strict and #missing_names + #unexpected > 0 then
    local function part(title, names)
      return #names == 0 and "" or ("\n    %s: %s"):format(title, '"' .. table.concat(names, '", "') .. '"')
    end
    args.fail("load_model", "the file does not fit the model:%s%s", part("Missing key(s) in state_dict", missing_names),
      part("Unexpected key(s) in state_dict", unexpected))
  end
  return missing_names, unexpected
end

return safetensors
