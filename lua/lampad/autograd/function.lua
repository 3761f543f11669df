-- torch.autograd.Function: functions with a backward of their own.
local core = require "lampad.core"
local args = require "lampad.args"
local graph = require "lampad.autograd.graph"

local torch = core.torch

local function is_tensor(v) return type(v) == "userdata" and torch.is_tensor(v) end

-- What forward leaves for backward: ctx:save_for_backward(...), ctx.saved_tensors, any field.
local Context = {}

-- A saved tensor as backward gets it.
local function unpack_saved(entry)
  if not entry then return nil end
  if entry.hooks then return entry.hooks[2](entry.packed) end
  local t = entry.tensor
  if not entry.inference and t._version ~= entry.version then
    error(("%s: one of the variables needed for gradient computation has been modified by an inplace operation: saved "
      .. "tensor %d is at version %d; expected version %d instead"):format(entry.name or "Function", entry.at, t._version,
      entry.version), 0)
  end
  -- An output has the function's own history, which nothing but backward may bring back: it would hold itself.
  if entry.output_nr then return core.output_again(t, entry.output_nr) end
  return t
end

Context.__index = function(ctx, key)
  if key == "saved_tensors" then
    local saved = rawget(ctx, "_saved") or { n = 0 }
    if rawget(ctx, "_freed") then
      error("Trying to backward through the graph a second time: the saved tensors were freed by the first backward. "
        .. "Specify retain_graph=true in the first call", 0)
    end
    local list = { n = saved.n }
    for i = 1, saved.n do list[i] = unpack_saved(saved[i]) end
    return list
  end
  if key == "needs_input_grad" then return rawget(ctx, "_needs") end
  local output = rawget(ctx, "_outputs") and rawget(ctx, "_outputs")[key]
  if output then return core.output_again(output.tensor, output.output_nr) end
  return Context[key]
end

-- A result in a field of ctx (ctx.y = y) would hold the node and itself; as a saved result it is kept without history,
-- which backward gives it again.
local function keep_outputs(ctx, outputs)
  local kept
  for key, value in next, ctx do
    for k = 1, is_tensor(value) and #outputs or 0 do
      if rawequal(value, outputs[k]) then
        kept = kept or {}
        kept[key] = { tensor = value:detach(), output_nr = k - 1 }
      end
    end
  end
  for key in pairs(kept or {}) do rawset(ctx, key, nil) end
  rawset(ctx, "_outputs", kept)
end

-- The graph is freed: what was saved goes. Fields of ctx stay, so that a function that saves nothing may run again.
local function release(ctx)
  local saved = rawget(ctx, "_saved")
  if not saved or saved.n == 0 then return end
  rawset(ctx, "_saved", nil)
  rawset(ctx, "_freed", true)
end

--- Keeps tensors for backward: `local x, y = ctx:saved()` or ctx.saved_tensors[1].
function Context:save_for_backward(...)
  local saved = table.pack(...)
  local hooks = graph.current_hooks()
  for i = 1, saved.n do
    local t = saved[i]
    if t ~= nil and not is_tensor(t) then
      error(("save_for_backward: value %d is a %s, expected a tensor"):format(i, type(t)), 2)
    end
    if t ~= nil then
      local entry = { at = i, tensor = t, inference = t:is_inference() }
      if not entry.inference then entry.version = t._version end
      if hooks then entry.hooks, entry.packed = hooks, hooks[1](t) end
      saved[i] = entry
    end
  end
  rawset(self, "_saved", saved)
end

--- The saved tensors as several results.
function Context:saved()
  local saved = self.saved_tensors
  return table.unpack(saved, 1, saved.n)
end

--- Names results that carry no gradient.
function Context:mark_non_differentiable(...)
  local set = rawget(self, "_nondiff") or {}
  for _, t in ipairs { ... } do set[t] = true end
  rawset(self, "_nondiff", set)
end

--- Names inputs that forward changed in place; they must be among its results.
function Context:mark_dirty(...) rawset(self, "_dirty", { ... }) end

--- set_materialize_grads(false): gradients of results that took no part arrive as nil, not as zeros.
function Context:set_materialize_grads(value)
  if type(value) ~= "boolean" then error("set_materialize_grads: expected a boolean", 2) end
  rawset(self, "_raw", not value)
end

