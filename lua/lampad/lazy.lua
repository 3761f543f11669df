-- Library tables whose members load at first use, so that starting stays quick.
-- The metatable's __names() lists every member, loaded or not: pairs() and completion use it.

--- lazy(files, names): a table whose member `name` is `files[name]`: the name of a module to require, or a
--- function that gets the name and returns the value. `names` (optional) gives further names, which
--- `files[1]` (a function of the name) loads.
local function lazy(files, names)
  local library = {}

  local function load(_, name)
    local loader = files[name] or (type(name) == "string" and files[1])
    if not loader then return nil end
    local value
    if type(loader) == "string" then value = require(loader) else value = loader(name) end
    if value ~= nil then rawset(library, name, value) end
    return value
  end

  local function all_names()
    local list, seen = {}, {}
    local function add(name)
      if type(name) == "string" and not seen[name] then
        seen[name] = true
        list[#list + 1] = name
      end
    end
    for name in next, library do add(name) end
    for name in next, files do add(name) end
    for _, name in ipairs(names and names() or {}) do add(name) end
    table.sort(list)
    return list
  end

  return setmetatable(library, {
    __index = load,
    __names = all_names,
    __pairs = function()
      for _, name in ipairs(all_names()) do local _ = library[name] end
      return next, library, nil
    end,
  })
end

--- Members that are fields of modules: member_of{sampler = {"RandomSampler", ...}} under a prefix gives the
--- files table for lazy.
local function members(prefix, groups)
  local files = {}
  for file, names in pairs(groups) do
    for _, name in ipairs(names) do
      files[name] = function() return require(prefix .. file)[name] end
    end
  end
  return files
end

return setmetatable({ members = members }, { __call = function(_, ...) return lazy(...) end })
