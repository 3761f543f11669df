--- What must hold after a call of the fuzzer: errors are messages, inputs stay as they were, the forms of an op
-- agree, gradients have the shapes of what they belong to.
local M = {}

local torch, core, values, invoke, finding, note, method_of, slow_seconds
local chance, random

function M.bind(context)
  torch, core, values, invoke = context.torch, context.core, context.values, context.invoke
  finding, note, method_of, slow_seconds = context.finding, context.note, context.method_of, context.slow_seconds
  chance, random = values.chance, math.random
end

local MAX_COMPARED = 3000 -- elements

-- Results that are not determined by the arguments.
local undetermined = { empty = true, empty_like = true, empty_strided = true, new_empty = true, new_empty_strided = true,
  resize = true, resize_as = true }
-- Ops that write to arguments other than self and out.
local writes_arguments = { batch_norm = true, instance_norm = true, embedding = true, embedding_bag = true }
-- Ops that read memory as it lies, so that another layout means another call.
local reads_layout = { view_dtype = true, as_strided = true, as_strided_copy = true, view_as_complex = true, view_as_real = true,
  view = true, as_strided_scatter = true, resize = true, resize_as = true, expand = true, empty_strided = true }
-- Words by which an in-place form may refuse what the function accepts.
local refusals = { "leaf", "overlap", "memory", "expand", "view", "grad", "in place", "in-place", "inplace", "dtype", "shape", "cast",
  "inference" }

-- --- messages -----------------------------------------------------------------------------------

--- An error must be a text that begins with the user's line and names the op, without the engine's own words.
function M.message(message, row, word)
  local name = row and row.cname or word or "an action"
  if type(message) ~= "string" then return finding("an error that is no text", name, type(message)) end
  if message:find("not enough memory", 1, true) or message == "interrupted" then return end
  local named = true
  if row and not message:find("out of memory", 1, true) then -- an inner op may be the one that finds none
    named = message:find(row.name, 1, true)
    for _, alias in ipairs(row.aliases) do named = named or message:find(alias, 1, true) end
  end
  if not named then finding("an error that does not name the op", name, message) end
  if not message:match "^[^\n]-%.lua:%d+: " then finding("an error without a line", name, message) end
  for _, bad in ipairs { "%(null%)", "lp_%w", "lpvm", "%%%l%l?%l?d", "%%[sdgizu]%f[%W]", "%z", "LpTensor", "fault of the engine" } do
    local at = message:find(bad)
    if at and not message:find("%s%d%n", 1, true) and not message:find("lp_pool", 1, true) then finding("an error with internals", name, message) end
  end
end

-- --- comparing ----------------------------------------------------------------------------------

