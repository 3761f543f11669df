-- torch.autograd.functional: Jacobians, Hessians and products with them for functions of one tensor or of a list of
-- tensors. A list of inputs gives a list of results; a list of outputs a list of those.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"

local torch = core.torch
local fail = args.fail
local unpack, pack = table.unpack, table.pack

local functional = {}

local function is_tensor(v) return type(v) == "userdata" and torch.is_tensor(v) end

-- A list of tensors from one or from a list; and whether it was a list.
local function as_list(value, what, where)
  if is_tensor(value) then return { value }, false end
  if type(value) ~= "table" then
    fail(where, "The %s given to %s must be either a Tensor or a list of Tensors but the given %s has type %s", what,
      where, what, type(value))
  end
  for i, v in ipairs(value) do
    if not is_tensor(v) then
      fail(where, "The %s given to %s must be either a Tensor or a list of Tensors but the value at index %d of the "
        .. "given %s has type %s", what, where, i - 1, what, text.describe(v))
    end
  end
  return value, true
end

-- Inputs of this call: views of the given ones when the result shall be differentiable, else leaves of their own.
local function own_inputs(inputs, create_graph)
  local own = {}
  for i, t in ipairs(inputs) do
    if create_graph and t.requires_grad then own[i] = t:view_as(t)
    elseif create_graph then own[i] = t:detach():requires_grad_(true)
    else own[i] = t:detach():requires_grad_(true) end
  end
  return own
end

-- func's outputs as a list; several results or one table are a list.
local function call(func, inputs, where)
  local results = pack(func(unpack(inputs)))
  if results.n == 1 then return as_list(results[1], "outputs of the user-provided function", where) end
  return (as_list({ unpack(results, 1, results.n) }, "outputs of the user-provided function", where)), true
end

local function check_strict(outputs, where)
  for i, out in ipairs(outputs) do
    if not out.requires_grad then
      fail(where, "Output %d of the user-provided function does not require gradients. The outputs must be computed in "
        .. "a differentiable manner from the input when running in strict mode", i - 1)
    end
  end
end

