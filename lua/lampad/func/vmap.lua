-- torch.vmap: a function of one example becomes a function of a batch. The function runs once; inside, its
-- arguments look like one example, and every op on them computes the whole batch (tensor/vmap).
local core = require "lampad.core"
local args = require "lampad.args"
local pytree = require "lampad.func.pytree"
local text = require "lampad.text"

local torch = core.torch
local fail = args.fail

local spec = args [[vmap(function func, any in_dims=0, any out_dims=0, str randomness='error', int chunk_size=nil)]]

local function is_tensor(v) return type(v) == "userdata" and torch.is_tensor(v) end

local function none(dim) return dim == nil or dim == false end

-- The arguments' leaves, the dim each is mapped over (false: none) and the batch's size.
local function read_inputs(packed, in_dims)
  local tree = { n = packed.n, table.unpack(packed, 1, packed.n) }
  if math.type(in_dims) ~= "integer" and type(in_dims) ~= "table" then
    fail("vmap", "expected 'in_dims' to be an integer or a (nested) table that matches the structure of the inputs, "
      .. "got %s", text.describe(in_dims))
  end
  if packed.n == 0 then
    fail("vmap", "got no inputs. Maybe you forgot to add inputs, or you are trying to vmap over a function with no "
      .. "inputs. The latter is unsupported")
  end
  if type(in_dims) == "table" then
    for key in pairs(in_dims) do
      if key ~= "n" and not (math.type(key) == "integer" and key >= 1 and key <= packed.n) then
        fail("vmap", "in_dims is not compatible with the structure of `inputs`. in_dims has structure %s but inputs "
          .. "has structure %s", pytree.describe(in_dims), pytree.describe(tree))
      end
    end
  end
  local leaves, shape = pytree.flatten(tree)
  local dims = pytree.broadcast(in_dims, tree)
  if not dims then
    fail("vmap", "in_dims is not compatible with the structure of `inputs`. in_dims has structure %s but inputs has "
      .. "structure %s", pytree.describe(in_dims), pytree.describe(tree))
  end
  local size, sizes = nil, {}
  for i = 1, leaves.n do
    local dim, leaf = dims[i], leaves[i]
    if none(dim) then
      dims[i] = false
    elseif math.type(dim) ~= "integer" then
      fail("vmap", "Got in_dim=%s for an input but in_dim must be either an integer dimension or nil (false)",
        tostring(dim))
    elseif not is_tensor(leaf) then
      fail("vmap", "Got in_dim=%d for an input but the input is of type %s. We cannot vmap over non-Tensor arguments, "
        .. "please use nil (false) as the respective in_dim", dim, type(leaf))
    elseif dim < -leaf.ndim or dim >= leaf.ndim then
      fail("vmap", "Got in_dim=%d for some input, but that input is a Tensor of dimensionality %d so expected in_dim "
        .. "to satisfy -%d <= in_dim < %d", dim, leaf.ndim, leaf.ndim, leaf.ndim)
    else
      local n = leaf:size(dim)
      sizes[#sizes + 1] = n
      size = size or n
    end
  end
  if not size then fail("vmap", "Expected at least one Tensor to vmap over") end
  for _, n in ipairs(sizes) do
    if n ~= size then
      fail("vmap", "Expected all tensors to have the same size in the mapped dimension, got sizes %s for the mapped "
        .. "dimension", "[" .. table.concat(sizes, ", ") .. "]")
    end
  end
  return leaves, shape, dims, size
end

-- One result of the function (a tree) as batches along its out_dims.
local function unwrap_output(output, out_dim, level)
  local dims = pytree.broadcast(out_dim, output)
  if not dims then
    fail("vmap", "out_dims is not compatible with the structure of `outputs`. out_dims has structure %s but outputs "
      .. "has structure %s", pytree.describe(out_dim), pytree.describe(output))
  end
  local i = 0
  return pytree.map(function(leaf)
    i = i + 1
    local dim = dims[i]
    if none(dim) then
      if is_tensor(leaf) and core.vmap_level(leaf) == level then
        fail("vmap", "the function can not return a BatchedTensor when out_dim is nil (false)")
      end
      return leaf
    end
    if not is_tensor(leaf) then
      fail("vmap", "the function must only return Tensors, got type %s. Did you mean to set out_dims to nil (false) for "
        .. "output?", type(leaf))
    end
    if math.type(dim) ~= "integer" then
      fail("vmap", "`out_dims` must be an integer, nil (false) or a table of them representing where in the outputs "
        .. "the vmapped dimension should appear, got %s", text.describe(dim))
    end
    return core.vmap_unwrap(leaf, dim, level)
  end, output)
end

local function out_dim_of(out_dims, i, count)
  if type(out_dims) ~= "table" or count == 1 and out_dims[1] == nil then return out_dims end
  return out_dims[i]
end

-- Runs func over one batch of leaves.
local function run(func, leaves, shape, dims, size, out_dims, randomness)
  local level = core.vmap_enter(size, randomness)
  local _ <close> = setmetatable({}, { __close = function() core.vmap_leave(level) end })
  local wrapped = { n = leaves.n }
  for i = 1, leaves.n do
    wrapped[i] = dims[i] and core.vmap_wrap(leaves[i], dims[i], level) or leaves[i]
    if not dims[i] then wrapped[i] = leaves[i] end
  end
  local inputs = pytree.unflatten(wrapped, shape)
  local outputs = table.pack(func(table.unpack(inputs, 1, inputs.n)))
  if type(out_dims) == "table" and outputs.n > 1 then
    for key in pairs(out_dims) do
      if key ~= "n" and not (math.type(key) == "integer" and key <= outputs.n) then
        fail("vmap", "out_dims is not compatible with the structure of `outputs`: it names result %s of %d",
          tostring(key), outputs.n)
      end
    end
  end
  for i = 1, outputs.n do outputs[i] = unwrap_output(outputs[i], out_dim_of(out_dims, i, outputs.n), level) end
  return outputs
end

-- The batch in pieces of `chunk_size`; their results are joined.
local function run_chunks(func, leaves, shape, dims, size, out_dims, randomness, chunk_size)
  local parts = {}
  for start = 0, size - 1, chunk_size do
    local piece = { n = leaves.n }
    local length = math.min(chunk_size, size - start)
    for i = 1, leaves.n do
      if dims[i] then piece[i] = leaves[i]:narrow(dims[i], start, length) else piece[i] = leaves[i] end
    end
    parts[#parts + 1] = run(func, piece, shape, dims, length, out_dims, randomness)
  end
  local joined = { n = parts[1].n }
  for k = 1, joined.n do
    local dim_list = pytree.broadcast(out_dim_of(out_dims, k, joined.n), parts[1][k])
    local flat = {}
    local first_shape
    for p, part in ipairs(parts) do
      local part_leaves, part_shape = pytree.flatten(part[k])
      flat[p] = part_leaves
      first_shape = first_shape or part_shape
    end
    local leaves_out = { n = flat[1].n }
    for i = 1, leaves_out.n do
      if none(dim_list[i]) then
        leaves_out[i] = flat[1][i]
      else
        local pieces = {}
        for p = 1, #flat do pieces[p] = flat[p][i] end
        leaves_out[i] = torch.cat(pieces, dim_list[i])
      end
    end
    joined[k] = pytree.unflatten(leaves_out, first_shape)
  end
  return joined
end

--- vmap(func, in_dims = 0, out_dims = 0, {randomness = "error", chunk_size = nil}): a function that maps func over
--- a dim of its tensor arguments.
---
--- in_dims: the dim of every argument's tensors, or a table with one entry for each argument: an integer, false
--- (or nil, an entry left out) for an argument that is the same for every example, or a table of the argument's
--- own structure. out_dims likewise for the results. randomness: what random ops inside do ("error", "same",
--- "different"). chunk_size: how many examples are computed at once.
return function(...)
  local func, in_dims, out_dims, randomness, chunk_size = spec(...)
  if randomness ~= "error" and randomness ~= "same" and randomness ~= "different" then
    fail("vmap", "Only allowed values for randomness are 'error', 'different', or 'same'. Got %s", randomness)
  end
  if chunk_size and chunk_size <= 0 then
    fail("vmap", "chunk_size should be nil or greater than 0. (got %d)", chunk_size)
  end
  return function(...)
    local leaves, shape, dims, size = read_inputs(table.pack(...), in_dims)
    local outputs
    if chunk_size and chunk_size < size then
      outputs = run_chunks(func, leaves, shape, dims, size, out_dims, randomness, chunk_size)
    else
      outputs = run(func, leaves, shape, dims, size, out_dims, randomness)
    end
    return table.unpack(outputs, 1, outputs.n)
  end
end
