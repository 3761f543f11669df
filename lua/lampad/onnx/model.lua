-- What torch.onnx.load gives: an object that is called with the model's inputs and tells what the file says of itself.
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local core = require "lampad.core"
local protobuf = require "lampad.onnx.protobuf"
local schema = require "lampad.onnx.schema"
local graphs = require "lampad.onnx.graph"
local value = require "lampad.onnx.value"
local types = require "lampad.onnx.types"

local torch = core.torch

--- Fields: name, producer_name, producer_version, domain, model_version, ir_version, doc_string (strings and integers of
--- the file); opset (versions by domain, "" for ONNX's own operators); metadata (a table of strings); inputs, outputs
--- (lists of { name, type, shape }, where a dim of unknown size is its name or "?").
local Model = class.Object:extend "Model"

-- --- descriptions of types ----------------------------------------------------------------------------
local function shape_of(shape_proto)
  if not shape_proto then return nil end
  local shape = {}
  for i, dim in ipairs(shape_proto.dim or {}) do shape[i] = dim.dim_value or dim.dim_param or "?" end
  return shape
end

local function element_name(code)
  local kind = types[code or 0]
  return kind and kind.name or "?"
end

-- "float32", "sequence of float32", "optional sequence of string", "map from int64 to float32".
local function type_name(proto)
  if not proto then return "?" end
  if proto.tensor_type then return element_name(proto.tensor_type.elem_type) end
  if proto.sparse_tensor_type then return "sparse " .. element_name(proto.sparse_tensor_type.elem_type) end
  if proto.sequence_type then return "sequence of " .. type_name(proto.sequence_type.elem_type) end
  if proto.optional_type then return "optional " .. type_name(proto.optional_type.elem_type) end
  if proto.map_type then
    return ("map from %s to %s"):format(element_name(proto.map_type.key_type), type_name(proto.map_type.value_type))
  end
  return "?"
end

local function describe(entry)
  return {
    name = entry.name, type = type_name(entry.proto),
    shape = entry.proto and entry.proto.tensor_type and shape_of(entry.proto.tensor_type.shape),
  }
end

local function describe_text(entry)
  if not entry.shape then return ("%s: %s"):format(entry.name, entry.type) end
  local dims = {}
  for i, dim in ipairs(entry.shape) do dims[i] = tostring(dim) end
  return ("%s: %s [%s]"):format(entry.name, entry.type, table.concat(dims, ", "))
end

-- --- reading ------------------------------------------------------------------------------------------
-- The function that fetches a tensor's bytes from another file beside the model; `folder` is nil when the model came
-- from a string. The file must lie in the model's folder or below.
local function external_reader(what, folder)
  return function(proto)
    local place = {}
    for _, entry in ipairs(proto.external_data or {}) do place[entry.key or ""] = entry.value end
    local location = place.location or ""
    if not folder then args.fail(what, "tensor '%s' lies in another file, '%s'; load the model by its path", proto.name, location) end
    if location == "" or location:find("^[/\\]") or location:find("^%a:") or location:find("\0", 1, true)
      or ("/" .. location:gsub("\\", "/") .. "/"):find("/../", 1, true) then
      args.fail(what, "tensor '%s' lies in '%s', which is not in the model's folder", proto.name, location)
    end
    local file <close> = io.open(folder .. location, "rb")
    if not file then args.fail(what, "cannot open '%s' for tensor '%s'", folder .. location, proto.name) end
    local end_of_file = file:seek "end"
    local offset = math.tointeger(tonumber(place.offset or "0"))
    local length = math.tointeger(tonumber(place.length or tostring(end_of_file - (offset or 0))))
    if not offset or not length or offset < 0 or length < 0 or offset > end_of_file or length > end_of_file - offset then
      args.fail(what, "'%s' is too short for tensor '%s'", folder .. location, proto.name)
    end
    file:seek("set", offset)
    local source = length > 0 and file:read(length) or ""
    if not source or #source ~= length then args.fail(what, "cannot read '%s'", folder .. location) end
    return { source = source, at = 1, size = length }
  end
end

-- Raises when the file needs operators that there are not.
local function check_missing(context)
  local names = {}
  for name, count in pairs(context.missing) do names[#names + 1] = ("%s (%d)"):format(name, count) end
  if #names == 0 then return end
  table.sort(names)
  args.fail(context.what, "the model needs operators that are not there: %s", table.concat(names, ", "))
end

--- Model(bytes, what, folder): see torch.onnx.load.
function Model:init(bytes, what, folder)
  local proto = protobuf.decode(schema, "ModelProto", bytes, what)
  if not proto.graph then args.fail(what, "this is no ONNX model: it has no graph") end
  local context = {
    what = what, called_nodes = 0, missing = {}, functions = {}, opsets = graphs.opsets_of(proto.opset_import),
    read_external = external_reader(what, folder),
  }
  -- Before IR version 3 a file had no list of operator sets.
  if not context.opsets[""] then context.opsets[""] = 1 end
  for _, f in ipairs(proto.functions or {}) do
    context.functions[graphs.function_key(f.domain, f.name or "", f.overload)] = f
  end
  local graph = graphs.prepare(context, proto.graph)
  check_missing(context)
  context.functions = nil -- no longer needed, nor the bytes they point to

  rawset(self, "_graph", graph)
  rawset(self, "_context", context)
  self.name = graph.name
  for _, field in ipairs { "producer_name", "producer_version", "domain", "doc_string" } do self[field] = proto[field] or "" end
  self.ir_version, self.model_version = proto.ir_version or 0, proto.model_version or 0
  self.opset = context.opsets
  self.metadata = {}
  for _, entry in ipairs(proto.metadata_props or {}) do self.metadata[entry.key or ""] = entry.value or "" end
  self.inputs, self.outputs = {}, {}
  for _, entry in ipairs(graph.inputs) do
    -- Old files list the weights among the inputs.
    if graph.constants[entry.name] == nil then self.inputs[#self.inputs + 1] = describe(entry) end
  end
  for i, entry in ipairs(graph.outputs) do self.outputs[i] = describe(entry) end
end

-- --- calling ------------------------------------------------------------------------------------------
-- The value for an input, checked against what the file declares.
local function check_input(entry, given)
  local kind = graphs.declared_type(entry)
  local v = value.from_lua(given, kind)
  if v == nil or (kind and not (torch.is_tensor(v) or value.is_typed(v))) then
    args.fail("Model", "input '%s' must be %s, got %s", entry.name, type_name(entry.proto), text.describe(given))
  end
  if not kind then return v end
  local got = value.type_of(v)
  if got ~= kind then
    args.fail("Model", "input '%s' must be %s, got %s", entry.name, kind.wide and kind.name ~= "string"
      and ("%s (held in %s)"):format(kind.name, tostring(kind.dtype)) or kind.name, got and got.name or text.describe(given))
  end
  local shape = entry.proto.tensor_type and shape_of(entry.proto.tensor_type.shape)
  local sizes = { value.tensor_of(v).shape:unpack() }
  local fits = not shape or #shape == #sizes
  for i = 1, fits and shape and #shape or 0 do
    fits = fits and (math.type(shape[i]) ~= "integer" or shape[i] == sizes[i])
  end
  if not fits then
    args.fail("Model", "input %s does not fit a tensor of sizes [%s]", describe_text(describe(entry)), table.concat(sizes, ", "))
  end
  return v
end

-- The arguments of a call as a table by name.
local function name_arguments(self, ...)
  local count = select("#", ...)
  local first = ...
  if count == 1 and args.is_named(first) and next(first) ~= nil then return first end
  if count > #self.inputs then
    args.fail("Model", "takes %d input%s, got %d", #self.inputs, #self.inputs == 1 and "" or "s", count)
  end
  local named = {}
  for i = 1, count do named[self.inputs[i].name] = (select(i, ...)) end
  return named
end

-- Names the node in which an error happened.
local function add_node(context)
  return function(err)
    local node = context.node
    if type(err) ~= "string" or err == "interrupted" or not node then return err end
    -- A fault of Lua in an operator's function: a corrupt file's attributes or values are not what the operator takes.
    if err:find("attempt to ", 1, true) then err = "an attribute or input is not what the operator takes: " .. err end
    return ("%s\n  in %s"):format(err, node:describe())
  end
end

--- Runs the model on raw values (value.lua), by name; gives its outputs as raw values.
function Model:run_values(named)
  local graph, context = self._graph, self._context
  local known, arguments = {}, { n = #graph.inputs }
  for i, entry in ipairs(graph.inputs) do
    known[#known + 1] = entry.name
    local given = named[entry.name]
    if given ~= nil then
      arguments[i] = check_input(entry, given)
    elseif graph.constants[entry.name] == nil and not (entry.proto and entry.proto.optional_type) then
      args.fail("Model", "input '%s' is missing", entry.name)
    end
  end
  args.check_names("Model", named, known)
  context.node = nil
  local results = table.pack(xpcall(graph.run, add_node(context), graph, context, arguments))
  context.node = nil
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

--- model(a, b, ...) in the order of model.inputs, or model{ name = a, ... }: the outputs, as several results.
function Model:__call(...)
  local results = table.pack(self:run_values(name_arguments(self, ...)))
  for i = 1, results.n do results[i] = value.to_lua(results[i]) end
  return table.unpack(results, 1, results.n)
end

function Model:__tostring()
  local lines = {}
  local producer = self.producer_name
  if self.producer_version ~= "" then producer = producer .. " " .. self.producer_version end
  lines[1] = ("ONNX model '%s'%s, opset %d, %d node%s"):format(self.name, producer ~= "" and " by " .. producer or "",
    self.opset[""], #self._graph.nodes, #self._graph.nodes == 1 and "" or "s")
  for _, entry in ipairs(self.inputs) do lines[#lines + 1] = "  input   " .. describe_text(entry) end
  for _, entry in ipairs(self.outputs) do lines[#lines + 1] = "  output  " .. describe_text(entry) end
  return table.concat(lines, "\n")
end

return Model
