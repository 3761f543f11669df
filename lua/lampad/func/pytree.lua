-- Nested containers of tensors: Python's pytrees. A plain Lua table is a node (a list when it has entries
-- 1..n, a dict otherwise), an OrderedDict is one; everything else is a leaf. A list may have holes when it
-- says how long it is in `n`. Dicts are walked in the order of their sorted keys.
local OrderedDict = require "lampad.ordered_dict"

local pytree = {}

local ordered = getmetatable(OrderedDict())

--- Is the value a container?
local function is_node(value)
  if type(value) ~= "table" then return false end
  local meta = getmetatable(value)
  return meta == nil or meta == ordered
end
pytree.is_node = is_node

local function by_name(a, b)
  if type(a) == type(b) and (type(a) == "string" or type(a) == "number") then return a < b end
  return tostring(a) < tostring(b)
end

-- The keys of a container in order; a list's are 1..n.
local function keys_of(node)
  local keys = {}
  if getmetatable(node) == ordered then
    for key in OrderedDict.items(node) do keys[#keys + 1] = key end
    return keys
  end
  local n = math.type(node.n) == "integer" and node.n or #node
  for i = 1, n do keys[i] = i end
  local named = {}
  for key in pairs(node) do
    if not (math.type(key) == "integer" and key >= 1 and key <= n) and key ~= "n" then named[#named + 1] = key end
  end
  table.sort(named, by_name)
  for _, key in ipairs(named) do keys[#keys + 1] = key end
  return keys
end

local function empty_like(node)
  if getmetatable(node) == ordered then return OrderedDict() end
  return { n = node.n }
end

--- map(f, tree): the tree with every leaf replaced by f(leaf).
local function map(f, tree)
  if not is_node(tree) then return f(tree) end
  local result = empty_like(tree)
  for _, key in ipairs(keys_of(tree)) do result[key] = map(f, tree[key]) end
  return result
end
pytree.map = map

--- flatten(tree): the leaves as a list with `n`, and what unflatten needs to put others in their place.
function pytree.flatten(tree)
  local leaves = { n = 0 }
  local function add(leaf)
    leaves.n = leaves.n + 1
    leaves[leaves.n] = leaf
    return leaves.n
  end
  return leaves, map(add, tree)
end

--- unflatten(leaves, spec): the tree again, with these leaves.
function pytree.unflatten(leaves, spec)
  return map(function(i) return leaves[i] end, spec)
end

--- broadcast(prefix, tree, known): a list with, for each leaf of the tree, the value of the prefix tree that
--- stands for it; nil when the structures do not fit.
function pytree.broadcast(prefix, tree)
  local list = { n = 0 }
  local function walk(p, t)
    if is_node(t) then
      local split = is_node(p)
      for _, key in ipairs(keys_of(t)) do
        local part = p
        if split then part = p[key] end
        if not walk(part, t[key]) then return false end
      end
      if split then
        for _, key in ipairs(keys_of(p)) do
          if t[key] == nil and p[key] then return false end
        end
      end
      return true
    end
    if is_node(p) then return false end
    list.n = list.n + 1
    list[list.n] = p
    return true
  end
  return walk(prefix, tree) and list or nil
end

--- Do two trees have the same containers and keys?
function pytree.same_structure(a, b)
  if is_node(a) ~= is_node(b) then return false end
  if not is_node(a) then return true end
  local ka, kb = keys_of(a), keys_of(b)
  if #ka ~= #kb then return false end
  for _, key in ipairs(ka) do
    local present = false
    for _, other in ipairs(kb) do present = present or other == key end
    if not present or not pytree.same_structure(a[key], b[key]) then return false end
  end
  return true
end

--- The structure as text, leaves as *: {*, {a = *}}.
function pytree.describe(tree)
  if not is_node(tree) then return "*" end
  local parts = {}
  for _, key in ipairs(keys_of(tree)) do
    local text = pytree.describe(tree[key])
    parts[#parts + 1] = math.type(key) == "integer" and text or ("%s = %s"):format(tostring(key), text)
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

return pytree
