-- vision.models.feature_extraction (torchvision.models.feature_extraction, and IntermediateLayerGetter of its _utils):
-- networks that return the outputs of layers on the way.
--
-- torchvision traces the program of a network; here hooks watch its modules while it runs. A node is therefore a module's
-- output, named by the module's path: "layer1", "layer1.0.conv1"; of a layer of torch.nn that runs several times, the
-- first time "relu", then "relu_1", "relu_2". What is computed between modules (torchvision's "flatten", "add", and "x"
-- for the input) has no name.
local core = require "lampad.core"
local args = require "lampad.args"
local class = require "lampad.class"
local text = require "lampad.text"
local OrderedDict = require "lampad.ordered_dict"
local nn = require "lampad.nn"

local torch = core.torch
local extraction = {}

-- A layer of torch.nn itself, of which nothing inside is shown; containers are looked into.
local function is_leaf(module)
  local C = class.class_of(module)
  return C ~= nil and nn[C.__name] == C and not class.isinstance(module, nn.Sequential)
    and not class.isinstance(module, nn.ModuleList) and not class.isinstance(module, nn.ModuleDict)
end

-- Calls visit(path, module, leaf) for the modules whose calls are nodes: all below root, but none inside leaves.
local function walk(root, visit)
  local seen = {}
  local function down(path, module)
    for name, child in module:named_children() do
      local here = path == "" and name or path .. "." .. name
      if not seen[child] then
        seen[child] = true
        local leaf = is_leaf(child)
        visit(here, child, leaf)
        if not leaf then down(here, child) end
      end
    end
  end
  down("", root)
end

-- Takes the hooks off again, whatever happens: local _ <close> = removing(handles).
local function removing(handles)
  return setmetatable({}, { __close = function()
    for _, handle in ipairs(handles) do handle:remove() end
  end })
end

local function adding_path(err)
  if type(err) == "string" and not err:find "\n  in [^\n]+$" then
    local path = core.module_path()
    return path and err .. "\n  in " .. path or err
  end
  return err
end

-- --- names ------------------------------------------------------------------------------------------------------
local names_spec = args [[get_graph_node_names(Module model, any tracer_kwargs=nil, bool suppress_diff_warning=false,
  any concrete_args=nil, *, any input=nil)]]

