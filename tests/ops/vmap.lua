--- vmap over every op: build/lampad tests/ops/vmap.lua [PATTERN]
-- The sample calls of the schema with their tensors batched (all of them, each alone, along another dim) must give
-- what a loop over the examples gives; so must the gradients, of a gradient inside vmap and outside of it.
-- The last line is "N passed, N failed".
local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path
local torch = require "lampad"
local core = require "lampad.core"
local samples = require "samples"

local pattern = arg[1] or ""
local build = os.getenv("LAMPAD_BUILD") or "build"
local op_db = dofile(build .. "/gen/op_db.lua")
local BATCH = 3
local NO_DERIVATIVE = "no derivative"

local passed, failed, reported = 0, 0, {}
local function report(row, where, message)
  failed = failed + 1
  reported[row.cname] = (reported[row.cname] or 0) + 1
  if reported[row.cname] <= 3 then
    print(("FAILED %s %s: %s"):format(row.cname, where, (tostring(message):gsub("\n.*", ""))))
  end
end

-- Ops whose shapes depend on values, or that draw random numbers: vmap refuses them or has tests of its own.
local refused = { nms = true, batched_nms = true, nonzero = true, where_condition = true, masked_select = true, _unique2 = true, unique_dim = true,
  _unique_consecutive = true, bincount = true, repeat_interleave = true, one_hot = true, repeat_interleave_self_tensor = true,
  equal = true, allclose = true, empty = true, empty_like = true, new_empty = true, empty_strided = true,
  resize = true, resize_as = true, set = true, is_same_size = true, argwhere = true, is_nonzero = true,
  new_empty_strided = true, nonzero_static = true, tensor_split_tensor = true, ctc_loss_tensor = true,
  fractional_max_pool2d = true, fractional_max_pool3d = true, as_strided_scatter = true }
local function is_random(row)
  for _, a in ipairs(row.args) do if a.type == "Generator?" then return true end end
  return row.name:find("dropout") or row.name == "gumbel_softmax"
end
-- The sign or order of their results is free.
local free_form = { svd = true, linalg_svd = true, linalg_eigh = true, linalg_eig = true, linalg_eigvals = true,
  eig = true }
-- They read memory as it lies.
local dense_only = { view_dtype = true, as_strided = true, view_as_complex = true }

-- Their second derivatives ask for a dynamic shape.
local no_second = { masked_scatter = true }

local function is_tensor(v) return type(v) == "userdata" and torch.is_tensor(v) end

-- Other examples with values that suit the op as those of t do.
local function examples_of(t)
  local list = { t }
  for k = 1, BATCH - 1 do
    if t:is_floating_point() or t:is_complex() then list[k + 1] = t * (1 - k / 16)
    elseif t.dtype == torch.bool and k == 1 then list[k + 1] = t:logical_not()
    else list[k + 1] = t:flatten():flip(0):reshape(t.shape) end
  end
  return list
end

