-- vision.models.feature_extraction (torchvision.models.feature_extraction): networks that give what their modules compute on
-- the way. Python's traces the calls of forward; here the places are the modules, by their paths ("layer4", "features.3").
local args = require "lampad.args"
local text = require "lampad.text"
local nn = require "lampad.nn"
local OrderedDict = require "lampad.ordered_dict"

local extraction = {}

-- Ends a forward whose results are all there.
local DONE = setmetatable({}, { __tostring = function() return "the features are there" end })

local function paths_of(model)
  local paths = {}
  for path in model:named_modules() do
    if path ~= "" then paths[#paths + 1] = path end
  end
  return paths
end

local function check_model(what, model)
  if not nn.Module.is_module(model) then
    args.fail(what, "argument 'model' must be a module, got %s", text.describe(model))
  end
end

--- get_graph_node_names(model): the paths of the modules, in training and in evaluation (the same).
function extraction.get_graph_node_names(model)
  check_model("get_graph_node_names", model)
  return paths_of(model), paths_of(model)
end

-- {{path, name}, ...} in the modules' order, from a list of paths or a table path -> name.
local function nodes_of(model, what, wanted)
  if type(wanted) ~= "table" or next(wanted) == nil then
    args.fail("create_feature_extractor", "argument '%s' must be a list of paths or a table from paths to names, got %s", what,
      text.describe(wanted))
  end
  local names, order, paths = {}, {}, paths_of(model)
  for i, path in ipairs(paths) do order[path] = i end
  local function add(path, name)
    if type(path) ~= "string" or type(name) ~= "string" then
      args.fail("create_feature_extractor", "paths and names in '%s' must be strings, got %s", what,
        text.describe(type(path) ~= "string" and path or name))
    end
    if not order[path] then
      args.fail("create_feature_extractor", "the network has no module '%s'; did you mean '%s'?", path,
        tostring(text.nearest(path, paths)))
    end
    names[path] = name
  end
  if OrderedDict.is(wanted) or #wanted == 0 then
    for path, name in pairs(wanted) do add(path, name) end
  else
    for _, path in ipairs(wanted) do add(path, path) end
  end
  local nodes = {}
  for path, name in pairs(names) do nodes[#nodes + 1] = { path, name } end
  table.sort(nodes, function(a, b) return order[a[1]] < order[b[1]] end)
  return nodes
end

-- Runs `forward` and gives what the modules at the nodes return, as an ordered map; ends as soon as all have returned.
local function capture(self, forward, nodes, ...)
  local found, count = {}, 0
  local handles = {}
  local _ <close> = setmetatable({}, { __close = function()
    for _, handle in ipairs(handles) do handle:remove() end
  end })
  for i, node in ipairs(nodes) do
    handles[i] = self:get_submodule(node[1]):register_forward_hook(function(_, _, output)
      if found[i] ~= nil then return end
      found[i], count = output, count + 1
      if count == #nodes then error(DONE, 0) end
    end)
  end
  local ok, err = pcall(forward, self, ...)
  if not ok and err ~= DONE then error(err, 0) end
  local results = OrderedDict()
  for i, node in ipairs(nodes) do
    if found[i] == nil then
      args.fail("create_feature_extractor", "module '%s' did not run in the forward of %s", node[1], self.__name)
    end
    results[node[2]] = found[i]
  end
  return results
end

local spec = args [[create_feature_extractor(any model, any return_nodes=nil, any train_return_nodes=nil,
  any eval_return_nodes=nil, any tracer_kwargs=nil, bool suppress_diff_warning=false, any concrete_args=nil)]]

--- create_feature_extractor(model, {"layer1", "layer4"}) or (model, {layer1 = "low", layer4 = "high"}): a network with the
--- modules of the model, shared with it, whose forward returns an ordered map from names to what the modules at those paths
--- computed (at their first call), and stops there. train_return_nodes and eval_return_nodes, together, in the place of
--- return_nodes: other places in training.
function extraction.create_feature_extractor(...)
  local model, both, train, eval = spec(...)
  check_model("create_feature_extractor", model)
  if (both == nil) == (train == nil) or (train == nil) ~= (eval == nil) then
    args.fail("create_feature_extractor",
      "either 'return_nodes' or both 'train_return_nodes' and 'eval_return_nodes' should be given")
  end
  local in_training = nodes_of(model, both and "return_nodes" or "train_return_nodes", both or train)
  local in_evaluation = both and in_training or nodes_of(model, "eval_return_nodes", eval)
  -- The same members in an object of its own, with a forward of its own.
  local extractor = setmetatable({}, getmetatable(model))
  for key, value in next, model do rawset(extractor, key, value) end
  for _, key in ipairs { "_order", "_slot", "_buffers" } do
    local copy = rawget(model, key)
    if copy then
      copy = {}
      for k, v in pairs(rawget(model, key)) do copy[k] = v end
    end
    rawset(extractor, key, copy)
  end
  rawset(extractor, "_hooks", false)
  rawset(extractor, "forward", function(self, ...)
    return capture(self, getmetatable(self).class.forward, self.training and in_training or in_evaluation, ...)
  end)
  return extractor
end

--- IntermediateLayerGetter(model, {layer1 = "feat1", layer3 = "feat2"}): the direct children of the model up to the last one
--- named, run one after the other; an ordered map from the new names to what they give.
local IntermediateLayerGetter = nn.ModuleDict:extend "IntermediateLayerGetter"
extraction.IntermediateLayerGetter = IntermediateLayerGetter
IntermediateLayerGetter._version = 2

function IntermediateLayerGetter:init(model, return_layers)
  check_model("IntermediateLayerGetter", model)
  local left = {}
  for name in pairs(return_layers or {}) do
    if not nn.Module.is_module(rawget(model, name)) then
      args.fail("IntermediateLayerGetter", "return_layers are not present in model ('%s' is no child of it)", tostring(name))
    end
    left[name] = true
  end
  for name, module in model:named_children() do
    if next(left) == nil then break end
    self:add_module(name, module)
    left[name] = nil
  end
  self:_set { return_layers = return_layers }
end

function IntermediateLayerGetter:forward(x)
  local results = OrderedDict()
  for name, module in self:items() do
    x = module(x)
    local new_name = self.return_layers[name]
    if new_name then results[new_name] = x end
  end
  return results
end

return extraction