-- Checks and orders what backward returned: one gradient for each tensor argument.
local function read_gradients(name, grads, count, shapes, positions)
  for i = count + 1, grads.n do
    if grads[i] ~= nil then
      error(("%s: function returned an incorrect number of gradients (expected %d, got %d)"):format(name, count,
        grads.n), 0)
    end
  end
  local by_input = {}
  for k = 1, #shapes do
    local g = grads[positions[k]]
    if g ~= nil and not is_tensor(g) then
      error(("%s: backward returned a %s as gradient %d, expected a tensor or nil"):format(name, type(g),
        positions[k]), 0)
    end
    if g ~= nil and g.shape ~= shapes[k] then
      local ok, summed = pcall(g.sum_to_size, g, shapes[k])
      if not ok then
        error(("%s: function returned an invalid gradient at index %d - got %s but expected shape compatible with %s")
          :format(name, positions[k] - 1, tostring(g.shape), tostring(shapes[k])), 0)
      end
      g = summed
    end
    by_input[k] = g
  end
  return by_input
end

-- Runs the class's forward without recording and, in its other form, setup_context; the results, packed.
local function run_forward(cls, ctx, given)
  local _ <close> = torch.no_grad()
  if not cls.setup_context then return table.pack(cls.forward(ctx, table.unpack(given, 1, given.n))) end
  local results = table.pack(cls.forward(table.unpack(given, 1, given.n)))
  local output = results[1]
  if results.n > 1 then output = { n = results.n, table.unpack(results, 1, results.n) } end
  cls.setup_context(ctx, given, output)
  return results
end

-- Runs the body at a vmap level of its own.
local function at_level(size, body)
  local level = core.vmap_enter(size, "different")
  local _ <close> = setmetatable({}, { __close = function() core.vmap_leave(level) end })
  return body(level)
end

-- The innermost vmap level that batches an argument, when a tensor outside of it wants a gradient.
local function level_below(given)
  local level, wanted
  for i = 1, given.n do
    local l = is_tensor(given[i]) and core.vmap_level(given[i])
    if l and (not level or l > level) then level = l end
  end
  for i = 1, level and given.n or 0 do
    local t = given[i]
    if is_tensor(t) then
      wanted = wanted or core.requires_grad_below(t) or t.requires_grad and core.vmap_level(t) ~= level
    end
  end
  return wanted and level
end