-- Gradients of outputs with respect to inputs along v (lists); nil where there is none.
local function grads_of(outputs, inputs, v, create_graph, retain)
  local outs, given = {}, {}
  for i, out in ipairs(outputs) do
    if out.requires_grad then
      outs[#outs + 1], given[#given + 1] = out, v[i]
    end
  end
  if #outs == 0 then return { n = #inputs } end
  return pack(core.grad(outs, inputs, given,
    { allow_unused = true, create_graph = create_graph, retain_graph = retain or create_graph }))
end

local function fill_zeros(grads, inputs, strict, where, message)
  for i = 1, #inputs do
    if grads[i] == nil then
      if strict then fail(where, message, i - 1) end
      grads[i] = torch.zeros_like(inputs[i]:detach())
    end
  end
  return grads
end

local function finish(list, many, create_graph)
  local out = {}
  for i = 1, #list do out[i] = create_graph and list[i] or list[i]:detach() end
  if many then return out end
  return out[1]
end

local function check_v(v, others, where, kind)
  if #v ~= #others then
    fail(where, "v is a list of invalid length: should be %d but got %d", #others, #v)
  end
  for i, t in ipairs(v) do
    if t.shape ~= others[i].shape then
      fail(where, "v has invalid size: should be %s but got %s (%s %d)", tostring(others[i].shape), tostring(t.shape),
        kind, i - 1)
    end
  end
end

local function options_of(where, options, names)
  options = options or {}
  if type(options) ~= "table" then fail(where, "expected a table of options, got %s", text.describe(options)) end
  args.check_names(where, options, names)
  return options
end

-- (func, inputs, a, b, {options}): positional flags beside the table of options.
local function read(where, names, flags, ...)
  local given = pack(...)
  local options = {}
  local last = given[given.n]
  if given.n > 2 and type(last) == "table" and getmetatable(last) == nil and #last == 0
      and (next(last) == nil or type(next(last)) == "string") then
    options = options_of(where, last, names)
    given[given.n] = nil
    given.n = given.n - 1
  end
  local read_options = {}
  for key, value in pairs(options) do read_options[key] = value end
  for i, name in ipairs(flags) do
    if given[2 + i] ~= nil then read_options[name] = given[2 + i] end
  end
  if type(given[1]) ~= "function" and not (type(given[1]) == "table" and getmetatable(given[1])) then
    fail(where, "argument 'func' must be a function, got %s", text.describe(given[1]))
  end
  return given[1], given[2] == nil and options.inputs or given[2], read_options
end

--- jacobian(func, inputs, create_graph = false, strict = false, vectorize = false, strategy = "reverse-mode"): for one
--- input and one output a tensor of shape output.shape + input.shape; for a list of inputs a list, for a list of
--- outputs a list of those. vectorize computes all rows at once, by vmap.
function functional.jacobian(...)
  local func, inputs, o = read("jacobian", { "inputs", "create_graph", "strict", "vectorize", "strategy" },
    { "create_graph", "strict", "vectorize", "strategy" }, ...)
  local strategy = o.strategy or "reverse-mode"
  if strategy ~= "reverse-mode" and strategy ~= "forward-mode" then
    fail("jacobian", "Expected strategy to be either \"forward-mode\" or \"reverse-mode\", got %s", tostring(strategy))
  end
  if strategy == "forward-mode" and o.create_graph then
    fail("jacobian", "`create_graph=true` is not implemented for forward-mode strategy. Please use reverse-mode")
  end
  if strategy == "forward-mode" and not o.vectorize then
    fail("jacobian", "strategy=\"forward-mode\" needs vectorize=true")
  end
  if o.strict and o.vectorize then
    fail("jacobian", "torch.autograd.functional.jacobian: `strict=true` and `vectorized=true` are not supported together")
  end
  local list, many_in = as_list(inputs, "inputs", "jacobian")
  local _ <close> = torch.enable_grad()
  local own = own_inputs(list, o.create_graph)
  local outputs, many_out = call(func, own, "jacobian")
  if o.strict then check_strict(outputs, "jacobian") end
  local result = {}
  for k, out in ipairs(outputs) do
    local rows = {}
    for i = 1, #own do rows[i] = {} end
    local n = out:numel()
    local out_sizes = out.shape:tolist()
    local per_input = {}
    if not out.requires_grad then
      for i = 1, #own do rows[i] = nil end
    elseif o.vectorize then
      local basis = torch.eye(n, { dtype = out.dtype }):reshape { n, unpack(out_sizes) }
      local at = {}
      local stacked = pack(require("lampad.func.vmap")(function(v)
        local grads = grads_of({ out }, own, { v }, o.create_graph, true)
        local present = {}
        for i = 1, #own do
          if grads[i] ~= nil then
            present[#present + 1] = grads[i]
            at[#present] = i
          end
        end
        return unpack(present)
      end)(basis))
      for p = 1, stacked.n do per_input[at[p]] = stacked[p] end
    else
      local flat = out:reshape(-1)
      for e = 0, n - 1 do
        local grads = pack(core.grad(flat[e], own, nil,
          { allow_unused = true, retain_graph = true, create_graph = o.create_graph or false }))
        for i = 1, #own do
          if grads[i] == nil and o.strict then
            fail("jacobian", "Output %d of the user-provided function is independent of input %d. This is not allowed "
              .. "in strict mode", k - 1, i - 1)
          end
          if grads[i] ~= nil and o.strict and o.create_graph and not grads[i].requires_grad then
            fail("jacobian", "The jacobian of the user-provided function is independent of input %d. This is not "
              .. "allowed in strict mode when create_graph=true", i - 1)
          end
          rows[i][e + 1] = grads[i] == nil and torch.zeros_like(own[i]:detach()) or grads[i]
        end
      end
      for i = 1, #own do if n > 0 then per_input[i] = torch.stack(rows[i]) end end
    end
    for i = 1, #own do
      local sizes = out.shape:tolist()
      for _, s in ipairs(own[i].shape:tolist()) do sizes[#sizes + 1] = s end
      per_input[i] = per_input[i] == nil and torch.zeros(sizes, { dtype = own[i].dtype }) or per_input[i]:reshape(sizes)
    end
    result[k] = finish(per_input, many_in, o.create_graph)
  end
  if many_out then return result end
  return result[1]
end

--- hessian(func, inputs, create_graph = false, strict = false, vectorize = false, outer_jacobian_strategy): of a
--- function that returns one number; a list of inputs gives a list of lists.
function functional.hessian(...)
  local func, inputs, o = read("hessian", { "inputs", "create_graph", "strict", "vectorize", "outer_jacobian_strategy" },
    { "create_graph", "strict", "vectorize", "outer_jacobian_strategy" }, ...)
  local _, many_in = as_list(inputs, "inputs", "hessian")
  local strategy = o.outer_jacobian_strategy or "reverse-mode"
  if strategy ~= "reverse-mode" and strategy ~= "forward-mode" then
    fail("hessian", "Expected strategy to be either \"forward-mode\" or \"reverse-mode\"")
  end
  local function single(...)
    local out = func(...)
    if not is_tensor(out) then
      fail("hessian", "The function given to hessian should return a single Tensor")
    end
    if out:numel() ~= 1 then
      fail("hessian", "The Tensor returned by the function given to hessian should contain a single element")
    end
    return out:squeeze()
  end
  local function gradient(...)
    local jac = functional.jacobian(single, many_in and { ... } or (...), { create_graph = true, strict = o.strict })
    if many_in then return unpack(jac) end
    return jac
  end
  local result = functional.jacobian(gradient, inputs, { create_graph = o.create_graph, strict = o.strict,
    vectorize = o.vectorize })
  if many_in and #inputs == 1 and is_tensor(result[1]) then return { result } end
  return result
end

-- v, or ones for a function of one number.
local function vector_for(v, outputs, many, where, kind)
  if v == nil then
    if #outputs ~= 1 or outputs[1]:numel() ~= 1 then
      fail(where, "The vector v can only be nil if the %s is a single Tensor with a single element", kind)
    end
    return { torch.ones_like(outputs[1]:detach()) }
  end
  local list = as_list(v, "v", where)
  check_v(list, outputs, where, kind)
  return list, many
end

local product_names = { "inputs", "v", "create_graph", "strict" }
local product_flags = { "v", "create_graph", "strict" }

--- vjp(func, inputs, v = nil, create_graph = false, strict = false): func's output, and v times its Jacobian.
function functional.vjp(...)
  local func, inputs, o = read("vjp", product_names, product_flags, ...)
  local list, many_in = as_list(inputs, "inputs", "vjp")
  local _ <close> = torch.enable_grad()
  local own = own_inputs(list, o.create_graph)
  local outputs, many_out = call(func, own, "vjp")
  if o.strict then check_strict(outputs, "vjp") end
  local v = vector_for(o.v, outputs, many_out, "vjp", "user-provided function's output")
  local grads = fill_zeros(grads_of(outputs, own, v, o.create_graph or false), own, o.strict, "vjp",
    "The output of the user-provided function is independent of input %d. This is not allowed in strict mode")
  return finish(outputs, many_out, o.create_graph), finish(grads, many_in, o.create_graph)
end

--- jvp(func, inputs, v = nil, create_graph = false, strict = false): func's output, and its Jacobian times v: the
--- derivative of the vjp, which is linear in its vector.
function functional.jvp(...)
  local func, inputs, o = read("jvp", product_names, product_flags, ...)
  local list = as_list(inputs, "inputs", "jvp")
  local _ <close> = torch.enable_grad()
  local own = own_inputs(list, o.create_graph)
  local v = vector_for(o.v, list, true, "jvp", "inputs")
  local outputs, many_out = call(func, own, "jvp")
  if o.strict then check_strict(outputs, "jvp") end
  local duals = {}
  for i, out in ipairs(outputs) do duals[i] = torch.zeros_like(out:detach()):requires_grad_(true) end
  local pulled = fill_zeros(grads_of(outputs, own, duals, true), own, o.strict, "jvp",
    "The output of the user-provided function is independent of input %d. This is not allowed in strict mode")
  local pushed = fill_zeros(grads_of(pulled, duals, v, o.create_graph or false), duals, false, "jvp", "")
  return finish(outputs, many_out, o.create_graph), finish(pushed, many_out, o.create_graph)
end

-- func's value and gradient, recorded: for the products with the Hessian.
local function value_and_gradient(func, list, o, where)
  local own = own_inputs(list, o.create_graph)
  local outputs, many_out = call(func, own, where)
  if many_out or outputs[1]:numel() ~= 1 then
    fail(where, "The Tensor returned by the function given to %s should contain a single element", where)
  end
  if o.strict then check_strict(outputs, where) end
  local ones = { torch.ones_like(outputs[1]:detach()) }
  local first = fill_zeros(grads_of(outputs, own, ones, true), own, o.strict, where,
    "The output of the user-provided function is independent of input %d. This is not allowed in strict mode")
  return own, outputs, first
end

--- vhp(func, inputs, v = nil, create_graph = false, strict = false): func's value, and v times its Hessian.
function functional.vhp(...)
  local func, inputs, o = read("vhp", product_names, product_flags, ...)
  local list, many_in = as_list(inputs, "inputs", "vhp")
  local _ <close> = torch.enable_grad()
  local v = vector_for(o.v, list, many_in, "vhp", "inputs")
  local own, outputs, first = value_and_gradient(func, list, o, "vhp")
  local product = fill_zeros(grads_of(first, own, v, o.create_graph or false), own, o.strict, "vhp",
    "The jacobian of the user-provided function is independent of input %d. This is not allowed in strict mode")
  return finish(outputs, false, o.create_graph), finish(product, many_in, o.create_graph)
end

--- hvp(func, inputs, v = nil, create_graph = false, strict = false): func's value, and its Hessian times v; the same
--- numbers as vhp where second derivatives are continuous, at a higher price.
function functional.hvp(...)
  local func, inputs, o = read("hvp", product_names, product_flags, ...)
  local list, many_in = as_list(inputs, "inputs", "hvp")
  local _ <close> = torch.enable_grad()
  local v = vector_for(o.v, list, many_in, "hvp", "inputs")
  local own, outputs, first = value_and_gradient(func, list, o, "hvp")
  local duals = {}
  for i, t in ipairs(own) do duals[i] = torch.zeros_like(t:detach()):requires_grad_(true) end
  local pulled = fill_zeros(grads_of(first, own, duals, true), own, o.strict, "hvp",
    "The jacobian of the user-provided function is independent of input %d. This is not allowed in strict mode")
  local product = fill_zeros(grads_of(pulled, duals, v, o.create_graph or false), duals, false, "hvp", "")
  return finish(outputs, false, o.create_graph), finish(product, many_in, o.create_graph)
end

return functional
