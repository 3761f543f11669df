-- Operators of the domain ai.onnx.ml.
local core = require "lampad.core"
local value = require "lampad.onnx.value"
local common = require "lampad.onnx.ops.common"

local torch = core.torch
local op = {}

op.ArrayFeatureExtractor = function(_, x, indices)
  local picked = x:index_select(x.ndim - 1, indices:flatten():to(torch.int64))
  return x.ndim == 1 and picked:unsqueeze(0) or picked
end

op.Binarizer = function(node, x) return x:gt(node:get("threshold", 0.0)):to(x.dtype) end

-- --- LabelEncoder -------------------------------------------------------------------------------------
-- A list from an attribute that may be a tensor or one of several lists, and the dtype of its numbers.
local function list_attribute(node, what)
  local t = node:get(what .. "_tensor")
  if t then
    if value.is_strings(t) then return value.string_list(t) end
    return t:flatten():tolist(), t.dtype
  end
  if node:get(what .. "_strings") then return node:get(what .. "_strings") end
  if node:get(what .. "_int64s") then return node:get(what .. "_int64s"), torch.int64 end
  return node:need(what .. "_floats"), torch.float32
end

-- nan is no key of a table.
local NAN = {}
local function key_of(v)
  if v ~= v then return NAN end
  return math.tointeger(v) or v
end

op.LabelEncoder = value.raw(function(node, v)
  local keys = list_attribute(node, "keys")
  local values, dtype = list_attribute(node, "values")
  local default = node:get "default_tensor"
  if default then
    default = value.is_strings(default) and value.string_list(default)[1] or default:item()
  elseif not dtype then
    default = node:get("default_string", "_Unused")
  elseif dtype == torch.int64 then
    default = node:get("default_int64", -1)
  else
    default = node:get("default_float", -0.0)
  end
  local found = {}
  for i, key in ipairs(keys) do found[key_of(key)] = values[i] end
  local given = value.is_strings(v) and value.string_list(v) or v:flatten():tolist()
  local list = {}
  for i, key in ipairs(given) do
    list[i] = found[key_of(key)]
    if list[i] == nil then list[i] = default end
  end
  local sizes = common.sizes(value.tensor_of(v))
  if not dtype then return value.strings(list, sizes) end
  return torch.tensor(list, { dtype = dtype }):reshape(sizes)
end)

-- --- TreeEnsemble -------------------------------------------------------------------------------------
local comparisons = {
  [0] = function(x, split) return x <= split end, function(x, split) return x < split end,
  function(x, split) return x >= split end, function(x, split) return x > split end,
  function(x, split) return x == split end, function(x, split) return x ~= split end,
  function(x, _, members) return members[x] == true end,
}

local aggregates = {
  [0] = function(a, b) return a + b end, function(a, b) return a + b end, math.min, math.max,
}

-- The sets of values of the nodes that test membership, in their order; each ends with nan.
local function member_sets(node, modes)
  local t = node:get "membership_values"
  local sets, at = {}, 1
  local list = t and t:tolist() or {}
  for i, mode in ipairs(modes) do
    if mode == 6 then
      local set = {}
      while list[at] and list[at] == list[at] do
        set[list[at]] = true
        at = at + 1
      end
      at = at + 1
      sets[i] = set
    end
  end
  return sets
end

local transforms = {
  function(t) return torch.softmax(t, 1) end, -- 1 SOFTMAX
  torch.sigmoid, -- 2 LOGISTIC
  function(t) -- 3 SOFTMAX_ZERO: zeros stay
    local zero = t:eq(0)
    return torch.softmax(t:masked_fill(zero, -math.huge), 1):masked_fill(zero, 0)
  end,
  function(t) return torch.erfinv(t * 2 - 1) * math.sqrt(2) end, -- 4 PROBIT
}

op.TreeEnsemble = function(node, x)
  local modes, splits = node:need "nodes_modes":tolist(), node:need "nodes_splits":tolist()
  local features, roots = node:integers "nodes_featureids", node:integers "tree_roots"
  local on_true, true_leafs = node:integers "nodes_truenodeids", node:integers "nodes_trueleafs"
  local on_false, false_leafs = node:integers "nodes_falsenodeids", node:integers "nodes_falseleafs"
  local missing = node:get("nodes_missing_value_tracks_true", {})
  local targets, weights = node:integers "leaf_targetids", node:need "leaf_weights":tolist()
  local sets, aggregate = member_sets(node, modes), node:get("aggregate_function", 1)
  local join, width = aggregates[aggregate], node:get "n_targets"
  if not width then
    width = 1
    for _, target in ipairs(targets) do width = math.max(width, target + 1) end
  end

  local function leaf_of(root, row)
    local at = root + 1
    for _ = 0, #modes do -- no path is longer
      local feature = row[features[at] + 1]
      local yes = comparisons[modes[at]](feature, splits[at], sets[at])
      if feature ~= feature then yes = missing[at] == 1 end
      local following = yes and on_true[at] or on_false[at]
      if (yes and true_leafs[at] or false_leafs[at]) == 1 then return following + 1 end
      at = following + 1
    end
    node:fail "the nodes of a tree form a circle"
  end

  local rows = {}
  for i, row in ipairs(x:tolist()) do
    local sums = {}
    for _, root in ipairs(roots) do
      local leaf = leaf_of(root, row)
      local target = targets[leaf] + 1
      sums[target] = sums[target] and join(sums[target], weights[leaf]) or weights[leaf]
    end
    for target = 1, width do
      local sum = sums[target] or 0.0
      sums[target] = aggregate == 0 and sum / #roots or sum
    end
    rows[i] = sums
  end
  local result = torch.tensor(rows, { dtype = x.dtype })
  local transform = transforms[node:get("post_transform", 0)]
  return transform and transform(result) or result
end

return op