local function each_tensor(value, visit)
  if torch.is_tensor(value) then visit(value)
  elseif type(value) == "table" then
    for i = 1, math.max(#value, value.n or 0) do each_tensor(value[i], visit) end
  end
end

local function numbers(t)
  return t:detach():_shown()
end

local function near(a, b, limit)
  if a == b then return true end
  if a ~= a then return b ~= b end
  if type(a) == "boolean" then return false end
  return math.abs(a - b) <= limit
end

local tolerances = {}

-- How far apart results may be when `loose`: relative to the largest number in them.
local function tolerance_of(dtype)
  if not tolerances[dtype] then
    tolerances[dtype] = (dtype == torch.float64 or dtype == torch.complex128) and 1e-7 or dtype == torch.float16 and 3e-2
      or dtype == torch.bfloat16 and 1e-1 or dtype.is_floating_point and 2e-3 or dtype.is_complex and 2e-3 or 0
  end
  return tolerances[dtype]
end

--- nil when both are the same, else what differs.
function M.difference(a, b, loose)
  if torch.is_tensor(a) then
    if not torch.is_tensor(b) then return "a tensor and " .. type(b) end
    if a.dtype ~= b.dtype then return ("%s and %s"):format(tostring(a.dtype), tostring(b.dtype)) end
    if a.shape ~= b.shape then return ("shapes %s and %s"):format(tostring(a.shape), tostring(b.shape)) end
    if a:numel() > MAX_COMPARED then return nil end
    local x, y = numbers(a), numbers(b)
    local limit = 0
    if loose then
      local largest = 1e-20 -- what is smaller may be the rounding of larger things
      for _, v in ipairs(x) do
        if type(v) == "number" and v == v and math.abs(v) < math.huge then largest = math.max(largest, math.abs(v)) end
      end
      limit = tolerance_of(a.dtype) * largest
    end
    for i = 1, #x do
      if not near(x[i], y[i], limit) then return ("element %d of %s: %s and %s"):format(i - 1, tostring(a.shape), tostring(x[i]), tostring(y[i])) end
    end
    return nil
  elseif type(a) == "table" and type(b) == "table" then
    local n, m = a.n or #a, b.n or #b
    if n ~= m then return ("%d and %d results"):format(n, m) end
    for i = 1, n do
      local trouble = M.difference(a[i], b[i], loose)
      if trouble then return n > 1 and ("result %d: %s"):format(i, trouble) or trouble end
    end
    return nil
  end
  if a == b or (a ~= a and b ~= b) then return nil end
  if loose and type(a) == "number" and type(b) == "number" and near(a, b, 1e-3 * math.abs(a)) then return nil end
  return ("%s and %s"):format(tostring(a), tostring(b))
end

--- May two elements of the tensor share memory? Writing to such a one is undefined.
function M.may_overlap(t)
  local dims, reach = {}, 0
  for i = 0, t.ndim - 1 do
    if t.shape[i] > 1 then dims[#dims + 1] = { t.shape[i], t:stride(i) } end
  end
  table.sort(dims, function(a, b) return a[2] < b[2] end)
  for _, dim in ipairs(dims) do
    if dim[2] <= reach then return true end
    reach = reach + (dim[1] - 1) * dim[2]
  end
  return false
end

-- --- inputs -------------------------------------------------------------------------------------

local function input_tensors(call)
  local list = {}
  for i = 1, call.args.n do each_tensor(call.args[i], function(t) list[#list + 1] = t end) end
  local names = {}
  for name in pairs(call.named) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do each_tensor(call.named[name], function(t) list[#list + 1] = t end) end
  return list
end

local function snapshot(list)
  local kept = {}
  for _, t in ipairs(list) do
    local ok, state = pcall(function()
      local strides = {}
      for i = 0, t.ndim - 1 do strides[#strides + 1] = t:stride(i) end
      return { tensor = t, shape = tostring(t.shape), strides = table.concat(strides, ","), dtype = t.dtype, version = t._version,
        values = t:numel() <= MAX_COMPARED and numbers(t) or nil }
    end)
    if ok then kept[#kept + 1] = state end -- not so for a freed one
  end
  return kept
end

local function geometry_change(state)
  local t, strides = state.tensor, {}
  for i = 0, t.ndim - 1 do strides[#strides + 1] = t:stride(i) end
  if tostring(t.shape) ~= state.shape then return "shape " .. state.shape .. " became " .. tostring(t.shape) end
  if table.concat(strides, ",") ~= state.strides then return "strides " .. state.strides .. " became " .. table.concat(strides, ",") end
  if t.dtype ~= state.dtype then return "the dtype became " .. tostring(t.dtype) end
end

local function value_change(state)
  if not state.values then return nil end
  local now = numbers(state.tensor)
  for i = 1, #now do
    if not near(now[i], state.values[i], 0) then
      return ("element %d was %s, is %s"):format(i - 1, tostring(state.values[i]), tostring(now[i]))
    end
  end
end

local function may_write(row)
  for _, a in ipairs(row.args) do
    if a.name == "inplace" then return true end
  end
  return writes_arguments[row.name] or row.name:sub(-1) == "_"
end

-- --- the same call in another form --------------------------------------------------------------

local function clone_of(value, seen, how)
  if torch.is_tensor(value) then
    for i = 1, #seen, 2 do
      if rawequal(seen[i], value) then return seen[i + 1] end
    end
    local copy = how(value)
    seen[#seen + 1], seen[#seen + 2] = value, copy
    return copy
  elseif type(value) == "table" and getmetatable(value) == nil then
    local list = {}
    for k, v in pairs(value) do list[k] = clone_of(v, seen, how) end
    return list
  end
  return value
end

local function changed_call(call, how)
  local seen, copy = {}, { row = call.row, generators = call.generators, fn = call.fn, form = call.form, args = { n = call.args.n }, named = {} }
  for i = 1, call.args.n do copy.args[i] = clone_of(call.args[i], seen, how) end
  for name, value in pairs(call.named) do copy.named[name] = clone_of(value, seen, how) end
  return copy
end

local function is_memory(trouble) return tostring(trouble):find("out of memory", 1, true) end

-- Does the call advance the generator? Where the numbers go may then depend on the layout.
local function draws_numbers(call)
  torch.manual_seed(1)
  local before = torch.get_rng_state()
  invoke(call)
  return not torch.equal(before, torch.get_rng_state())
end

-- Linear algebra of matrices that are singular, huge or not finite: rounding decides, and it differs between two ways to compute.
local function is_ill_posed(call, results)
  local source = call.row.source
  if not (source:find "lapack" or source:find "factor" or source:find "linalg") then return false end
  local huge = false
  local function look(t)
    local ok, all = pcall(function() return t:detach():abs():le(1e6):all():item() end)
    huge = huge or ok and not all
  end
  for _, t in ipairs(input_tensors(call)) do look(t) end
  each_tensor(results, look)
  return huge
end

local function compare_forms(pool, call, results)
  local row = call.row
  if undetermined[row.name] or may_write(row) then return end
  -- As a method of its first argument.
  local method = row.has_method and call.form == "function" and method_of(row, call.args)
  if method and chance(0.3) then
    note "the same as a method"
    local other = { row = row, generators = call.generators, fn = method, args = call.args, named = call.named }
    local ok, again = invoke(other)
    if not ok and is_memory(again) then return end -- both results at once were too much
    if not ok then finding("a method that fails where the function does not", row.cname, again)
    else
      local trouble = M.difference(results, again)
      if trouble then finding("a method that disagrees", row.cname, trouble) end
    end
  end
  local wants, strided = false, false
  for _, t in ipairs(input_tensors(call)) do
    wants = wants or t.requires_grad
    strided = strided or not t:is_contiguous()
  end
  if wants and chance(0.4) and not is_ill_posed(call, results) then
    note "the same without gradients"
    local ok, again = invoke(changed_call(call, function(t) return t:detach() end))
    local trouble = not ok and again or M.difference(results, again, true)
    if trouble and not is_memory(trouble) then finding("a result that requires_grad changes", row.cname, trouble) end
  end
  if strided and chance(0.5) and not reads_layout[row.cname] and (pool.kind == "plain" or pool.kind == "small" or pool.kind == "unit")
    and not row.source:find "lapack" and not row.source:find "random" then
    note "the same on contiguous copies"
    local ok, again = invoke(changed_call(call, function(t) return t:detach():clone():contiguous() end))
    local trouble = not ok and again or M.difference(results, again, true)
    if trouble and not is_memory(trouble) and not draws_numbers(call) then finding("a result that the layout changes", row.cname, trouble) end
  end
end

-- --- gradients ----------------------------------------------------------------------------------

local function backward(pool, call, results)
  local outputs, leaves = {}, pool.leaves
  each_tensor(results, function(t)
    if t.requires_grad and t:numel() <= MAX_COMPARED then outputs[#outputs + 1] = t end
  end)
  if #outputs == 0 or #leaves == 0 then return end
  local fed = {}
  for i, t in ipairs(outputs) do
    fed[i] = torch.rand(t.shape):sub(0.5):to(t.dtype)
    if chance(0.1) then fed[i] = values.relayout(fed[i]) end
    if chance(0.02) then fed[i] = values.tensor(pool) end
  end
  if chance(0.1) then
    note "something is written to before backward"
    pcall(function()
      local t = values.pick(pool.tensors)
      if t._base or chance(0.5) then t = t:detach() end
      t:add_(1)
    end)
  end
  local create = chance(0.4)
  note(create and "backward, twice" or "backward")
  if chance(0.08) then core.memory_fail_after(random(0, 40)) end
  local start = os.clock()
  local grads = table.pack(pcall(torch.autograd.grad, outputs, leaves, { grad_outputs = fed, create_graph = create, allow_unused = true }))
  core.memory_fail_after(-1)
  if os.clock() - start > slow_seconds then finding("slowness", call.row.cname .. " backward", ("%.1f s"):format(os.clock() - start)) end
  if not grads[1] then return M.message(grads[2], nil, call.row.cname .. " backward") end
  local second = {}
  for i, leaf in ipairs(leaves) do
    local g = grads[i + 1]
    if torch.is_tensor(g) then
      if g.shape ~= leaf.shape then finding("a gradient of another shape", call.row.cname, tostring(g.shape) .. " for " .. tostring(leaf.shape)) end
      if g.dtype ~= leaf.dtype then finding("a gradient of another dtype", call.row.cname, tostring(g.dtype) .. " for " .. tostring(leaf.dtype)) end
      local _ = g:numel() <= MAX_COMPARED and numbers(g)
      if g.requires_grad then second[#second + 1] = g end
    end
  end
  if create and #second > 0 then
    for i, g in ipairs(second) do fed[i] = torch.rand(g.shape):to(g.dtype) end
    for i = #second + 1, #fed do fed[i] = nil end
    note "the second backward"
    local ok, message = pcall(torch.autograd.grad, second, leaves, { grad_outputs = fed, allow_unused = true })
    if not ok then M.message(message, nil, call.row.cname .. " second backward") end
  end
end

-- --- everything about one call ------------------------------------------------------------------

local function check_inplace(call, reference, ok, results)
  local row, self = call.row, call.args[1]
  if undetermined[row.name] then return end
  local expected = reference and reference.ok and reference.before
  if not expected then return end
  local same_kind = torch.is_tensor(expected) and expected.dtype == self.dtype and expected.shape == self.shape
  if not same_kind then return end
  if not ok then
    for _, word in ipairs(refusals) do
      if tostring(results):find(word, 1, true) then return end
    end
    return finding("an in-place form that fails where the function does not", row.cname, results)
  end
  for _, other in ipairs(input_tensors(call)) do
    if not rawequal(other, self) and other:is_same_storage(self) then return end
  end
  if M.may_overlap(self) or row.source:find("random", 1, true) and not self:is_contiguous() then return end
  if results[1] ~= self then finding("an in-place form that does not return self", row.cname, type(results[1])) end
  local trouble = M.difference(expected, self, true)
  if trouble then finding("an in-place form that disagrees", row.cname, trouble) end
end

local function check_out(pool, call, reference, results)
  local row, out = call.row, call.out
  if undetermined[row.name] or not (reference and reference.ok) then return end
  local list = torch.is_tensor(out) and { out } or out
  if type(list) ~= "table" then return end
  for i = 2, #list do
    for j = 1, i - 1 do
      if torch.is_tensor(list[i]) and torch.is_tensor(list[j]) and list[j]:is_same_storage(list[i]) then return end
    end
  end
  for i, t in ipairs(list) do
    local expected = reference.results[i]
    if not torch.is_tensor(expected) or not torch.is_tensor(t) or expected.dtype ~= t.dtype then return end
    if M.may_overlap(t) or row.source:find("random", 1, true) and not t:is_contiguous() then return end
    for _, other in ipairs(pool.tensors) do
      if other:is_same_storage(t) and other ~= t then return end
    end
    for _, other in ipairs(input_tensors(call)) do
      if other:is_same_storage(t) then return end
    end
    if results[i] ~= t then finding("an out form that does not return out", row.cname, type(results[i])) end
    local trouble = M.difference(expected, t, true)
    if trouble then finding("an out form that disagrees", row.cname, trouble) end
  end
end

-- A number that may be a length, of a transform or a list, beyond a hundred million.
local function is_long(call)
  local long = false
  local function look(value)
    if type(value) == "table" then
      for _, member in pairs(value) do look(member) end
    else
      long = long or math.type(value) == "integer" and value >= 100000000
    end
  end
  look(call.args)
  look(call.named)
  return long
end

--- Runs the call and checks what can be checked. reference: the function form, run before on the same arguments.
function M.run(pool, call, reference)
  local row = call.row
  local writes = may_write(row)
  local first = reference and reference.ok and reference.results[1]
  if torch.is_tensor(first) and first:numel() <= MAX_COMPARED then reference.before = first:detach():clone() end
  local inputs = snapshot(input_tensors(call))
  local outs = {}
  if call.out ~= nil then each_tensor(call.out, function(t) outs[#outs + 1] = t end) end
  local out_states = snapshot(outs)
  local failing = chance(0.06)
  if failing then core.memory_fail_after(random(0, 15)) end
  local ok, results, seconds = invoke(call)
  core.memory_fail_after(-1)
  if seconds > slow_seconds * (is_long(call) and 15 or 1) then finding("slowness", row.cname, ("%.1f s"):format(seconds)) end
  if not ok then
    M.message(results, row)
    for _, state in ipairs(inputs) do
      local trouble = geometry_change(state) or not (call.form == "inplace" or call.form == "out" or writes)
        and value_change(state)
      local is_out = false
      for _, t in ipairs(outs) do is_out = is_out or rawequal(t, state.tensor) end
      if trouble and not is_out and not undetermined[row.name] then
        finding("a failed call that changes an argument", row.cname .. " " .. call.form, trouble)
      end
    end
    for _, state in ipairs(out_states) do
      local t = state.tensor
      local _ = t:numel() <= MAX_COMPARED and numbers(t)
    end
    if call.form == "inplace" and not failing then check_inplace(call, reference, false, results) end
    return
  end
  if call.named.nonsense ~= nil or call.named.dimm ~= nil then
    finding("an unknown argument that is taken", row.cname, call.form)
    return
  end
  each_tensor(results, function(t)
    if t:numel() <= MAX_COMPARED then numbers(t) end -- all of it can be read
  end)
  for _, state in ipairs(inputs) do
    local trouble
    if call.form == "function" or call.form == "method" then
      trouble = geometry_change(state) or not writes and value_change(state)
    elseif call.form == "inplace" then trouble = not rawequal(state.tensor, call.args[1]) and geometry_change(state) end
    if trouble then finding("an argument that a call changes", row.cname .. " " .. call.form, trouble) end
  end
  if call.form == "inplace" then check_inplace(call, reference, true, results)
  elseif call.form == "out" then check_out(pool, call, reference, results)
  elseif not failing then compare_forms(pool, call, results) end
  backward(pool, call, results)
  if chance(0.05) then
    note "printing the results"
    each_tensor(results, function(t)
      local done, message = pcall(tostring, t)
      if not done then M.message(message, nil, "tostring") end
    end)
  end
end

return M
