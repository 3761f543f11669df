-- Completion of names, for the prompt: globals, fields, `:` methods, module names in require.
--
-- Looking must not do anything. Fields are read raw, through metatables whose __index is a table; an
-- __index function is run only where it is the library's own: module tables that load parts on first
-- use, and the properties of tensors.

local keywords = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
  return then true until while]]):gmatch "%a+" do
  keywords[#keywords + 1] = word
end

local predefined = { "torch", "nn", "F", "optim", "vision" }

local tensor_properties = {
  "shape", "dtype", "device", "ndim", "grad", "requires_grad", "is_leaf", "grad_fn", "data", "T", "mT", "H", "mH",
  "real", "imag", "layout", "itemsize", "nbytes", "is_cuda", "retains_grad",
}

-- The names of the libraries inside the binary; the executable provides the list.
local function embedded_modules()
  local ok, names = pcall(require, "lampad.embedded")
  return ok and names or {}
end

-- "lampad.nn" for the table of a loaded library, else nil.
local function library_name(object)
  for name, loaded in next, package.loaded do
    if loaded == object and type(name) == "string" and (name == "lampad" or name:find "^lampad%.") then
      return name
    end
  end
end

local function is_tensor(value)
  if type(value) ~= "userdata" then return false end
  local meta = debug.getmetatable(value)
  return type(meta) == "table" and rawget(meta, "__name") == "torch.Tensor"
end

-- The table of the tensors' methods, by name.
local function tensor_methods()
  local core = package.loaded["lampad.core"]
  return type(core) == "table" and core.methods or {}
end

-- One field, without side effects; nil when there is none or it cannot be known.
local function field(object, name)
  local seen = 0
  while seen < 100 do
    seen = seen + 1
    if is_tensor(object) then
      for _, property in ipairs(tensor_properties) do
        if property == name then
          local ok, value = pcall(function() return object[name] end)
          return ok and value or nil
        end
      end
      return tensor_methods()[name]
    end
    if type(object) == "table" then
      local value = rawget(object, name)
      if value ~= nil then return value end
    end
    local meta = debug.getmetatable(object)
    local index = type(meta) == "table" and rawget(meta, "__index")
    if type(index) == "function" then
      if object == _G or library_name(object) then
        local ok, value = pcall(index, object, name)
        return ok and value or nil
      end
      index = rawget(meta, "class")   -- an object of a library class whose __index also answers to numbers
    end
    if type(index) ~= "table" then return nil end
    object = index
  end
end

-- The names in a library's table that load at first use: what its metatable's __names lists, the ops of that
-- module; for torch itself its parts.
local function each_library_name(object, library, add)
  local meta = debug.getmetatable(object)
  local names = type(meta) == "table" and rawget(meta, "__names")
  if type(names) == "function" then
    local ok, list = pcall(names)
    for _, name in ipairs(ok and list or {}) do add(name, nil) end
  else
    for _, module in ipairs(embedded_modules()) do
      local part = module:match("^" .. library:gsub("%.", "%%.") .. "%.([%w_]+)$")
      if part and library ~= "lampad" then add(part, nil) end
    end
  end
  local core = package.loaded["lampad.core"]
  local modules = type(core) == "table" and core.modules or {}
  for name, value in next, modules[library:gsub("^lampad%.?", "")] or {} do add(name, value) end
  if library == "lampad" then
    for _, name in ipairs { "nn", "optim", "utils", "vision", "autograd" } do add(name, nil) end
    for name in next, modules do
      if not name:find(".", 1, true) and not name:find "_kernels$" and name ~= "torch" and name ~= "Tensor" then
        add(name, nil)
      end
    end
  end
end

-- Calls add(name, value) for each field that can be seen; value is nil where reading would do something.
local function each_field(object, add)
  local seen = 0
  while seen < 100 do
    seen = seen + 1
    if is_tensor(object) then
      for _, name in ipairs(tensor_properties) do add(name, nil) end
      for name, method in next, tensor_methods() do add(name, method) end
      return
    end
    if type(object) == "table" then
      for name, value in next, object do add(name, value) end
      local own = debug.getmetatable(object)
      local names = type(own) == "table" and rawget(own, "__names") -- a library table that loads at first use
      if names then
        for _, name in ipairs(names()) do add(name, nil) end
      end
      local library = not names and library_name(object)
      if library then
        each_library_name(object, library, add)
      end
    end
    local meta = debug.getmetatable(object)
    local index = type(meta) == "table" and rawget(meta, "__index")
    if type(index) == "function" then index = rawget(meta, "class") end
    if type(index) ~= "table" or index == object then return end
    object = index
  end
end

local function is_callable(value)
  if type(value) == "function" then return true end
  local meta = debug.getmetatable(value)
  return type(meta) == "table" and rawget(meta, "__call") ~= nil
end

-- Collects the names that begin with the prefix, sorted, each once. Names that begin with an underscore
-- are private: they show when asked for.
local function collector(prefix)
  local list, known = {}, {}
  local function add(name)
    if type(name) == "string" and not known[name] and name:sub(1, #prefix) == prefix
       and name:match "^[%a_][%w_]*$" and (prefix ~= "" or name:sub(1, 1) ~= "_") then
      known[name] = true
      list[#list + 1] = name
    end
  end
  local function result()
    table.sort(list)
    return list
  end
  return add, result
end

-- The object that a path like "torch.nn" stands for.
local function resolve(path)
  local object = _G
  local first = true
  for name in path:gmatch "[%a_][%w_]*" do
    object = field(object, name)
    if object == nil then return nil end
    first = false
  end
  return not first and object or nil
end

-- complete(text) -> candidates for the word at its end, and where that word starts (bytes before it).
return function(text)
  local line = text:match "[^\n]*$"
  local module_prefix = line:match "require%s*%(?%s*[\"']([%w_.]*)$"
  if module_prefix then
    local parent, part = module_prefix:match "^(.-)([%w_]*)$"
    local add, result = collector(part)
    local function consider(name)
      if name:sub(1, #parent) == parent then add(name:sub(#parent + 1):match "^[%w_]*") end
    end
    for _, name in ipairs(embedded_modules()) do consider(name) end
    for name in next, package.loaded do consider(name) end
    for name in next, package.preload do consider(name) end
    return result(), #text - #part
  end

  local path, separator, part = line:match "([%a_][%w_%.]*)([.:])([%a_]?[%w_]*)$"
  if path and not path:find("..", 1, true) then
    local add, result = collector(part)
    local object = resolve(path)
    if object == nil then return {}, #text - #part end
    each_field(object, function(name, value)
      if separator == "." or is_callable(value) then add(name) end
    end)
    return result(), #text - #part
  end

  part = line:match "[%a_][%w_]*$" or ""
  if part == "" and line:match "%S$" and not line:match "[%s(,={%[;]$" then return {}, #text end
  local add, result = collector(part)
  for _, word in ipairs(keywords) do add(word) end
  for _, name in ipairs(predefined) do add(name) end
  for name in next, _G do add(name) end
  return result(), #text - #part
end
