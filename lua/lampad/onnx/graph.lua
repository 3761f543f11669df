-- Graphs: made ready once from their messages (names checked, attributes decoded, operators found), then run as often
-- as wanted. Subgraphs of If, Loop, Scan are graphs that also see the names around them; a call of one of the model's
-- own functions is a graph that sees nothing but its inputs.
local args = require "lampad.args"
local tensor = require "lampad.onnx.tensor"
local types = require "lampad.onnx.types"
local value = require "lampad.onnx.value"
local operators = require "lampad.onnx.ops"
local arity = require "lampad.onnx.arity"
local text = require "lampad.text"

-- Functions may call each other; a file in which they call themselves, or multiply beyond reason, is refused.
local MAX_CALL_DEPTH = 100
local MAX_CALLED_NODES = 100000

local ABSENT = {} -- in an environment: an optional value that is not there

local function domain_of(name) return name == nil and "" or name == "ai.onnx" and "" or name end

-- --- nodes --------------------------------------------------------------------------------------------
local Node = {}
Node.__index = Node

--- "Conv node 'conv_1'".
function Node:describe()
  local label = self.name or ""
  if label == "" then label = self.outputs[1] or "" end
  return ("%s node '%s'"):format(self.op_type, label)
end

function Node:fail(format, ...) args.fail(nil, format, ...) end

--- An attribute, or the default, whose type it must have.
function Node:get(name, default)
  local v = self.attributes[name]
  if v == nil then return default end
  if default ~= nil and type(v) ~= type(default) or math.type(default) == "integer" and math.type(v) ~= "integer" then
    self:fail("attribute '%s' of %s must be like %s, got %s", name, self.op_type, text.repr(default), text.describe(v))
  end
  return v
end

--- An attribute that must be there.
function Node:need(name)
  local v = self.attributes[name]
  if v == nil then self:fail("%s needs the attribute '%s'", self.op_type, name) end
  return v
end

--- An attribute that must be there and an integer, or a list of integers.
function Node:integer(name)
  self:need(name)
  return self:get(name, 0)
end

function Node:integers(name)
  local list = self:need(name)
  if type(list) ~= "table" or getmetatable(list) ~= nil or #list > 0 and math.type(list[1]) ~= "integer" then
    self:fail("attribute '%s' of %s must be a list of integers, got %s", name, self.op_type, text.describe(list))
  end
  return list
end

--- The element type (types.lua) that a code stands for.
function Node:element_type(code)
  return types[code] or self:fail("unknown element type %s", tostring(code))
end

--- An attribute that is a flag.
function Node:flag(name, default) return self:get(name, default or 0) ~= 0 end

--- A dim of a tensor with `ndim` dims, counted from 0; negative ones count from the end.
function Node:axis(axis, ndim)
  local limit = math.max(ndim, 1)
  if math.type(axis) ~= "integer" or axis < -limit or axis >= limit then
    self:fail("axis must be in [%d, %d], got %s", -limit, limit - 1, tostring(axis))
  end
  return axis < 0 and axis + ndim or axis
end

--- Runs a graph that is an attribute, with these values for its inputs. It sees the names around the node; a graph that was
--- handed to a function sees those around the call.
function Node:run_graph(graph, ...)
  return graph:run(self.context, table.pack(...), graph.caller and graph.caller.environment or self.environment)
end

-- --- attributes ---------------------------------------------------------------------------------------
local prepare -- below

-- By type code: the value of an AttributeProto. `scope` is what a subgraph sees.
local attribute_readers = {
  [1] = function(_, a) return a.f or 0.0 end,
  [2] = function(_, a) return a.i or 0 end,
  [3] = function(_, a) return a.s or "" end,
  [4] = function(context, a) return tensor.read(context, a.t or {}) end,
  [5] = function(context, a, place) return prepare(context, a.g or {}, place) end,
  [6] = function(_, a) return a.floats or {} end,
  [7] = function(_, a) return a.ints or {} end,
  [8] = function(_, a) return a.strings or {} end,
  [9] = function(context, a)
    local list = {}
    for i, t in ipairs(a.tensors or {}) do list[i] = tensor.read(context, t) end
    return list
  end,
  [10] = function(context, a, place)
    local list = {}
    for i, g in ipairs(a.graphs or {}) do list[i] = prepare(context, g, place) end
    return list
  end,
  [11] = function(context, a) return tensor.read_sparse(context, a.sparse_tensor or {}) end,
  [13] = function(_, a) return a.tp or {} end,
  [14] = function(_, a) return a.type_protos or {} end,
}

-- Old files do not say an attribute's type; the field that is there tells.
local function attribute_type(a)
  if (a.type or 0) ~= 0 then return a.type end
  return a.f and 1 or a.i and 2 or a.s and 3 or a.t and 4 or a.g and 5 or a.floats and 6 or a.ints and 7 or a.strings and 8
    or a.tensors and 9 or a.graphs and 10 or 7
