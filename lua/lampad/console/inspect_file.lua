-- `lampad inspect [--json] FILE...`: what checkpoints hold: their format and producer, the tree of names with dtypes and
-- shapes, the total size, and what is suspicious about them. Tensors are not read: a file of any size is described at
-- once. Nothing in a file is run; a name in it cannot reach the terminal as anything but text.
local core = require "lampad.core"

local USAGE = 2
local WIDTH = 80
local MAX_DEPTH = 1000
local WASTE_BYTES = 1 << 16

-- Flags of tensor values (lampad/checkpoint.h).
local PARAMETER, REQUIRES_GRAD, CONJ, NEG, UNTYPED = 1, 2, 4, 8, 16

local formats = {
  zip = "PyTorch's zip format", torchscript = "a TorchScript archive", legacy = "PyTorch's format before 1.6",
  tar = "PyTorch's tar format, before 0.1.10", safetensors = "safetensors", npy = "an array of NumPy (.npy)",
  npz = "an archive of NumPy (.npz)",
}

-- What makes Python run something when it is unpickled, by the beginning of its name. The list only words the warning:
-- every class that is not known is inert here.
local harmful = { "os.", "posix.", "nt.", "subprocess.", "sys.", "builtins.", "importlib.", "runpy.", "shutil.", "socket.",
  "pty.", "ctypes.", "code.", "codeop.", "bdb.", "pdb.", "profile.", "cProfile.", "timeit.", "trace.", "webbrowser.",
  "pickle.", "_pickle.", "marshal.", "types.", "operator.", "_operator.", "functools.", "multiprocessing.", "asyncio.",
  "http.", "urllib.", "requests.", "httplib.", "aiohttp.", "pip.", "commands.", "platform.", "tempfile.", "pathlib.",
  "signal.", "threading.", "pydoc.", "doctest.", "torch.hub.", "torch.load", "torch.serialization.", "torch.jit.",
  "torch.utils.", "torch._dynamo.", "torch._inductor.", "torch.distributed.", "torch.fx.", "numpy.testing.", "numpy.f2py.",
  "numpy.load", "dill.", "cloudpickle.", "joblib." }

local function grouped(n)
  local text = tostring(n):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (text:gsub("^,", ""))
end

local function count_of(n, one) return ("%s %s%s"):format(grouped(n), one, n == 1 and "" or (one:find "[sx]$" and "es" or "s")) end

local function size_text(n)
  if n < 10000 then return grouped(n) .. " B" end
  for _, unit in ipairs { "KiB", "MiB", "GiB" } do
    n = n / 1024
    if n < 1000 or unit == "GiB" then return ("%.1f %s"):format(n, unit) end
  end
end

-- Text of a file as text for a terminal: no control characters, only UTF-8.
local function clean(s)
  if not utf8.len(s) then s = s:gsub("[\128-\255]", function(c) return ("\\x%02x"):format(c:byte()) end) end
  s = s:gsub("[%c\127]", function(c) return ("\\x%02x"):format(c:byte()) end)
  s = s:gsub("\xc2[\x80-\x9f]", function(c) return ("\\x%02x"):format(c:byte(2)) end)
  -- marks that turn the direction of writing
  return (s:gsub("\xe2\x80[\xaa-\xae]", "\\u202x"):gsub("\xe2\x81[\xa6-\xa9]", "\\u206x"))
end

