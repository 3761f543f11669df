-- torch.func: grad, vjp, jvp, jacrev, jacfwd, hessian, linearize.
--
-- Note [Levels]. A transform differentiates with respect to leaves of its own: aliases of its arguments. An
-- argument that requires grad already gets a view, so that outer derivatives flow through; any other a fresh
-- leaf. What comes out keeps its history only when that leads to somebody else's leaves, and its derivative is
-- itself recorded only then: so nesting costs nothing when there is none.
local core = require "lampad.core"
local args = require "lampad.args"
local pytree = require "lampad.func.pytree"
local text = require "lampad.text"

local torch = core.torch
local fail = args.fail
local unpack, pack = table.unpack, table.pack

local transforms = {}

local function is_tensor(v) return type(v) == "userdata" and torch.is_tensor(v) end

local vmap -- lampad.func.vmap, loaded when it is needed
local function batched(...)
  vmap = vmap or require "lampad.func.vmap"
  return vmap(...)
end

-- --- levels -----------------------------------------------------------------------------------------

-- A tensor of this level for x; the list `own` gets the leaves that are this level's alone.
local function enter_tensor(x, own)
  if x.requires_grad then return x:view_as(x) end
  local leaf = core.func_leaf(x)
  own[#own + 1] = leaf
  return leaf
end

local function end_leaves(own)
  for _, leaf in ipairs(own) do core.func_leaf_end(leaf) end
end

-- Would anybody outside of the level differentiate this result?
local function is_foreign(t, own)
  return core.requires_grad_below(t) or (t.requires_grad and core.depends_on_others(t, own))
end

-- A result as the level's caller shall see it.
local function lower(t, own, recording)
  if not is_tensor(t) then return t end
  if not recording then return t.requires_grad and core.shallow(t):detach() or t:detach() end
  if t.requires_grad and not core.depends_on_others(t, own) then return core.shallow(t) end
  return t
end

-- Runs the body with recording on, and gives what it returns.
local function recording_on(body, ...)
  local _ <close> = torch.enable_grad()
  return body(...)
end

-- --- arguments -----------------------------------------------------------------------------------------

-- {0, 2} of 0 or {0, 2}; checks them against the number of arguments.
local function read_argnums(what, argnums, count)
  local list = type(argnums) == "table" and argnums or { argnums }
  if #list == 0 then fail(what, "argnums must be non-empty") end
  local positions, seen = {}, {}
  for i, n in ipairs(list) do
    if math.type(n) ~= "integer" then fail(what, "argnums must be int or a list of ints, got: %s", text.describe(n)) end
    if n < -count or n >= count then
      fail(what, "Got argnum=%d, but only %d positional inputs", n, count)
    end
    local at = n < 0 and n + count or n
    if seen[at] then fail(what, "argnums elements must be unique, got {%s}", table.concat(list, ", ")) end
    seen[at] = true
    positions[i] = at + 1
  end
  return positions, type(argnums) ~= "table"
end

-- The chosen arguments as one tree, their tensors replaced by this level's; the rest as it was.
local function enter_arguments(what, packed, positions, own)
  local chosen = {}
  for i, at in ipairs(positions) do chosen[i] = packed[at] end
  local outer = pytree.flatten(chosen)
  for i = 1, outer.n do
    if not is_tensor(outer[i]) then
      fail(what, "Thing passed to transform API must be Tensor, got %s", text.describe(outer[i]))
    end
  end
  local inner = pytree.map(function(t) return enter_tensor(t, own) end, chosen)
  local given = { n = packed.n, unpack(packed, 1, packed.n) }
  for i, at in ipairs(positions) do given[at] = inner[i] end
  local leaves, shape = pytree.flatten(inner)
  return given, leaves, shape, outer
end

-- The results of a function with has_aux: output, aux.
local function split_aux(what, results, has_aux)
  if not has_aux then return results end
  if results.n < 2 then
    fail(what, "output of function f should be two results: (output, aux) if has_aux is true")
  end
  return { n = 1, results[1] }, results[2]
end

-- The gradients of outputs along cotangents with respect to leaves; zeros where there is none.
local function gradients(outputs, leaves, cotangents, create_graph, keep)
  local outs, given = {}, {}
  for i = 1, #outputs do
    if outputs[i].requires_grad then
      outs[#outs + 1] = outputs[i]
      given[#given + 1] = cotangents and cotangents[i] or nil
    end
  end
  local grads
  if #outs == 0 then
    grads = { n = leaves.n }
  else
    grads = pack(core.grad(outs, leaves, cotangents and given or nil,
      { create_graph = create_graph, retain_graph = keep or create_graph, allow_unused = true }))
  end
  for i = 1, leaves.n do
    if grads[i] == nil then grads[i] = torch.zeros_like(leaves[i]:detach()) end
  end
  return grads
end

-- --- grad ------------------------------------------------------------------------------------------------

local function grad_and_value(what, f, argnums, has_aux)
  return function(...)
    local packed = pack(...)
    local positions, single = read_argnums(what, argnums, packed.n)
    local recording, own = torch.is_grad_enabled(), {}
    local value, aux, result = recording_on(function()
      local given, leaves, shape = enter_arguments(what, packed, positions, own)
      local results, extra = split_aux(what, pack(f(unpack(given, 1, given.n))), has_aux)
      local output = results[1]
      if not is_tensor(output) or results.n ~= 1 then
        fail(what, "Expected f(...) to return a Tensor, got %s",
          results.n ~= 1 and ("%d results"):format(results.n) or text.describe(output))
      end
      if output.ndim ~= 0 then
        fail(what, "Expected f(...) to return a scalar tensor, got tensor with %d dims. Maybe you wanted to use the "
          .. "vjp or jacrev APIs instead?", output.ndim)
      end
      local foreign = recording and is_foreign(output, own)
      local grads = gradients({ output }, leaves, nil, foreign)
      for i = 1, grads.n do grads[i] = lower(grads[i], own, recording) end
      local tree = pytree.unflatten(grads, shape)
      return lower(output, own, recording), pytree.map(function(t) return lower(t, own, recording) end, extra), tree
    end)
    end_leaves(own)
    if single then result = result[1] end
    return result, value, aux
  end
end

local grad_spec = args "grad(function func, any argnums=0, bool has_aux=false)"
--- grad(func, argnums = 0, has_aux = false): a function that returns the gradient of func, which returns a 0-d
--- tensor, with respect to the arguments argnums (counted from 0; a list of them gives a list of gradients).
--- An argument may be a table of tensors; so is then its gradient. With has_aux, func returns (output, aux) and
--- the new function (gradient, aux).
function transforms.grad(...)
  local func, argnums, has_aux = grad_spec(...)
  local both = grad_and_value("grad", func, argnums, has_aux)
  return function(...)
    local gradient, _, aux = both(...)
    if has_aux then return gradient, aux end
    return gradient
  end
end

local grad_and_value_spec = args "grad_and_value(function func, any argnums=0, bool has_aux=false)"
--- The same, and the value: (gradient, value); with has_aux (gradient, {value, aux}).
function transforms.grad_and_value(...)
  local func, argnums, has_aux = grad_and_value_spec(...)
  local both = grad_and_value("grad_and_value", func, argnums, has_aux)
  return function(...)
    local gradient, value, aux = both(...)
    if has_aux then return gradient, { value, aux } end
    return gradient, value
  end
end

-- --- vjp ----------------------------------------------------------------------------------------------------

local function check_outputs(what, leaves)
  if leaves.n == 0 then fail(what, "Expected f to be a function that has non-empty output") end
  for i = 1, leaves.n do
    if not is_tensor(leaves[i]) then
      fail(what, "expected f(*primals) to return only tensors, got unsupported type %s", text.describe(leaves[i]))
    end
  end
end

-- What vjp, jacrev and their kin share: f run at a level of its own. The tables it returns:
-- output (a tree), aux, pull(cotangent leaves, create_graph) -> gradients by leaf.
local function linear_map(what, f, packed, positions, has_aux)
  local recording, own = torch.is_grad_enabled(), {}
  local map = { own = own, recording = recording }
  recording_on(function()
    local given, leaves, shape, outer = enter_arguments(what, packed, positions, own)
    local results, aux = split_aux(what, pack(f(unpack(given, 1, given.n))), has_aux)
    local tree = results.n == 1 and results[1] or { n = results.n, unpack(results, 1, results.n) }
    map.outputs, map.output_shape = pytree.flatten(tree)
    map.many = results.n ~= 1
    check_outputs(what, map.outputs)
    map.inputs, map.input_shape, map.outer = leaves, shape, outer
    map.foreign = false
    for i = 1, map.outputs.n do
      map.foreign = map.foreign or (recording and is_foreign(map.outputs[i], own))
    end
    map.aux = pytree.map(function(t) return lower(t, own, recording) end, aux)
  end)
  end_leaves(own)
  map.lowered = { n = map.outputs.n }
  for i = 1, map.outputs.n do map.lowered[i] = lower(map.outputs[i], own, recording) end
  return map
end

local function cotangents_wanted(list)
  for i = 1, list.n do
    if list[i].requires_grad or core.requires_grad_below(list[i]) then return true end
  end
  return false
end

-- The gradients along cotangents (leaves in the order of map.outputs), as the caller shall see them.
local function pull(map, cotangents)
  local recording = torch.is_grad_enabled()
  local create = recording and (map.foreign or cotangents_wanted(cotangents))
  local grads = recording_on(function()
    return gradients(map.outputs, map.inputs, cotangents, create, true)
  end)
  for i = 1, grads.n do grads[i] = lower(grads[i], map.own, recording) end
  return grads
end

-- Pops a trailing {has_aux = ...} (or the names given) from packed arguments.
local function pop_options(packed, ...)
  local last = packed[packed.n]
  if type(last) ~= "table" or getmetatable(last) ~= nil or packed.n < 1 or next(last) == nil then return {} end
  local names = {}
  for _, name in ipairs { ... } do names[name] = true end
  for key in pairs(last) do
    if not names[key] then return {} end
  end
  packed[packed.n] = nil
  packed.n = packed.n - 1
  return last
end

local function returned(map, leaves)
  local tree = pytree.unflatten(leaves, map.output_shape)
  if map.many then return unpack(tree, 1, tree.n) end
  return tree
end

--- vjp(func, ..., {has_aux = false}): func at the primals and the function of its vector-Jacobian products:
---   local output, vjp_fn = torch.func.vjp(f, x)        local gx = vjp_fn(cotangent)
--- Several results of func come as a table, and vjp_fn takes one like it (or as many arguments). vjp_fn returns
--- one gradient for each primal. With has_aux: output, vjp_fn, aux.
function transforms.vjp(func, ...)
  local packed = pack(...)
  local options = pop_options(packed, "has_aux")
  if packed.n == 0 then fail("vjp", "expected at least one primal") end
  local positions = {}
  for i = 1, packed.n do positions[i] = i end
  local map = linear_map("vjp", func, packed, positions, options.has_aux)
  for i = 1, map.outputs.n do
    local t = map.outputs[i]
    if not (t:is_floating_point() or t:is_complex()) then
      fail("vjp", "All outputs of f must be floating-point or complex Tensors, got Tensor with dtype %s",
        tostring(t.dtype))
    end
  end
  local function vjp_fn(...)
    local given = pack(...)
    local tree = given[1]
    if map.many and (given.n > 1 or not pytree.is_node(tree)) then tree = { n = given.n, unpack(given, 1, given.n) } end
    if not pytree.same_structure(tree, map.output_shape) then
      fail("vjp", "Expected pytree structure of cotangents to be the same as pytree structure of outputs to the "
        .. "function. cotangents: %s, primal output: %s", pytree.describe(tree), pytree.describe(map.output_shape))
    end
    local cotangents = pytree.flatten(tree)
    local grads = pytree.unflatten(pull(map, cotangents), map.input_shape)
    return unpack(grads, 1, #positions)
  end
  local output = pytree.unflatten(map.lowered, map.output_shape)
  if options.has_aux then return output, vjp_fn, map.aux end
  return output, vjp_fn
end

-- --- jvp: the vjp is linear in its cotangent, so the derivative of the vjp is the jvp -------------------------

-- push(tangents) -> the outputs' tangents, for a map of linear_map.
local function make_push(map)
  local duals, pulled = { n = map.outputs.n }, nil
  recording_on(function()
    for i = 1, map.outputs.n do
      local out = map.outputs[i]
      local differentiable = out:is_floating_point() or out:is_complex()
      duals[i] = differentiable and core.func_leaf(torch.zeros_like(out:detach())) or false
    end
    local outs, cotangents = {}, {}
    for i = 1, map.outputs.n do
      if duals[i] and map.outputs[i].requires_grad then
        outs[#outs + 1], cotangents[#cotangents + 1] = map.outputs[i], duals[i]
      end
    end
    if #outs > 0 then
      pulled = pack(core.grad(outs, map.inputs, cotangents, { create_graph = true, allow_unused = true }))
    else
      pulled = { n = map.inputs.n }
    end
  end)
  for i = 1, duals.n do if duals[i] then core.func_leaf_end(duals[i]) end end
  return function(tangents)
    local recording = torch.is_grad_enabled()
    local create = recording and (map.foreign or cotangents_wanted(tangents))
    local result = { n = map.outputs.n }
    recording_on(function()
      local outs, given, wanted, at = {}, {}, {}, {}
      for i = 1, pulled.n do
        if pulled[i] ~= nil and pulled[i].requires_grad then
          outs[#outs + 1], given[#given + 1] = pulled[i], tangents[i]
        end
      end
      for i = 1, duals.n do
        if duals[i] then
          wanted[#wanted + 1] = duals[i]
          at[#wanted] = i
        end
      end
      if #outs > 0 and #wanted > 0 then
        local grads = pack(core.grad(outs, wanted, given,
          { create_graph = create, retain_graph = true, allow_unused = true }))
        for k = 1, grads.n do result[at[k]] = grads[k] end
      end
    end)
    local all_own = { unpack(map.own) }
    for i = 1, duals.n do if duals[i] then all_own[#all_own + 1] = duals[i] end end
    for i = 1, result.n do
      if result[i] == nil then result[i] = torch.zeros_like(map.outputs[i]:detach()) end
      result[i] = lower(result[i], all_own, recording)
    end
    return result
  end
end

local function check_tangents(what, primals, tangents)
  for i = 1, primals.n do
    local p, t = primals[i], tangents[i]
    if not is_tensor(t) then fail(what, "Expected tangents to only contain Tensors, got %s", text.describe(t)) end
    if p.shape ~= t.shape then
      fail(what, "tangent %d with shape %s doesn't match the shape %s of the corresponding primal", i - 1,
        tostring(t.shape), tostring(p.shape))
    end
    if p.dtype ~= t.dtype then
      fail(what, "tangent %d with dtype %s doesn't match the dtype %s of the corresponding primal", i - 1,
        tostring(t.dtype), tostring(p.dtype))
    end
  end
end

--- jvp(func, primals, tangents, {strict = false, has_aux = false}): func at the primals and its directional
--- derivative along the tangents, two lists with one entry for each argument of func. It is computed as the
--- derivative of the vector-Jacobian product, so func's gradients must be differentiable.
function transforms.jvp(func, primals, tangents, options)
  options = options or {}
  if type(options) ~= "table" then fail("jvp", "expected a table of options, got %s", text.describe(options)) end
  args.check_names("jvp", options, { "strict", "has_aux" })
  if type(primals) ~= "table" then
    fail("jvp", "Expected primals to be a list. E.g. it should be valid to call f(table.unpack(primals))")
  end
  if not pytree.same_structure(primals, tangents) then
    fail("jvp", "Expected primals and tangents to have the same structure. Got primals with structure %s and tangents "
      .. "with structure %s", pytree.describe(primals), pytree.describe(tangents))
  end
  local packed = { n = primals.n or #primals, unpack(primals, 1, primals.n or #primals) }
  if packed.n == 0 then fail("jvp", "Expected primals to be a non-empty list of tensors") end
  local positions = {}
  for i = 1, packed.n do positions[i] = i end
  check_tangents("jvp", (pytree.flatten(primals)), (pytree.flatten(tangents)))
  local map = linear_map("jvp", func, packed, positions, options.has_aux)
  if options.strict then
    for i = 1, map.outputs.n do
      if not map.outputs[i].requires_grad then
        fail("jvp", "The output of f is independent of the inputs. This is not allowed with strict=true")
      end
    end
  end
  local pushed = make_push(map)((pytree.flatten(tangents)))
  local output = pytree.unflatten(map.lowered, map.output_shape)
  local tangent_out = pytree.unflatten(pushed, map.output_shape)
  if options.has_aux then return output, tangent_out, map.aux end
  return output, tangent_out
end

--- linearize(func, ...): func at the primals and the function of its Jacobian-vector products there, which runs
--- func no more:   local output, jvp_fn = torch.func.linearize(f, x)     local t = jvp_fn(tangent)
function transforms.linearize(func, ...)
  local packed = pack(...)
  if packed.n == 0 then fail("linearize", "expected at least one primal") end
  local positions = {}
  for i = 1, packed.n do positions[i] = i end
  local map = linear_map("linearize", func, packed, positions, false)
  local push = make_push(map)
  return pytree.unflatten(map.lowered, map.output_shape), function(...)
    local tree = { n = select("#", ...), ... }
    if not pytree.same_structure(tree, map.input_shape) then
      fail("linearize", "Expected the tangents %s to have the same argspec as the primals %s", pytree.describe(tree),
        pytree.describe(map.input_shape))
    end
    local tangents = pytree.flatten(tree)
    check_tangents("linearize", map.inputs, tangents)
    return returned(map, push(tangents))
  end
end

-- --- Jacobians -----------------------------------------------------------------------------------------------

-- One-hot tensors for every element of every leaf: a list with a tensor [elements of all, *leaf.shape] each.
local function basis_of(leaves)
  local total = 0
  for i = 1, leaves.n do total = total + leaves[i]:numel() end
  local basis, start = { n = leaves.n }, 0
  for i = 1, leaves.n do
    local leaf = leaves[i]
    local n = leaf:numel()
    local rows = torch.zeros({ total, n }, { dtype = leaf.dtype, device = leaf.device })
    rows:diagonal(-start):fill_(1)
    local sizes = leaf.shape:tolist()
    table.insert(sizes, 1, total)
    basis[i] = rows:reshape(sizes)
    start = start + n
  end
  return basis, total
end

-- [elements of all leaves, ...] -> one tensor [*leaf.shape, ...] for each leaf.
local function split_rows(rows, leaves)
  local parts, start = { n = leaves.n }, 0
  for i = 1, leaves.n do
    local n = leaves[i]:numel()
    local sizes = leaves[i].shape:tolist()
    for d = 1, rows.ndim - 1 do sizes[#sizes + 1] = rows:size(d) end
    parts[i] = rows:narrow(0, start, n):reshape(sizes)
    start = start + n
  end
  return parts
end

local function refuse_complex(what, kind, leaves)
  for i = 1, leaves.n do
    if is_tensor(leaves[i]) and leaves[i]:is_complex() then
      fail(what, "Expected all %s to be real but received complex tensor at flattened input idx: %d", kind, i - 1)
    end
  end
end

-- For each output leaf the tree of the inputs, put into the tree of the outputs.
local function assemble(map, by_output, single)
  local trees = { n = map.outputs.n }
  for i = 1, map.outputs.n do
    local tree = pytree.unflatten(by_output[i], map.input_shape)
    if single then tree = tree[1] end
    trees[i] = tree
  end
  return pytree.unflatten(trees, map.output_shape)
end

local function map_rows(body, basis, chunk_size)
  local dims = {}
  for i = 1, basis.n do dims[i] = 0 end
  return pack(batched(body, { in_dims = dims, chunk_size = chunk_size, randomness = "same" })(unpack(basis, 1, basis.n)))
end

local jacrev_spec = args "jacrev(function func, any argnums=0, bool has_aux=false, int chunk_size=nil)"
--- jacrev(func, argnums = 0, has_aux = false, chunk_size = nil): a function that returns the Jacobian of func by
--- reverse mode: for an output of shape O and an input of shape I, a tensor of shape O x I. Tables of outputs and
--- inputs give tables (of tables). chunk_size rows are computed at once (all, when nil).
function transforms.jacrev(...)
  local func, argnums, has_aux, chunk_size = jacrev_spec(...)
  if chunk_size and chunk_size <= 0 then fail("jacrev", "`chunk_size` should be greater than 0") end
  return function(...)
    local packed = pack(...)
    local positions, single = read_argnums("jacrev", argnums, packed.n)
    local map = linear_map("jacrev", func, packed, positions, has_aux)
    refuse_complex("jacrev", "inputs", map.inputs)
    refuse_complex("jacrev", "outputs", map.outputs)
    local basis = basis_of(map.outputs)
    local rows = map_rows(function(...)
      local grads = pull(map, { n = map.outputs.n, ... })
      return unpack(grads, 1, grads.n)
    end, basis, chunk_size)
    local by_output = { n = map.outputs.n }
    for o = 1, map.outputs.n do by_output[o] = { n = map.inputs.n } end
    for i = 1, map.inputs.n do
      local parts = split_rows(rows[i], map.outputs)
      for o = 1, map.outputs.n do by_output[o][i] = parts[o] end
    end
    local result = assemble(map, by_output, single)
    if has_aux then return result, map.aux end
    if map.many then return unpack(result, 1, result.n) end
    return result
  end
end

local jacfwd_spec =
  args "jacfwd(function func, any argnums=0, bool has_aux=false, int chunk_size=nil, *, str randomness='error')"
--- jacfwd(func, argnums = 0, has_aux = false, chunk_size = nil, {randomness = "error"}): the same Jacobian column by
--- column, which is quicker for more outputs than inputs.
function transforms.jacfwd(...)
  local func, argnums, has_aux, chunk_size = jacfwd_spec(...)
  if chunk_size and chunk_size <= 0 then fail("jacfwd", "`chunk_size` should be greater than 0") end
  return function(...)
    local packed = pack(...)
    local positions, single = read_argnums("jacfwd", argnums, packed.n)
    local map = linear_map("jacfwd", func, packed, positions, has_aux)
    refuse_complex("jacfwd", "inputs", map.inputs)
    refuse_complex("jacfwd", "outputs", map.outputs)
    local push = make_push(map)
    local columns = map_rows(function(...)
      local out = push { n = map.inputs.n, ... }
      return unpack(out, 1, out.n)
    end, basis_of(map.inputs), chunk_size)
    local by_output = { n = map.outputs.n }
    for o = 1, map.outputs.n do
      local parts = split_rows(columns[o], map.inputs)
      for i = 1, map.inputs.n do
        -- [*input, *output] -> [*output, *input]
        local n_in, n_out, order = map.inputs[i].ndim, map.outputs[o].ndim, {}
        for d = 0, n_out - 1 do order[#order + 1] = n_in + d end
        for d = 0, n_in - 1 do order[#order + 1] = d end
        if #order > 0 then parts[i] = parts[i]:permute(order) end
      end
      by_output[o] = parts
    end
    local result = assemble(map, by_output, single)
    if has_aux then return result, map.aux end
    if map.many then return unpack(result, 1, result.n) end
    return result
  end
end

local hessian_spec = args "hessian(function func, any argnums=0)"
--- hessian(func, argnums = 0): the matrix of second derivatives, jacfwd(jacrev(func)).
function transforms.hessian(...)
  local func, argnums = hessian_spec(...)
  return transforms.jacfwd(transforms.jacrev(func, argnums), argnums)
end

return transforms