end

local function read_attributes(context, protos, place)
  local attributes = {}
  for _, a in ipairs(protos or {}) do
    local name = a.name or ""
    if a.ref_attr_name and a.ref_attr_name ~= "" then
      attributes[name] = place.arguments and place.arguments[a.ref_attr_name]
    else
      local read = attribute_readers[attribute_type(a)]
      if not read then args.fail(context.what, "attribute '%s' has the unsupported type %d", name, a.type) end
      attributes[name] = read(context, a, place)
    end
  end
  return attributes
end

-- --- making a graph ready -----------------------------------------------------------------------------
-- Where a graph stands: `names` known around it (nil when there are none), `arguments` of the function it belongs to,
-- `opsets` versions by domain, `depth` of function calls.
local Graph = {}
Graph.__index = Graph

local function function_key(domain, name, overload)
  return domain_of(domain) .. "\0" .. name .. "\0" .. (overload or "")
end

-- Versions of operator sets by domain.
local function opsets_of(imports)
  local opsets = {}
  for _, import in ipairs(imports or {}) do opsets[domain_of(import.domain)] = import.version or 1 end
  return opsets
end

-- The graph of a call of the model's function `proto`, with the attributes of the calling node.
local function prepare_call(context, proto, attributes, depth)
  if depth > MAX_CALL_DEPTH then
    args.fail(context.what, "functions call each other more than %d deep (function '%s')", MAX_CALL_DEPTH, proto.name)
  end
  local opsets = opsets_of(proto.opset_import)
  for domain, version in pairs(context.opsets) do opsets[domain] = opsets[domain] or version end
  local arguments = read_attributes(context, proto.attribute_proto, { opsets = opsets, depth = depth })
  for name, v in pairs(attributes) do arguments[name] = v end
  local inputs, outputs = {}, {}
  for i, name in ipairs(proto.input or {}) do inputs[i] = { name = name } end
  for i, name in ipairs(proto.output or {}) do outputs[i] = { name = name } end
  return prepare(context, { name = proto.name, node = proto.node, input = inputs, output = outputs },
    { opsets = opsets, depth = depth, arguments = arguments })
end

-- Finds what runs a node: an operator, or the body of one of the model's functions.
local function resolve(context, node, overload, depth)
  local own = context.functions[function_key(node.domain, node.op_type, overload)]
  if own then
    for _, v in pairs(node.attributes) do
      if getmetatable(v) == Graph then v.caller = v.caller or node end
    end
    node.body = prepare_call(context, own, node.attributes, depth + 1)
    return
  end
  local known = operators[node.domain]
  local op = known and known[node.op_type]
  if op then
    node.op = value.op_of(op)
    local fewest, most = arity.of(node.op_type, node.opset)
    if #node.inputs < fewest or #node.inputs > most then
      args.fail(context.what, "%s has %d inputs, expected %s", node:describe(), #node.inputs,
        fewest == most and fewest or most == math.huge and ("at least %d"):format(fewest) or ("%d to %d"):format(fewest, most))
    end
    node.required = fewest
  else
    local name = (node.domain ~= "" and node.domain .. "." or "") .. node.op_type
    context.missing[name] = (context.missing[name] or 0) + 1
  end
end

local function prepare_node(context, proto, place, names)
  if place.depth > 0 then
    context.called_nodes = context.called_nodes + 1
    if context.called_nodes > MAX_CALLED_NODES then
      args.fail(context.what, "more than %d nodes in calls of functions", MAX_CALLED_NODES)
    end
  end
  local domain = domain_of(proto.domain)
  local node = setmetatable({
    op_type = proto.op_type or "", domain = domain, name = proto.name, inputs = proto.input or {},
    outputs = proto.output or {}, opset = place.opsets[domain] or 1, context = context,
  }, Node)
  node.attributes = read_attributes(context, proto.attribute,
    { names = names, opsets = place.opsets, depth = place.depth, arguments = place.arguments })
  resolve(context, node, proto.overload, place.depth)
  return node
end

-- Calls visit(name) for every name that a node reads, also those that its subgraphs read from outside.
local function each_read(node, visit)
  for _, name in ipairs(node.inputs) do
    if name ~= "" then visit(name) end
  end
  local function graph_reads(v)
    if getmetatable(v) == Graph and (not v.caller or v.caller == node) then
      for name in pairs(v.captured) do visit(name) end
    end
  end
  for _, v in pairs(node.attributes) do
    graph_reads(v)
    if type(v) == "table" and getmetatable(v) == nil then
      for _, member in ipairs(v) do graph_reads(member) end
    end
  end
end

