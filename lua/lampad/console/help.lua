-- Help texts: `lampad help torch.add`, `?add` at the prompt. Ops come from the op table that the binary
-- carries, classes and other functions from what can be seen of them.

local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local topics = require "lampad.console.topics"

local help = {}

local function print_lines(lines)
  io.stdout:write(table.concat(lines, "\n"), "\n")
end

-- "torch.nn.functional.relu -> "relu", "nn.functional"; F, nn and Tensor prefixes are understood.
local function split_name(name)
  name = name:gsub("%s", ""):gsub("%(.*$", ""):gsub(":", ".")
  local path, last = name:match "^(.*)%.([%w_]+)$"
  if not path then return name, nil end
  path = path:gsub("^torch%.", ""):gsub("^torch$", "")
  if path == "F" then path = "nn.functional" end
  return last, path
end

-- How a row can be called, one line each.
local function call_forms(row)
  local forms = {}
  if row.variants["function"] then
    for module in (row.module == "" and "torch" or row.module):gmatch "%S+" do
      forms[#forms + 1] = ("%s.%s(...)"):format(module == "torch" and "torch" or "torch." .. module, row.name)
    end
  end
  if row.variants.method then forms[#forms + 1] = ("x:%s(...)"):format(row.name) end
  if row.variants.inplace then forms[#forms + 1] = ("x:%s_(...)"):format(row.name) end
  if row.variants.out then forms[#forms + 1] = "out = tensor" end
  return table.concat(forms, "   ")
end

local function visible(row) return not row.variants.internal end

-- The schema's rows of that name, in the module asked for when there are any.
local function rows_of(name, path)
  local rows, elsewhere = {}, {}
  local all = core.op_info(name)
  if #all == 0 and name:sub(-1) == "_" then all = core.op_info(name:sub(1, -2)) end
  for _, row in ipairs(all) do
    if visible(row) then
      local module = row.module == "torch" and "" or row.module
      local wanted = path == nil or path == "Tensor" and (row.variants.method or row.variants.inplace)
      for word in (module == "" and "torch" or module):gmatch "[%w_.]+" do
        if path and (word == path or (word == "torch" and path == "")) then wanted = true end
      end
      table.insert(wanted and rows or elsewhere, row)
    end
  end
  return #rows > 0 and rows or elsewhere
end

local function show_rows(rows)
  local lines = {}
  local last_doc
  for i, row in ipairs(rows) do
    if i > 1 then lines[#lines + 1] = "" end
    lines[#lines + 1] = row.signature
    lines[#lines + 1] = "  " .. call_forms(row)
    if row.aliases ~= "" then lines[#lines + 1] = "  also named " .. row.aliases:gsub(" ", ", ") end
    if row.doc ~= "" and row.doc ~= last_doc then
      lines[#lines + 1] = ""
      lines[#lines + 1] = "  " .. row.doc:gsub("\n", "\n  ")
      last_doc = row.doc
    end
    if row.example ~= "" then
      lines[#lines + 1] = ""
      lines[#lines + 1] = "  > " .. row.example:gsub("\n", "\n  > ")
    end
    lines[#lines + 1] = ("  (%s)"):format(row.source)
  end
  print_lines(lines)
end

-- The comment above a function written in Lua, from the sources inside the binary or on disk.
local function comment_above(f)
  local info = debug.getinfo(f, "S")
  if info.what == "C" then return nil, nil end
  local where = ("%s:%d"):format(info.short_src, info.linedefined)
  local source
  local path = info.source:match "^@(.*)$"
  local file = path and io.open(path, "rb")
  if file then
    source = file:read "a"
    file:close()
  else
    local module = info.source:match "^@(lampad.*)%.lua$"
    local ok, embedded = pcall(require, "lampad.embedded")
    if module and ok then source = embedded.source((module:gsub("/init$", ""):gsub("/", "."))) end
  end
  if not source then return nil, where end
  local lines = {}
  for line in (source .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  local comment, at = {}, info.linedefined - 1
  while lines[at] and lines[at]:match "^%s*%-%-" do
    table.insert(comment, 1, (lines[at]:gsub("^%s*%-+%s?", "")))
    at = at - 1
  end
  return #comment > 0 and table.concat(comment, "\n") or nil, where, lines[info.linedefined]
end

-- The value that a dotted name stands for, walked from the globals.
local function value_of(name)
  local value = _G
  for part in name:gmatch "[%a_][%w_]*" do
    local ok, inner = pcall(function() return value[part] end)
    if not ok or inner == nil then return nil end
    value = inner
  end
  return value ~= _G and value or nil
end

local function show_function(name, f)
  local comment, where, head = comment_above(f)
  local signature = head and head:find("(...)", 1, true) and args.signature_of(f)
  local lines = { signature and ("%s(%s)"):format(name, signature) or head and head:gsub("^%s+", "") or name }
  if comment then lines[#lines + 1] = "  " .. comment:gsub("\n", "\n  ") end
  if where then lines[#lines + 1] = ("  (%s)"):format(where) end
  if not comment and not where then lines[#lines + 1] = "  built in" end
  print_lines(lines)
end

local function show_class(name, class)
  local lines = { "class " .. name }
  local init = rawget(class, "init") or class.init
  if type(init) == "function" and init ~= require("lampad.class").Object.init then
    local comment, where, head = comment_above(init)
    if head then
      local arguments = head:match "%((.-)%)"
      if arguments == "..." then arguments = args.signature_of(init) or arguments end
      if arguments then lines[1] = ("%s(%s)"):format(name, arguments) end
    end
    if comment then lines[#lines + 1] = "  " .. comment:gsub("\n", "\n  ") end
    if where then lines[#lines + 1] = ("  (%s)"):format(where) end
  end
  local methods = {}
  local at = class
  while type(at) == "table" do
    for key, value in next, at do
      if type(key) == "string" and type(value) == "function" and not key:match "^_" then methods[key] = true end
    end
    at = rawget(at, "super")
  end
  local names = {}
  for key in next, methods do names[#names + 1] = key end
  table.sort(names)
  if #names > 0 then lines[#lines + 1] = "  methods: " .. table.concat(names, ", ") end
  print_lines(lines)
end

local function all_names()
  local names, known = {}, {}
  for _, entry in ipairs(core.op_names()) do
    local name = entry:match ":(.*)$"
    if not known[name] then
      known[name] = true
      names[#names + 1] = name
    end
  end
  return names
end

local function introduction()
  print_lines {
    "lampad help torch.add     an op: signature, meaning, example",
    "lampad help nn.Linear     a class",
    "At the prompt: ?torch.add, and ??word to search all of it.",
    "",
    ("%d ops; the guide and the reference are in docs/."):format(#all_names()),
  }
end

-- Prints what the name is; true when there is something to say.
function help.show(name)
  if name == nil or name == "" then
    introduction()
    return true
  end
  local last, path = split_name(name)
  if path and path ~= "" and path ~= "Tensor" and core.modules[path] == nil then
    local owner = value_of(path)
    -- A method of a tensor, or of an `x` that is not there.
    if core.torch.is_tensor(owner) or value_of((path:gsub("%..*$", ""))) == nil and core.methods[last] then
      path = "Tensor"
    end
  end
  local is_library_name = path == nil or path == "" or path == "Tensor" or core.modules[path] ~= nil
  local topic = is_library_name and (topics["Tensor." .. last] and path ~= "" and topics["Tensor." .. last]
    or topics[last] and path ~= "Tensor" and topics[last])
  if topic then
    print_lines { topic[1], "  " .. topic[2]:gsub("\n", "\n  ") }
    return true
  end
  local rows = is_library_name and rows_of(last, path) or {}
  if #rows > 0 then
    show_rows(rows)
    return true
  end
  local value = value_of((name:gsub(":", ".")))
  if value == nil then value = value_of("torch." .. name:gsub(":", ".")) end
  if type(value) == "function" then
    show_function(name, value)
    return true
  elseif type(value) == "table" and rawget(value, "__meta") then
    show_class(name, value)
    return true
  elseif value ~= nil then
    print_lines { ("%s: %s"):format(name, require "lampad.inspect" (value, { depth = 1 })) }
    return true
  end
  local near, edits = text.nearest(last, all_names())
  local hint = near and edits <= math.max(1, #last // 3) and ("; did you mean '%s'?"):format(near) or ""
  io.stderr:write(("there is no '%s'%s\n"):format(name, hint))
  return false
end

-- Prints the ops whose name or description holds the word.
function help.search(word)
  local lower, found, known = word:lower(), {}, {}
  for _, name in ipairs(all_names()) do
    for _, row in ipairs(core.op_info(name)) do
      if visible(row) and not known[row.name] and
         (row.name:find(lower, 1, true) or row.doc:lower():find(lower, 1, true)) then
        known[row.name] = true
        found[#found + 1] = ("%-28s %s"):format(row.name, row.doc:match "^[^\n]*")
      end
    end
  end
  table.sort(found)
  if #found == 0 then found[1] = ("nothing about '%s'"):format(word) end
  print_lines(found)
end

return help