-- Every tensor of a sample (in lists too) as {container, key}.
local function places_of(sample)
  local places = {}
  local function walk(container, keys)
    for _, key in ipairs(keys) do
      local v = container[key]
      if is_tensor(v) then places[#places + 1] = { container, key }
      elseif type(v) == "table" and getmetatable(v) == nil then
        local inner = {}
        for i = 1, #v do inner[i] = i end
        walk(v, inner)
      end
    end
  end
  local positions, names = {}, {}
  for i = 1, sample.args.n do positions[i] = i end
  for name in pairs(sample.named) do names[#names + 1] = name end
  table.sort(names)
  walk(sample.args, positions)
  walk(sample.named, names)
  return places
end

local function call(fn, sample)
  local list = table.pack(table.unpack(sample.args, 1, sample.args.n))
  if next(sample.named) then
    list.n = list.n + 1
    list[list.n] = sample.named
  end
  return table.pack(fn(table.unpack(list, 1, list.n)))
end

-- The tensors among results, those of a list too.
local function tensors_of(results)
  local list = {}
  for i = 1, results.n do
    local r = results[i]
    if is_tensor(r) then list[#list + 1] = r
    elseif type(r) == "table" then for _, t in ipairs(r) do list[#list + 1] = t end end
  end
  return list
end

local function differ(a, b)
  if a.dtype ~= b.dtype then return ("dtype %s, the loop gives %s"):format(a.dtype, b.dtype) end
  if a.shape ~= b.shape then return ("shape %s, the loop gives %s"):format(a.shape, b.shape) end
  local tolerance = a.dtype == torch.float64 or a.dtype == torch.complex128
  if not torch.allclose(a, b, { rtol = tolerance and 1e-9 or 1e-4, atol = tolerance and 1e-9 or 1e-5, equal_nan = true })
  then return ("values differ: %s, the loop gives %s"):format(a:flatten():tolist()[1], b:flatten():tolist()[1]) end
end

local function function_of(row)
  local module = row.module:match("%S+")
  local found
  for _, v in ipairs(row.variants) do
    if v == "function" then found = module == "torch" and torch[row.name] or core.modules[module] and core.modules[module][row.name]
    elseif v == "method" and not found then found = core.methods[row.name] end
  end
  return found
end

local function stack_examples(per_example)
  local stacked = {}
  for j = 1, #per_example[1] do
    local parts = {}
    for k = 1, #per_example do parts[k] = per_example[k][j] end
    stacked[j] = torch.stack(parts)
  end
  return stacked
end

-- One way of batching: which places are batched, and along which dim.
local function try(row, fn, sample, places, chosen, dim, where, first)
  local batches, originals, dims, mapped = {}, {}, {}, {}
  for i, p in ipairs(places) do originals[i] = p[1][p[2]] end
  for i, t in ipairs(originals) do
    if chosen[i] then
      local at = dim < 0 and dim or math.min(dim, t.ndim)
      batches[i] = torch.stack(examples_of(t), at)
      dims[#dims + 1], mapped[#mapped + 1] = at, batches[i]
    end
  end
  local function put(values)
    local k = 0
    for i, p in ipairs(places) do
      if chosen[i] then
        k = k + 1
        p[1][p[2]] = values[k]
      end
    end
  end
  local function of_examples(...)
    put { ... }
    local results = tensors_of(call(fn, sample))
    return table.unpack(results)
  end
  local function example(k)
    local list = {}
    for i = 1, #mapped do list[i] = mapped[i]:select(dims[i], k) end
    return list
  end
  local ok, trouble = xpcall(function()
    local loop = {}
    for k = 0, BATCH - 1 do loop[k + 1] = { of_examples(table.unpack(example(k))) } end
    local expected = stack_examples(loop)
    local got = { torch.vmap(of_examples, { in_dims = dims })(table.unpack(mapped)) }
    if #got ~= #expected then return ("%d results, the loop gives %d"):format(#got, #expected) end
    if free_form[row.cname] then return nil end
    for j = 1, #got do
      local bad = differ(got[j], expected[j])
      if bad then return ("result %d: %s"):format(j, bad) end
    end
    -- vmap in vmap: the examples once more, in the opposite order.
    local twice, order = {}, torch.tensor { 2, 1, 0 }
    for i, t in ipairs(mapped) do twice[i] = torch.stack { t, t:index_select(dims[i], order) } end
    local nested = { torch.vmap(torch.vmap(of_examples, { in_dims = dims }))(table.unpack(twice)) }
    for j = 1, #nested do
      local bad = differ(nested[j], torch.stack { expected[j], expected[j]:flip(0) })
      if bad then return ("nested, result %d: %s"):format(j, bad) end
    end
    -- Gradients of the sum of all floating results: outside of vmap, inside of it, and by the loop.
    if not row.differentiable then return nil end
    local function loss(...)
      local total
      for _, r in ipairs { of_examples(...) } do
        if r:is_floating_point() and r.requires_grad then
          local part = (r * r):sum()
          total = total and total + part or part
        end
      end
      return total
    end
    local argnums, leaves = {}, {}
    for i, t in ipairs(mapped) do
      if t:is_floating_point() then
        argnums[#argnums + 1] = i - 1
        leaves[#leaves + 1] = t:detach():requires_grad_(true)
      end
    end
    if #argnums == 0 then return nil end
    local with_leaves = {}
    local n = 0
    for i, t in ipairs(mapped) do
      with_leaves[i] = t
      if t:is_floating_point() then
        n = n + 1
        with_leaves[i] = leaves[n]
      end
    end
    -- by the loop
    local total
    for k = 0, BATCH - 1 do
      local list = {}
      for i = 1, #mapped do list[i] = with_leaves[i]:select(dims[i], k) end
      local part = loss(table.unpack(list))
      if part == nil then return nil end
      total = total and total + part or part
    end
    local by_loop = { torch.autograd.grad(total, leaves, { allow_unused = true, materialize_grads = true }) }
    -- outside
    local outside
    for _, r in ipairs { torch.vmap(of_examples, { in_dims = dims })(table.unpack(with_leaves)) } do
      if r:is_floating_point() and r.requires_grad then
        local part = (r * r):sum()
        outside = outside and outside + part or part
      end
    end
    local grads = { torch.autograd.grad(outside, leaves, { allow_unused = true, materialize_grads = true }) }
    for j = 1, #leaves do
      local bad = differ(grads[j], by_loop[j])
      if bad then return ("gradient outside %d: %s"):format(j, bad) end
    end
    -- inside
    local inside = torch.vmap(torch.func.grad(loss, argnums), { in_dims = dims })(table.unpack(mapped))
    for j = 1, #leaves do
      local at = dims[argnums[j] + 1]
      local bad = differ(inside[j]:movedim(0, at), by_loop[j])
      if bad then return ("gradient inside %d: %s"):format(j, bad) end
    end
    if not first then return nil end
    -- Second derivatives: of the squared gradients, inside and by the loop.
    local slope = torch.func.grad(function(...)
      local sum
      for _, g in ipairs(torch.func.grad(loss, argnums)(...)) do
        local part = (g * g):sum()
        sum = sum and sum + part or part
      end
      return sum
    end, argnums)
    local curved, curves = torch.vmap(slope, { in_dims = dims })(table.unpack(mapped)), {}
    for k = 0, BATCH - 1 do curves[k + 1] = slope(table.unpack(example(k))) end
    for j, expected_curve in ipairs(stack_examples(curves)) do
      local bad = differ(curved[j], expected_curve)
      if bad then return ("second derivative %d: %s"):format(j, bad) end
    end
  end, function(e)
    -- A derivative that PyTorch has not either is refused under vmap too.
    local refusal = tostring(e):find("derivative for '.-' is not implemented") or tostring(e):find("is not differentiable", 1, true)
    return not refusal and "raised " .. tostring(e) or NO_DERIVATIVE
  end)
  if not ok and trouble == NO_DERIVATIVE then ok, trouble = true, nil end
  for i, p in ipairs(places) do p[1][p[2]] = originals[i] end
  if ok and trouble == nil then passed = passed + 1 else report(row, where, trouble) end
end

for _, row in ipairs(op_db) do
  local fn = row.cname:find(pattern, 1, true) and not refused[row.cname] and not is_random(row) and function_of(row)
  for _, case in ipairs(fn and row.cases or {}) do
    local dtype = torch.float64
    local ok, sample = pcall(samples.sample, row, case, dtype)
    if ok and pcall(call, fn, sample) then
      local places = places_of(sample)
      local all = {}
      for i = 1, #places do all[i] = true end
      if #places > 0 then
        try(row, fn, sample, places, all, 0, case, no_second[row.cname] == nil)
        if not dense_only[row.cname] then try(row, fn, sample, places, all, -1, case .. " along the last dim") end
        if #places > 1 then
          for i = 1, #places do try(row, fn, sample, places, { [i] = true }, 0, case .. (" tensor %d alone"):format(i)) end
        end
      end
    end
  end
end
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and 0 or 1)