local function quoted(s, is_bytes)
  local shown = clean(s)
  if #shown > 56 then shown = clean(s:sub(1, utf8.len(s) and (utf8.offset(s, 51) or 51) - 1 or 50)) .. "..." end
  return ("%s'%s'%s"):format(is_bytes and "b" or "", shown, #s > 56 and (" (%s bytes)"):format(grouped(#s)) or "")
end

local scalars = {
  none = function() return "None" end,
  bool = function(v) return v and "True" or "False" end,
  int = function(v) return tostring(v) end,
  bigint = function(v) return ("%.17g"):format(v) end,
  float = function(v) return require("lampad.text").repr(v) end,
  complex = function(v) return tostring(v) end,
  string = function(v) return quoted(v) end,
  bytes = function(v) return quoted(v, true) end,
  dtype = function(v) return tostring(v) end,
  device = function(v) return ("device('%s')"):format(clean(v)) end,
  global = function(v) return ("<class %s>"):format(clean(v)) end,
}

local containers = { list = "list", tuple = "tuple", set = "set", frozenset = "frozenset", dict = "dict",
  ordered_dict = "OrderedDict", size = "torch.Size" }

-- --- gathering ----------------------------------------------------------------------------------------------

-- One node of what is printed: {name, text, children}; tensors are counted on the way.
local Report = {}
Report.__index = Report

function Report:storage(tensor, path)
  local bytes = core.storage_bytes(tensor)
  if bytes == 0 then return nil end
  local address = tensor:data_ptr() - tensor:storage_offset() * tensor:element_size()
  local known = self.storages[address]
  if not known then
    known = { bytes = bytes, used = 0, path = path }
    self.storages[address] = known
    self.storage_count = self.storage_count + 1
    self.bytes = self.bytes + bytes
  end
  return known
end

function Report:tensor(path, kind, tensor, flags, device)
  local dtype, sizes, notes = tostring(tensor.dtype):gsub("^torch%.", ""), {}, {}
  for i = 0, tensor.ndim - 1 do sizes[i + 1] = tostring(tensor:size(i)) end
  local shape = "[" .. table.concat(sizes, ", ") .. "]"
  local numel, first = tensor:numel(), nil
  local storage = self:storage(tensor, path)
  if storage then
    first = storage.path ~= path and storage.path or nil
    storage.used = storage.used + numel * tensor:element_size()
  end
  if flags & UNTYPED ~= 0 then dtype = "bytes" end
  if kind == "storage" then notes[#notes + 1] = "storage" end
  if flags & PARAMETER ~= 0 then notes[#notes + 1] = "Parameter" end
  if flags & REQUIRES_GRAD ~= 0 and flags & PARAMETER == 0 then notes[#notes + 1] = "requires_grad" end
  if flags & CONJ ~= 0 then notes[#notes + 1] = "conj" end
  if flags & NEG ~= 0 then notes[#notes + 1] = "neg" end
  if not tensor:is_contiguous() then
    local strides = {}
    for i = 0, tensor.ndim - 1 do strides[i + 1] = tostring(tensor:stride(i)) end
    notes[#notes + 1] = "strides [" .. table.concat(strides, ", ") .. "]"
  end
  if device and device ~= "cpu" then notes[#notes + 1] = clean(device) end
  if first then notes[#notes + 1] = "shares memory with " .. first end
  local group = self.dtypes[dtype] or { tensors = 0, elements = 0, dtype = dtype }
  if group.tensors == 0 then
    self.dtypes[dtype] = group
    self.dtypes[#self.dtypes + 1] = group
  end
  group.tensors, group.elements = group.tensors + 1, group.elements + numel
  self.tensors[#self.tensors + 1] = { name = path, dtype = dtype, shape = sizes, bytes = numel * tensor:element_size(),
    notes = notes }
  return { dtype = dtype, shape = shape, notes = table.concat(notes, ", ") }
end

local function child_path(path, name, is_index)
  if is_index then return path .. "[" .. name .. "]" end
  return path == "" and name or path .. "." .. name
end

function Report:add(parent, name, path, number)
  local node = self:describe(number, path)
  node.name = name
  parent[#parent + 1] = node
end

-- A key of a dict as the name of a line. room: how many more items of tuples are shown.
function Report:key(number, room)
  room = room or { 20 }
  room[1] = room[1] - 1
  if room[1] < 0 then return "..." end
  local kind, value = core.checkpoint_node(self.tree, number)
  if kind == "string" then return value == "" and "''" or clean(value) end
  if scalars[kind] then return scalars[kind](value) end
  local parts = {}
  if kind == "tuple" or kind == "frozenset" then
    for i, item in ipairs(value) do
      parts[i] = self:key(item, room)
      if room[1] < 0 then break end
    end
    return "(" .. table.concat(parts, ", ") .. ")"
  end
  return "<" .. kind .. ">"
end

function Report:container(kind, numbers, attributes, path)
  local node = {}
  if kind == "dict" or kind == "ordered_dict" then
    for i = 1, #numbers, 2 do
      local name = self:key(numbers[i])
      self:add(node, name, child_path(path, name), numbers[i + 1])
    end
    node.text = ("%s of %d"):format(containers[kind], #numbers // 2)
  else
    local flat = {}
    for i, number in ipairs(numbers) do
      local child_kind, value = core.checkpoint_node(self.tree, number)
      flat[i] = flat and scalars[child_kind] and scalars[child_kind](value)
      if not flat[i] then flat = false break end
    end
    if kind == "size" then
      node.text = "torch.Size"
    else
      node.text = ("%s of %d"):format(containers[kind], #numbers)
    end
    if flat then
      node.flat = #flat > 0 and flat or nil
    else
      for i, number in ipairs(numbers) do
        local index = tostring(kind == "list" and i - 1 or kind == "tuple" and i - 1 or "")
        self:add(node, "[" .. index .. "]", child_path(path, index, true), number)
      end
    end
  end
  if attributes then self:add(node, "(attributes)", child_path(path, "(attributes)"), attributes) end
  return node
end

function Report:record(path, callee, arguments, kwargs, state, list, dict)
  local kind, value = core.checkpoint_node(self.tree, callee)
  local name_of_class = kind == "global" and value or kind
  local node = { text = ("<inert %s>"):format(clean(name_of_class)) }
  if not self.globals[name_of_class] then self.odd[name_of_class] = (self.odd[name_of_class] or 0) + 1 end
  local parts = { { "args", arguments }, { "kwargs", kwargs }, { "state", state }, { "list", list }, { "dict", dict } }
  for i = 1, 5 do
    local name, number = parts[i][1], parts[i][2]
    local child_kind, numbers = nil, nil
    if number then child_kind, numbers = core.checkpoint_node(self.tree, number) end
    local is_empty = containers[child_kind] and #numbers == 0
    if number and not is_empty then self:add(node, name, child_path(path, name), number) end
  end
  return node
end

local function is_tree(kind) return containers[kind] or kind == "record" end

function Report:describe(number, path)
  local made = self.made[number]
  if made then return { text = made == "" and "= the whole" or "= " .. made } end
  local parts = table.pack(core.checkpoint_node(self.tree, number))
  local kind = parts[1]
  if scalars[kind] then return { text = scalars[kind](parts[2]) } end
  self.made[number] = path
  if kind == "tensor" or kind == "storage" then
    local node = self:tensor(path, kind, parts[2], parts[3], parts[5])
    if parts[6] then self:add(node, "(attributes)", child_path(path, "(attributes)"), parts[6]) end
    return node
  end
  if not is_tree(kind) then return { text = kind } end
  if self.depth >= MAX_DEPTH then error(("the values are nested deeper than %d"):format(MAX_DEPTH), 0) end
  self.depth = self.depth + 1
  local node
  if kind == "record" then
    node = self:record(path, table.unpack(parts, 2, 7))
  else
    node = self:container(kind, parts[2], parts[3], path)
  end
  self.depth = self.depth - 1
  return node
end

-- --- warnings -----------------------------------------------------------------------------------------------

local function is_harmful(name)
  for _, start in ipairs(harmful) do
    if name:sub(1, #start) == start then return true end
  end
  return false
end

local function warnings_of(report, info)
  local out = {}
  local function warn(...) out[#out + 1] = string.format(...) end
  local names, counts = {}, report.globals
  for name, times in pairs(report.odd) do counts[name] = times end -- what is known, called in a way that is not
  for name in pairs(counts) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local times = counts[name] > 0 and (", made %s"):format(count_of(counts[name], "time")) or ", named"
    if is_harmful(name) then
      warn("DANGER: %s%s: Python would run it when it loads this file", clean(name), times)
    else
      warn("inert: %s%s", clean(name), times)
    end
  end
  if info.code then warn("%s of TorchScript code, not read", count_of(tonumber(info.code), "file")) end
  for _, name in ipairs(info.unread or {}) do warn("a member that is not read: %s", clean(name)) end
  local wasteful = {}
  for _, storage in pairs(report.storages) do
    if storage.bytes - storage.used > WASTE_BYTES and storage.used < storage.bytes // 2 then
      wasteful[#wasteful + 1] = ("%s uses %s of a storage of %s"):format(storage.path, size_text(storage.used),
        size_text(storage.bytes))
    end
  end
  table.sort(wasteful)
  for _, text in ipairs(wasteful) do warn("%s", text) end
  return out, names
end

-- --- printing -----------------------------------------------------------------------------------------------

local function width_of(s) return utf8.len(s) or #s end

local function pad(s, width) return s .. (" "):rep(width - width_of(s)) end

-- Items separated by commas, on as many lines as they need.
local function write_flat(out, indent, items)
  local line = indent .. "["
  for i, item in ipairs(items) do
    local piece = item .. (i < #items and "," or "]")
    if #line > #indent + 1 and width_of(line) + 1 + width_of(piece) > WIDTH then
      out:write(line, "\n")
      line = indent .. " " .. piece
    else
      line = line .. (i > 1 and " " or "") .. piece
    end
  end
  out:write(line, #items == 0 and "]" or "", "\n")
end

local function write_nodes(out, nodes, indent)
  local names, shapes = 0, 0
  for _, node in ipairs(nodes) do
    names = math.max(names, math.min(width_of(node.name), 44))
    if node.dtype then shapes = math.max(shapes, math.min(#node.shape, 20)) end
  end
  for _, node in ipairs(nodes) do
    local start = indent .. pad(node.name, names) .. "  "
    if node.dtype then
      local line = start .. pad(node.dtype, 9) .. " " .. (node.notes == "" and node.shape or pad(node.shape, shapes))
      if node.notes ~= "" then
        local whole = line .. "  " .. node.notes
        line = width_of(whole) <= WIDTH and whole or line .. "\n" .. indent .. "    " .. node.notes
      end
      out:write(line, "\n")
    elseif node.flat then
      local inline = node.text .. " [" .. table.concat(node.flat, ", ") .. "]"
      if width_of(start) + width_of(inline) <= WIDTH then
        out:write(start, inline, "\n")
      else
        out:write(start, node.text, "\n")
        write_flat(out, indent .. "  ", node.flat)
      end
    else
      out:write(start, node.text, "\n")
    end
    write_nodes(out, node, indent .. "  ")
  end
end

local function fact(out, name, ...) out:write(pad(name, 10), "  ", string.format(...), "\n") end

local function producer_of(format, info)
  if info.producer then return clean(info.producer) end
  if format == "safetensors" then
    return info["metadata.format"] and ("safetensors, for '%s'"):format(clean(info["metadata.format"]))
  end
  if info.serialization_id then return ("PyTorch (serialization id %s)"):format(clean(info.serialization_id)) end
  if format == "npy" or format == "npz" then return "NumPy, or a program that writes its format" end
  return "PyTorch, or a program that writes its format"
end

local function write_text(out, path, report)
  out:write(clean(path), ": ", formats[report.format] or report.format, ", ", size_text(report.file_bytes), "\n")
  local info = report.info
  local producer = producer_of(report.format, info)
  if producer then fact(out, "producer", "%s", producer) end
  local about = {}
  if info.archive then about[#about + 1] = "folder '" .. clean(info.archive) .. "'" end
  if info.version then about[#about + 1] = "version " .. clean(info.version) end
  if info.byteorder then about[#about + 1] = clean(info.byteorder) .. "-endian" end
  if #about > 0 then fact(out, "archive", "%s", table.concat(about, ", ")) end
  for _, key in ipairs(info) do
    local name = key:match "^metadata%.(.*)"
    if name and name ~= "format" then fact(out, "metadata", "%s = %s", clean(name), quoted(info[key])) end
  end
  local elements = 0
  for _, group in ipairs(report.dtypes) do elements = elements + group.elements end
  fact(out, "tensors", "%s in %s, %s, %s", count_of(#report.tensors, "tensor"), count_of(report.storage_count, "storage"),
    count_of(elements, "element"), size_text(report.bytes))
  for _, group in ipairs(report.dtypes) do
    fact(out, "", "%s %s, %s", pad(group.dtype, 9), count_of(group.tensors, "tensor"), count_of(group.elements, "element"))
  end
  for i, text in ipairs(report.warnings) do fact(out, i == 1 and "warnings" or "", "%s", text) end
  out:write "\n"
  local root = report.root
  if root.dtype or #root == 0 then
    root.name = "(the whole)"
    write_nodes(out, { root }, "")
  else
    out:write(root.text, "\n")
    write_nodes(out, root, "  ")
  end
end

local function write_json(out, path, report)
  local json = require "lampad.json"
  local function text(s) return utf8.len(s) and s or clean(s) end
  local tensors, warnings, inert = {}, {}, {}
  for i, tensor in ipairs(report.tensors) do
    local shape = {}
    for k, size in ipairs(tensor.shape) do shape[k] = math.tointeger(tonumber(size)) end
    tensors[i] = { name = text(tensor.name), dtype = tensor.dtype, shape = json.array(shape), bytes = tensor.bytes,
      notes = json.array(tensor.notes) }
  end
  for i, warning in ipairs(report.warnings) do warnings[i] = warning end
  for i, name in ipairs(report.inert) do inert[i] = clean(name) end
  out:write(json.encode { file = text(path), format = report.format, file_bytes = report.file_bytes,
    producer = producer_of(report.format, report.info), tensor_bytes = report.bytes, tensors = json.array(tensors),
    warnings = json.array(warnings), inert = json.array(inert) }, "\n")
end

-- --- the command --------------------------------------------------------------------------------------------

-- Facts the file says of itself: name -> text, the names in order as a list; `unread` is a list.
local function facts_of(tree, number)
  local info = {}
  local _, numbers = nil, {}
  if number then _, numbers = core.checkpoint_node(tree, number) end
  for i = 1, #numbers, 2 do
    local _, key = core.checkpoint_node(tree, numbers[i])
    local _, value = core.checkpoint_node(tree, numbers[i + 1])
    if key == "unread" then
      info.unread = info.unread or {}
      table.insert(info.unread, value)
    else
      info[key] = tostring(value)
      info[#info + 1] = key
    end
  end
  return info
end

local function inspect(path)
  local tree, message = core.checkpoint_describe(path)
  if not tree then return nil, message end
  local number, format, info = core.checkpoint_root(tree)
  local report = setmetatable({ tree = tree, format = format, made = {}, depth = 0, storages = {}, storage_count = 0,
    bytes = 0, dtypes = {}, tensors = {}, globals = core.checkpoint_globals(tree), odd = {} }, Report)
  report.info = facts_of(tree, info)
  local file = io.open(path, "rb")
  report.file_bytes = file and file:seek "end" or 0
  if file then file:close() end
  report.root = report:describe(number, "")
  report.warnings, report.inert = warnings_of(report, report.info)
  core.checkpoint_close(tree)
  return report
end

--- inspect(...): the arguments of `lampad inspect`; writes to stdout and returns the exit status: 0, 1 when a file could
--- not be described, 2 when the arguments make no sense.
return function(...)
  local write, paths = write_text, {}
  for _, word in ipairs { ... } do
    if word == "--json" then
      write = write_json
    elseif word:sub(1, 2) == "--" and word ~= "--" then
      io.stderr:write(("lampad: '%s' is not an option of inspect\n"):format(word))
      return USAGE
    elseif word ~= "--" then
      paths[#paths + 1] = word
    end
  end
  if #paths == 0 then
    io.stderr:write "usage: lampad inspect [--json] FILE...\n"
    return USAGE
  end
  local status = 0
  for i, path in ipairs(paths) do
    local ok, report, message = pcall(inspect, path)
    if ok and report then
      if i > 1 and write == write_text then io.stdout:write "\n" end
      write(io.stdout, path, report)
    else
      io.stdout:flush()
      local why = clean(tostring(ok and message or report))
      local named = why:find(path, 1, true) and "" or clean(path) .. ": "
      io.stderr:write("lampad: ", named, why, "\n")
      status = 1
    end
  end
  return status
end