-- Notes at each node which values nobody reads after it, so that their memory is free early.
local function plan_releases(graph)
  local kept = {}
  for _, output in ipairs(graph.outputs) do kept[output.name] = true end
  for i = #graph.nodes, 1, -1 do
    local node = graph.nodes[i]
    local releases = {}
    local function release(name)
      if not kept[name] and graph.own[name] then
        kept[name] = true
        releases[#releases + 1] = name
      end
    end
    each_read(node, release)
    for _, name in ipairs(node.outputs) do release(name) end
    node.releases = releases
  end
end

-- Names and types of the values at a graph's border.
local function describe_values(protos)
  local list = {}
  for i, proto in ipairs(protos or {}) do list[i] = { name = proto.name or "", proto = proto.type } end
  return list
end

--- The graph of a GraphProto.
function prepare(context, proto, place)
  local graph = setmetatable({
    name = proto.name or "", inputs = describe_values(proto.input), outputs = describe_values(proto.output),
    nodes = {}, constants = {}, captured = {}, own = {},
  }, Graph)
  local names = setmetatable({}, { __index = place.names })
  local function define(name) names[name], graph.own[name] = true, true end

  for _, input in ipairs(graph.inputs) do define(input.name) end
  for _, init in ipairs(proto.initializer or {}) do
    graph.constants[init.name or ""] = tensor.read(context, init)
    names[init.name or ""] = true
  end
  for _, init in ipairs(proto.sparse_initializer or {}) do
    local name = init.values and init.values.name or ""
    graph.constants[name] = tensor.read_sparse(context, init)
    names[name] = true
  end
  local function read(name, reader)
    if not names[name] then
      args.fail(context.what, "%s reads '%s', which nothing before it makes", reader, name)
    end
    if not rawget(names, name) then graph.captured[name] = true end
  end
  for i, node_proto in ipairs(proto.node or {}) do
    local node = prepare_node(context, node_proto, place, names)
    each_read(node, function(name) read(name, node:describe()) end)
    for _, name in ipairs(node.outputs) do
      if name ~= "" then define(name) end
    end
    graph.nodes[i] = node
  end
  for _, output in ipairs(graph.outputs) do read(output.name, ("the output of graph '%s'"):format(graph.name)) end
  plan_releases(graph)
  return graph
end

-- --- running ------------------------------------------------------------------------------------------
local function run_node(context, node, environment)
  local arguments, count = {}, #node.inputs
  for i, name in ipairs(node.inputs) do
    local v = name ~= "" and environment[name] or nil
    if v == ABSENT then v = nil end
    arguments[i] = v
  end
  node.environment = environment
  if node.body then
    arguments.n = count
    return node.body:run(context, arguments)
  end
  for i = 1, node.required do
    if arguments[i] == nil then node:fail("input %d ('%s') is absent", i - 1, node.inputs[i]) end
  end
  return value.apply(node.op, node, arguments, count)
end

-- Puts a node's results under their names.
local function store(node, environment, ...)
  for i, name in ipairs(node.outputs) do
    if name ~= "" then
      local v = (select(i, ...))
      environment[name] = v == nil and ABSENT or v
    end
  end
end

--- Runs the graph on values for its inputs, in order; gives the outputs. `outer` is the environment around a subgraph.
function Graph:run(context, arguments, outer)
  local environment = setmetatable({}, { __index = outer })
  for name, constant in pairs(self.constants) do environment[name] = constant end
  if arguments.n > #self.inputs then
    args.fail(nil, "graph '%s' takes %d inputs, got %d", self.name, #self.inputs, arguments.n)
  end
  for i, input in ipairs(self.inputs) do
    local v = arguments[i]
    if v ~= nil then
      environment[input.name] = v
    elseif self.constants[input.name] == nil then
      environment[input.name] = ABSENT
    end
  end
  local caller = context.node
  for _, node in ipairs(self.nodes) do
    context.node = node
    store(node, environment, run_node(context, node, environment))
    node.environment = nil
    for _, name in ipairs(node.releases) do environment[name] = nil end
  end
  context.node = caller
  local results = {}
  for i, output in ipairs(self.outputs) do
    local v = environment[output.name]
    if v ~= ABSENT then results[i] = v end
  end
  return table.unpack(results, 1, #self.outputs)
end

--- The declared element type of an input or output that is a tensor (an entry of types.lua), or nil.
function Graph.declared_type(entry)
  local tensor_type = entry.proto and (entry.proto.tensor_type or entry.proto.sparse_tensor_type)
  return tensor_type and types[tensor_type.elem_type or 0] or nil
end

return {
  prepare = function(context, proto)
    return prepare(context, proto, { opsets = context.opsets, depth = 0 })
  end,
  opsets_of = opsets_of, function_key = function_key, declared_type = Graph.declared_type,
}