-- Note [Functions under vmap]. When a backward outside of vmap shall reach through a custom function, the function is
-- applied to the batches themselves: its forward and backward run inside levels of their own, which last no longer
-- than each of them, and what it saves is kept as batches in between. ctx gets what a backward inside needs.
local function apply_below(cls, level, ctx, given, apply)
  local size
  local batches = { n = given.n }
  for i = 1, given.n do
    local t = given[i]
    if is_tensor(t) and core.vmap_level(t) == level then
      batches[i] = core.vmap_physical(t)
      size = batches[i]:size(0)
    else
      batches[i] = t
    end
  end
  local is_batch = {}
  for i = 1, given.n do is_batch[i] = not rawequal(batches[i], given[i]) end
  local Below, from_below = { __name = cls.__name }, nil
  function Below.forward(below, ...)
    local inner = setmetatable({}, getmetatable(ctx))
    rawset(inner, "_needs", below.needs_input_grad)
    local list = { n = select("#", ...), ... }
    return at_level(size, function(own)
      local wrapped = { n = list.n }
      for i = 1, list.n do
        if is_batch[i] then wrapped[i] = core.vmap_wrap(list[i], 0, own) else wrapped[i] = list[i] end
      end
      local results = run_forward(cls, inner, wrapped)
      local nondiff, hidden, out = rawget(inner, "_nondiff") or {}, {}, { n = results.n }
      for i = 1, results.n do
        local r = results[i]
        out[i] = is_tensor(r) and core.vmap_unwrap(r, 0, own) or r
        for t in pairs(nondiff) do hidden[i] = hidden[i] or t == r end
        if hidden[i] then below:mark_non_differentiable(out[i]) end
      end
      -- What it saved, as the inputs and results that the outer graph knows.
      local saved, flags, keep = rawget(inner, "_saved") or { n = 0 }, {}, { n = 0 }
      keep.n = saved.n
      for k = 1, saved.n do
        local t = saved[k] and saved[k].tensor
        if t then
          flags[k] = core.vmap_level(t) == own
          keep[k] = flags[k] and core.vmap_physical(t) or t
          for i = 1, list.n do if wrapped[i] == t then keep[k] = list[i] end end
          for i = 1, results.n do
            if results[i] == t then keep[k], flags[k] = out[i], true end
          end
        end
      end
      below:save_for_backward(table.unpack(keep, 1, keep.n))
      if rawget(inner, "_raw") then below:set_materialize_grads(false) end
      rawset(inner, "_saved", nil)
      rawset(inner, "_nondiff", nil)
      for key, value in pairs(inner) do if key ~= "_needs" then rawset(ctx, key, value) end end
      from_below = { keep = keep, flags = flags, results = out, nondiff = hidden, inputs = list }
      rawset(below, "inner", inner)
      rawset(below, "flags", flags)
      return table.unpack(out, 1, out.n)
    end)
  end
  function Below.backward(below, ...)
    local inner, flags, saved = below.inner, below.flags, below.saved_tensors
    local grads = { n = select("#", ...), ... }
    return at_level(size, function(own)
      local entries = { n = saved.n }
      for k = 1, saved.n do
        local t = saved[k]
        if t ~= nil and flags[k] then t = core.vmap_wrap(t, 0, own) end
        if t ~= nil then entries[k] = { at = k, tensor = t, inference = true } end
      end
      rawset(inner, "_saved", entries)
      for i = 1, grads.n do if grads[i] ~= nil then grads[i] = core.vmap_wrap(grads[i], 0, own) end end
      local got = table.pack(cls.backward(inner, table.unpack(grads, 1, grads.n)))
      for i = 1, got.n do
        if is_tensor(got[i]) then
          got[i] = core.vmap_unwrap(got[i], 0, own)
          if not is_batch[i] then got[i] = got[i]:sum(0) end
        end
      end
      rawset(inner, "_saved", nil)
      return table.unpack(got, 1, got.n)
    end)
  end
  local results = table.pack(apply(Below, table.unpack(batches, 1, batches.n)))
  local saved = { n = from_below.keep.n }
  for k = 1, saved.n do
    local t = from_below.keep[k]
    for i = 1, t and given.n or 0 do
      if rawequal(from_below.inputs[i], t) then saved[k] = given[i] end
    end
    if t and not saved[k] and from_below.flags[k] then saved[k] = core.vmap_wrap(t, 0, level) end
    saved[k] = saved[k] or t
  end
  for i = 1, results.n do
    if is_tensor(results[i]) then
      local wrapped = core.vmap_wrap(results[i], 0, level)
      for k = 1, saved.n do
        if rawequal(from_below.keep[k], from_below.results[i]) then saved[k] = wrapped end
      end
      if from_below.nondiff[i] then ctx:mark_non_differentiable(wrapped) end
      results[i] = wrapped
    end
  end
  Below.forward = nil -- Below lives on with the graph, and must not hold what it gave
  ctx:save_for_backward(table.unpack(saved, 1, saved.n))
  return results
end

