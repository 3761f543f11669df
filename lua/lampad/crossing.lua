-- Names of what the library and Lua itself define, for values that cross to the state of a worker (vm/crossing.c):
-- a class, a function or a private table of the library is not copied, the other state has its own.
--
-- A name is the name of a module, then steps that lead from it to the value, each "\0" and a letter: `f` and a
-- field's name, `m` to the metatable, `u` and the number of an upvalue of a function. So the locals of the
-- library's files have names too.
local crossing = {}

local getinfo, getupvalue, getmetatable_of = debug.getinfo, debug.getupvalue, debug.getmetatable
local own_prefix = getinfo(1, "S").source:gsub("crossing%.lua$", "")

local STANDARD = { "_G", "string", "table", "math", "io", "os", "coroutine", "utf8", "debug", "package" }
local known -- value -> name, weak keys; false: the other side has no such value
local modules_seen = -1 -- how many modules of the library were there when `known` was made

local function is_own(f) return getinfo(f, "S").source:sub(1, #own_prefix) == own_prefix end

-- An instance of a class may hold anything of the program's.
local function is_instance(meta) return type(meta) == "table" and rawget(meta, "class") ~= nil end

-- What a Lua file puts into the core, which is C: the other state has it once it has loaded that file.
local function is_added(library, member)
  return library == package.loaded["lampad.core"] and type(member) == "function" and getinfo(member, "S").what ~= "C"
end

local function lampad_modules()
  local list = {}
  for name, value in pairs(package.loaded) do
    if name:match "^lampad%f[.\0]" and (type(value) == "table" or type(value) == "function") then list[#list + 1] = name end
  end
  -- A file may replace members of the first two once it is loaded: the file's own name for such a function comes first.
  local function key(name) return ((name == "lampad" or name == "lampad.core") and "1" or "0") .. name end
  table.sort(list, function(a, b) return key(a) < key(b) end)
  return list
end

local function build(modules)
  local names, queue, last = setmetatable({}, { __mode = "k" }), {}, 0
  local skipped = { [package.loaded] = true, [package.preload] = true, [_G] = true, [known or names] = true }

  local function add(value, name)
    local kind = type(value)
    if kind == "table" then
      if names[value] ~= nil or skipped[value] then return end
      local meta = getmetatable_of(value)
      if is_instance(meta) then return end
    elseif kind == "function" then
      if names[value] ~= nil then return end
      local source = getinfo(value, "S").what
      if source ~= "C" and not is_own(value) then return end
    else
      return
    end
    names[value] = name
    last = last + 1
    queue[last] = value
  end

  for _, name in ipairs(STANDARD) do
    local library = package.loaded[name]
    if type(library) == "table" then
      add(library, name)
      for key, value in next, library do
        if type(key) == "string" and not (name == "_G" and type(value) ~= "function") then
          if type(value) == "userdata" then names[value] = names[value] or name .. "\0f" .. key end -- io.stdout
          add(value, name .. "\0f" .. key)
        end
      end
    end
  end
  -- Modules written in C keep more in their state than a table shows; other modules of the program are copied.
  local others = {}
  for name, library in pairs(package.loaded) do
    if type(name) == "string" and type(library) == "table" and not name:match "^lampad" and not names[library] then
      others[#others + 1] = name
    end
  end
  table.sort(others)
  local in_c = {}
  for _, name in ipairs(others) do
    if package.searchpath(name, package.cpath) then in_c[package.loaded[name]] = true end
  end
  for _, name in ipairs(others) do
    local library = package.loaded[name]
    if in_c[library] then
      names[library] = names[library] or name
      for key, value in next, library do
        if type(key) == "string" and type(value) == "function" then add(value, name .. "\0f" .. key) end
      end
    end
  end
  for _, name in ipairs(modules) do add(package.loaded[name], name) end

  local at = 0
  while at < last do
    at = at + 1
    local value = queue[at]
    queue[at] = nil
    local name = names[value]
    if type(value) == "table" then
      for key, member in next, value do
        if type(key) == "string" and not is_added(value, member) then add(member, name .. "\0f" .. key) end
      end
      local meta = getmetatable_of(value)
      if meta then add(meta, name .. "\0m") end
    elseif is_own(value) then
      for i = 1, 255 do
        local upvalue, member = getupvalue(value, i)
        if upvalue == nil then break end
        add(member, name .. "\0u" .. i)
      end
    end
  end
  return names
end

--- The table value -> name, false where the other side has none.
function crossing.names()
  local modules = lampad_modules()
  if #modules ~= modules_seen then
    local before = known or {}
    known = build(modules)
    for value, name in pairs(before) do
      if name == false then known[value] = false end
    end
    modules_seen = #modules
  end
  return known
end

--- The value that a name stands for in this state, or nil.
function crossing.find(name)
  local module, steps = name:match "^([^\0]*)(.*)$"
  local ok, value = pcall(require, module)
  if not ok then return nil end
  for letter, rest in steps:gmatch "\0(.)([^\0]*)" do
    local kind = type(value)
    if letter == "m" then
      value = getmetatable_of(value)
    elseif letter == "u" then
      if kind ~= "function" then return nil end
      local _, member = getupvalue(value, tonumber(rest))
      value = member
    elseif kind == "table" then
      local member = rawget(value, rest)
      if member == nil then member = value[rest] end -- lazily loaded
      value = member
    else
      return nil
    end
  end
  return value
end

--- The name as people write it.
function crossing.describe(name)
  return (name:gsub("\0f", "."):gsub("\0m", ", metatable"):gsub("\0u", ", upvalue "))
end

--- From now on the values of these names are copied: a new state has no such values, the program made them.
function crossing.bar(list)
  local barred = {}
  for _, name in ipairs(list) do barred[name] = true end
  for value, name in pairs(crossing.names()) do
    if barred[name] then known[value] = false end
  end
end

return crossing