--- get_graph_node_names(model, {input = x}): the names of the layers that ran, in order, twice: for train and for eval
--- mode, which are not told apart. The model runs once, in eval mode and without gradients, on `input` (a tensor or a list
--- of arguments; zeros of (1, 3, 224, 224) without it). PyTorch's other arguments are accepted and have no effect.
function extraction.get_graph_node_names(...)
  local model, _, _, _, input = names_spec(...)
  local names, calls, handles = {}, {}, {}
  walk(model, function(path, module, leaf)
    local first = true
    for _ in module:children() do first = false end
    if not leaf and not first then return end -- what has layers inside is named by them
    handles[#handles + 1] = module:register_forward_hook(function()
      local n = calls[module] or 0
      calls[module] = n + 1
      names[#names + 1] = n == 0 and path or path .. "_" .. n
    end)
  end)
  local inputs = input
  if inputs == nil then inputs = { torch.zeros(1, 3, 224, 224) } end
  if torch.is_tensor(inputs) then inputs = { inputs } end
  local training = {}
  for module in model:modules() do training[module] = module.training end
  local ok, err
  do
    local _ <close> = removing(handles)
    model:eval()
    ok, err = xpcall(function()
      torch.no_grad(function() model(table.unpack(inputs, 1, inputs.n or #inputs)) end)
    end, adding_path)
    for module, was in pairs(training) do module.training = was end
  end
  if not ok then
    if input == nil and type(err) == "string" then
      args.fail("get_graph_node_names", "the model did not run on zeros of shape (1, 3, 224, 224); give an input that it "
        .. "takes, {input = x}: %s", err)
    end
    error(err, 0)
  end
  return names, table.move(names, 1, #names, 1, {})
end

-- --- the extractor --------------------------------------------------------------------------------------------------
-- {node = name} of a list of nodes, a table or an OrderedDict of names by node.
local function wanted_nodes(what, given)
  local wanted = {}
  local list = type(given) == "table" and getmetatable(given) == nil and #given > 0 and given
  if list then
    for _, node in ipairs(list) do wanted[tostring(node)] = tostring(node) end
  elseif OrderedDict.is(given) or (type(given) == "table" and getmetatable(given) == nil) then
    for node, name in pairs(given) do wanted[tostring(node)] = tostring(name) end
  else
    args.fail("create_feature_extractor", "%s must be a list of nodes or a table of names by node, got %s", what,
      text.describe(given))
  end
  return wanted
end

-- {module, name, call}: which call of the module the node is; nil: the last.
local function resolve(model, node)
  local modules = {}
  walk(model, function(path, module, leaf) modules[path] = { module = module, leaf = leaf } end)
  -- A module that is registered twice is walked once; its other paths lead to it too.
  local function find(path)
    if modules[path] then return modules[path] end
    local ok, module = pcall(model.get_submodule, model, path)
    return ok and path ~= "" and module ~= nil and { module = module, leaf = is_leaf(module) } or nil
  end
  local found = find(node)
  if found then return { module = found.module, call = found.leaf and 0 or nil } end
  local path, times = node:match "^(.*)_(%d+)$"
  found = path and find(path)
  if found and tonumber(times) > 0 then return { module = found.module, call = math.tointeger(tonumber(times)) } end
  args.fail("create_feature_extractor", "node: '%s' is not present in model. Hint: use `get_graph_node_names` to make sure "
    .. "the `return_nodes` you specified are present. Nodes are modules; what is computed between them (flatten, add) has "
    .. "no name", node)
end

local FeatureExtractor = nn.Module:extend "FeatureExtractor"

-- Children, parameters and buffers are the model's own, under its names; the model itself is no child.
local function adopt(self, model)
  for name, child in model:named_children() do self:add_module(name, child) end
  for name, p in model:named_parameters { recurse = false } do self:register_parameter(name, p) end
  for name, b in model:named_buffers { recurse = false } do self:register_buffer(name, b) end
end

function FeatureExtractor:init(model, train_nodes, eval_nodes)
  self:_set { _source = { model }, _plans = { [true] = train_nodes, [false] = eval_nodes } }
  adopt(self, model)
  self:train(model.training)
end

function FeatureExtractor:_get_name() return self._source[1]:_get_name() end

local STOP = setmetatable({}, { __tostring = function() return "the last node of a feature extractor has run" end })

function FeatureExtractor:forward(...)
  local model, plan = self._source[1], self._plans[self.training]
  model.training = self.training
  -- What moved to another dtype or was replaced in the extractor is the model's too.
  for name, p in self:named_parameters { recurse = false } do
    if not rawequal(model[name], p) then model[name] = p end
  end
  for name, b in self:named_buffers { recurse = false } do
    if not rawequal(model[name], b) then model[name] = b end
  end
  local inputs = table.pack(...)
  local values, when, handles, clock, missing = {}, {}, {}, 0, plan.total
  local counts = {}
  for module, nodes in pairs(plan.by_module) do
    handles[#handles + 1] = module:register_forward_hook(function(_, _, output)
      local call = counts[module] or 0
      counts[module] = call + 1
      for _, node in ipairs(nodes) do
        if node.call == nil or node.call == call then
          clock = clock + 1
          values[node.name], when[node.name] = output, clock
          -- The last call of a module is known from the first run, which goes to its end.
          if plan.calls and call == (node.call or plan.calls[module] - 1) then missing = missing - 1 end
        end
      end
      if plan.calls and missing == 0 then error(STOP, 0) end
    end)
  end
  local ok, err
  do
    local _ <close> = removing(handles)
    ok, err = xpcall(function() model(table.unpack(inputs, 1, inputs.n)) end, adding_path)
  end
  if not ok and not rawequal(err, STOP) then error(err, 0) end
  if not plan.calls then plan.calls = counts end
  local names, result = {}, OrderedDict()
  for name in pairs(values) do names[#names + 1] = name end
  if #names < plan.total then
    for _, nodes in pairs(plan.by_module) do
      for _, node in ipairs(nodes) do
        if values[node.name] == nil then
          args.fail("create_feature_extractor", "node '%s' was not reached: its module %s", node.path,
            node.call and node.call > 0 and "runs fewer times" or "gave nothing")
        end
      end
    end
  end
  table.sort(names, function(a, b) return when[a] < when[b] end)
  for _, name in ipairs(names) do result[name] = values[name] end
  return result
end

local create_spec = args [[create_feature_extractor(Module model, any return_nodes=nil, any train_return_nodes=nil,
  any eval_return_nodes=nil, any tracer_kwargs=nil, bool suppress_diff_warning=false, any concrete_args=nil)]]

--- create_feature_extractor(model, return_nodes): a module that runs the model and returns an OrderedDict of the outputs of
--- the nodes, in the order in which they ran: a list of nodes, or a table of the names to give them, {layer1 = "low"}.
--- A path to a module with others inside is its last call's output. train_return_nodes and eval_return_nodes, together,
--- serve the two modes. It has the model's parameters under the model's names. Its first call runs the model to its end,
--- later ones stop when the last node has run.
function extraction.create_feature_extractor(...)
  local model, nodes, train_nodes, eval_nodes = create_spec(...)
  local what = "create_feature_extractor"
  if nodes == nil and train_nodes == nil and eval_nodes == nil then
    args.fail(what, "Either `return_nodes` or `train_return_nodes` and `eval_return_nodes` together, should be specified")
  end
  if (train_nodes == nil) ~= (eval_nodes == nil) then
    args.fail(what, "If any of `train_return_nodes` and `eval_return_nodes` are specified, then both should be specified")
  end
  if nodes ~= nil and train_nodes ~= nil then
    args.fail(what, "expected `return_nodes`, or `train_return_nodes` and `eval_return_nodes`, not all of them")
  end
  local function plan(argument, given)
    local by_module, total = {}, 0
    for node, name in pairs(wanted_nodes(argument, given)) do
      local found = resolve(model, node)
      by_module[found.module] = by_module[found.module] or {}
      table.insert(by_module[found.module], { path = node, name = name, call = found.call })
      total = total + 1
    end
    return { by_module = by_module, total = total }
  end
  if nodes ~= nil then return FeatureExtractor(model, plan("return_nodes", nodes), plan("return_nodes", nodes)) end
  return FeatureExtractor(model, plan("train_return_nodes", train_nodes), plan("eval_return_nodes", eval_nodes))
end

-- --- IntermediateLayerGetter --------------------------------------------------------------------------------------------
local IntermediateLayerGetter = nn.ModuleDict:extend "IntermediateLayerGetter"
extraction.IntermediateLayerGetter = IntermediateLayerGetter
IntermediateLayerGetter._version = 2
local getter_spec = args "IntermediateLayerGetter(Module model, any return_layers)"

--- IntermediateLayerGetter(model, {layer1 = "low", layer3 = "high"}): the direct children of a model, up to the last one
--- named, run one after the other; forward(x) returns an OrderedDict of the named ones' outputs.
function IntermediateLayerGetter:init(...)
  local model, layers = getter_spec(...)
  local wanted, left = wanted_nodes("return_layers", layers), 0
  for name in pairs(wanted) do
    if not pcall(function() return assert(model:get_submodule(name)) end) or name:find(".", 1, true) then
      args.fail("IntermediateLayerGetter", "return_layers are not present in model: '%s'", name)
    end
    left = left + 1
  end
  local members = {}
  for name, child in model:named_children() do
    if left == 0 then break end
    members[#members + 1] = { name, child }
    if wanted[name] then left = left - 1 end
  end
  IntermediateLayerGetter.super.init(self, members)
  self:_set { return_layers = wanted }
end

function IntermediateLayerGetter:forward(x)
  local out = OrderedDict()
  for name, module in self:items() do
    x = module(x)
    if self.return_layers[name] then out[self.return_layers[name]] = x end
  end
  return out
end

for _, C in pairs { FeatureExtractor, IntermediateLayerGetter } do C:_guard_methods() end

return extraction