-- Runs a custom function: forward without recording, then a node whose backward is cls.backward.
local apply
function apply(cls, ...)
  local ctx = setmetatable({}, Context)
  local given = table.pack(...)
  local inputs, positions = { n = 0 }, {}
  local recording = torch.is_grad_enabled()
  local needs, any = { n = given.n }, false
  for i = 1, given.n do
    needs[i] = is_tensor(given[i]) and given[i].requires_grad
    if is_tensor(given[i]) then
      inputs.n = inputs.n + 1
      inputs[inputs.n] = given[i]
      positions[inputs.n] = i
      any = any or needs[i]
    end
  end
  rawset(ctx, "_needs", needs)
  local name = (cls.__name or "Function") .. "Backward"
  local results
  local level = recording and level_below(given)
  if level then
    results = apply_below(cls, level, ctx, given, apply)
  else
    results = run_forward(cls, ctx, given)
  end
  if not (recording and any) then return table.unpack(results, 1, results.n) end
  local nondiff, is_input = rawget(ctx, "_nondiff") or {}, {}
  local function marked(t)
    for other in pairs(nondiff) do if other == t then return true end end
    return false
  end
  for i = 1, inputs.n do is_input[inputs[i]] = true end
  for _, d in ipairs(rawget(ctx, "_dirty") or {}) do
    if d.is_leaf and d.requires_grad then
      args.fail(cls.__name, "a leaf Variable that requires grad is being used in an in-place operation")
    end
  end
  local outputs, saved = {}, rawget(ctx, "_saved")
  for i = 1, results.n do
    local r = results[i]
    if is_tensor(r) and not marked(r) and (r:is_floating_point() or r:is_complex()) then
      local dirty = false
      for _, d in ipairs(rawget(ctx, "_dirty") or {}) do dirty = dirty or d == r end
      -- Saved outputs are kept apart from the result, whose history will be this node.
      for k = 1, saved and saved.n or 0 do
        local entry = saved[k]
        if entry and entry.tensor == r and not entry.hooks and (not is_input[r] or dirty) then
          entry.tensor, entry.output_nr = r:detach(), #outputs
        end
      end
      -- An input handed back, or a tensor with a history, gets a node of its own on an alias.
      if not dirty and (is_input[r] or r.requires_grad) then
        r = r:detach()
        results[i] = r
      end
      outputs[#outputs + 1] = r
    end
  end
  for k = 1, saved and saved.n or 0 do if saved[k] then saved[k].name = name end end
  if #outputs == 0 then return table.unpack(results, 1, results.n) end
  -- What backward needs to know of inputs and results, without holding them. Only floating results reach the node;
  -- backward gets a gradient for each tensor that forward gave.
  local shapes, slots, others, n_outputs = {}, {}, { n = 0 }, #outputs
  for k = 1, inputs.n do shapes[k] = inputs[k].shape end
  for i = 1, results.n do
    local r = results[i]
    if is_tensor(r) then
      others.n = others.n + 1
      local mine = false
      for k, out in ipairs(outputs) do
        if rawequal(out, r) then slots[k], mine = others.n, true end
      end
      if not mine then others[others.n] = { r.shape, { dtype = r.dtype, device = r.device } } end
    end
  end
  local count, raw = given.n, rawget(ctx, "_raw") or false
  rawset(ctx, "_nondiff", nil)
  rawset(ctx, "_dirty", nil)
  keep_outputs(ctx, outputs)
  core.attach_custom(name, inputs, outputs, function(...)
    if (...) == true then return release(ctx) end
    local grads = { n = others.n }
    for k = 1, n_outputs do grads[slots[k]] = (select(k, ...)) end
    for at = 1, others.n do
      if others[at] and not raw then grads[at] = torch.zeros(table.unpack(others[at])) end
    end
    local got = table.pack(cls.backward(ctx, table.unpack(grads, 1, grads.n)))
    local by_input = read_gradients(name, got, count, shapes, positions)
    return table.unpack(by_input, 1, #shapes)
  end, raw)
  return table.unpack(results, 1, results.n)
end

-- The base of custom functions: Function:extend "Name", then forward(ctx, ...) and backward(ctx, ...) as fields
-- (functions, not methods); or forward(...) and setup_context(ctx, inputs, output). Called as Name.apply(...) or
-- Name(...).
local Function = {}
Function.__index = Function
Function.__name = "Function"

function Function.forward()
  error("Function: define forward(ctx, ...) in the subclass", 2)
end
function Function.backward()
  error("Function: define backward(ctx, ...) in the subclass to differentiate through it", 2)
end

function Function:extend(name)
  local cls = { __name = name, super = self }
  cls.apply = function(...) return apply(cls, ...) end
  return setmetatable(cls, { __index = self, __call = function(c, ...) return apply(c, ...) end,
    __tostring = function() return "class " .. name end })
end

--- once_differentiable(backward): a backward that is run without recording; differentiating its results is an error.
local function once_differentiable(backward)
  return function(ctx, ...)
    local grads = table.pack(...)
    local results
    do
      local _ <close> = torch.no_grad()
      results = table.pack(backward(ctx, ...))
    end
    if not torch.is_grad_enabled() then return table.unpack(results, 1, results.n) end
    local inputs, outputs = {}, {}
    for i = 1, grads.n do
      if is_tensor(grads[i]) and grads[i].requires_grad then inputs[#inputs + 1] = grads[i] end
    end
    -- The saved tensors may require grad as well: the result depends on them.
    for _, t in pairs(ctx.saved_tensors) do
      if is_tensor(t) and t.requires_grad then inputs[#inputs + 1] = t end
    end
    if #inputs == 0 then return table.unpack(results, 1, results.n) end
    for i = 1, results.n do
      if is_tensor(results[i]) then
        results[i] = results[i]:detach()
        outputs[#outputs + 1] = results[i]
      end
    end
    core.attach_custom("OnceDifferentiableBackward", inputs, outputs, function(first)
      if first == true then return end -- nothing is saved
      error("trying to differentiate twice a function that was marked with @once_differentiable", 0)
    end)
    return table.unpack(results, 1, results.n)
  end
end

return { Function = Function, once_differentiable = once_differentiable }
