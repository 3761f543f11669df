-- torch.autograd.gradcheck and gradgradcheck: gradients beside finite differences.
local core = require "lampad.core"
local args = require "lampad.args"

local torch = core.torch
local check = {}

local function is_tensor(v) return type(v) == "userdata" and torch.is_tensor(v) end

local function as_list(v)
  if is_tensor(v) then return { v } end
  return v
end

local function differentiable(t) return is_tensor(t) and t.requires_grad end

-- The outputs of fn that carry gradients.
local function call(fn, inputs)
  local outs = table.pack(fn(table.unpack(inputs, 1, inputs.n or #inputs)))
  if outs.n == 1 and type(outs[1]) == "table" then outs = outs[1] end
  local list = {}
  for i = 1, outs.n or #outs do
    local o = outs[i]
    if is_tensor(o) and (o:is_floating_point() or o:is_complex()) then list[#list + 1] = o end
  end
  return list
end

-- The sum over outputs of the real part of <v, out>: a scalar loss for random directions v.
local function project(outs, directions)
  local total
  for i, o in ipairs(outs) do
    local part = (o * directions[i]):sum()
    if part:is_complex() then part = torch.real(part) end
    total = total and total + part or part
  end
  return total
end

local function numeric_fault(kind, i, index, analytic, numeric)
  return ("%s: input %d, element %d: the formula gives %.8g, differences give %.8g"):format(kind, i, index, analytic,
    numeric)
end

local option_names = { "eps", "atol", "rtol", "raise_exception", "nondet_tol", "check_undefined_grad", "check_grad_dtypes",
  "check_batched_grad", "check_batched_forward_grad", "check_forward_ad", "check_backward_ad", "fast_mode", "masked" }
local second_names = { "eps", "atol", "rtol", "gen_non_contig_grad_outputs", "raise_exception", "nondet_tol",
  "check_undefined_grad", "check_grad_dtypes", "check_batched_grad", "check_fwd_over_rev", "check_rev_over_rev",
  "fast_mode", "masked" }

-- The gradients along a batch of directions, by vmap, beside those along each of them.
local function batched_fault(outs, leaves, shapes)
  for k, out in ipairs(outs) do
    local sizes = out.shape:tolist()
    table.insert(sizes, 1, 3)
    local directions = torch.linspace(-1, 1, 3 * out:numel(), { dtype = torch.float64 }):reshape(sizes):to(out.dtype)
    local all = table.pack(require("lampad.autograd").grad(out, leaves, directions,
      { is_grads_batched = true, retain_graph = true, allow_unused = true }))
    for e = 0, 2 do
      local one = table.pack(core.grad(out, leaves, directions[e], { retain_graph = true, allow_unused = true }))
      for i = 1, #leaves do
        if (one[i] == nil) ~= (all[i] == nil) or one[i] ~= nil and not torch.allclose(one[i], all[i][e]) then
          return ("output %d: the gradient of input %d by vmap differs from that without"):format(k, shapes[i])
        end
      end
    end
  end
end

--- Compares the gradients of fn with central differences, element by element of every input that requires
--- grad, along random directions of the outputs. inputs: a tensor or a list, in float64 (or complex128).
--- Options: eps (1e-6), atol (1e-5), rtol (1e-3), raise_exception (true), nondet_tol (0.0), check_batched_grad
--- (false), check_grad_dtypes (false); check_undefined_grad, fast_mode and masked are accepted. Returns true, or false
--- and why.
function check.gradcheck(fn, inputs, options)
  options = options or {}
  args.check_names("gradcheck", options, option_names)
  if options.check_forward_ad or options.check_batched_forward_grad then
    args.fail("gradcheck", "forward-mode derivatives are not part of Lampad")
  end
  if options.check_backward_ad == false then return true end
  local eps, atol, rtol = options.eps or 1e-6, options.atol or 1e-5, options.rtol or 1e-3
  inputs = as_list(inputs)
  local function fault(text)
    if options.raise_exception == false then return false, text end
    error("gradcheck: " .. text, 3)
  end
  local watched = {}
  for i = 1, inputs.n or #inputs do
    if differentiable(inputs[i]) then
      if inputs[i].dtype ~= torch.float64 and inputs[i].dtype ~= torch.complex128 then
        return fault(("input %d is %s; differences need float64 or complex128"):format(i, tostring(inputs[i].dtype)))
      end
      watched[#watched + 1] = i
    end
  end
  if #watched == 0 then return fault("expects at least one input that requires grad") end
  local outs = call(fn, inputs)
  local any = false
  for _, o in ipairs(outs) do any = any or o.requires_grad end
  if not any then return fault("no output requires grad") end
  local directions, graph_outs, graph_directions = {}, {}, {}
  local generator = torch.Generator()
  generator:manual_seed(20240229)
  for i, o in ipairs(outs) do
    local d = torch.empty(o.shape, { dtype = o.dtype })
    if o:is_complex() then
      d = torch.complex(torch.empty(o.shape, { dtype = torch.float64 }):normal_(0, 1, { generator = generator }),
        torch.empty(o.shape, { dtype = torch.float64 }):normal_(0, 1, { generator = generator }))
    else
      d:normal_(0, 1, { generator = generator })
    end
    directions[i] = d
    if o.requires_grad then
      graph_outs[#graph_outs + 1] = o
      -- d loss / d out for loss = Re(sum(out * d)) is conj(d)
      graph_directions[#graph_directions + 1] = o:is_complex() and torch.conj(d) or d
    end
  end
  local leaves = {}
  for k, i in ipairs(watched) do leaves[k] = inputs[i] end
  local grads = table.pack(core.grad(graph_outs, leaves, graph_directions, { allow_unused = true,
    retain_graph = true }))
  local again = table.pack(core.grad(graph_outs, leaves, graph_directions, { allow_unused = true, retain_graph = true }))
  for k, i in ipairs(watched) do
    if grads[k] and not torch.allclose(grads[k], again[k], { rtol = 0, atol = options.nondet_tol or 0, equal_nan = true })
    then
      return fault(("Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
        .. "gives different values (input %d)"):format(i))
    end
    if options.check_grad_dtypes and grads[k] and grads[k].dtype ~= leaves[k].dtype then
      return fault(("the gradient of input %d is %s, the input %s"):format(i, tostring(grads[k].dtype),
        tostring(leaves[k].dtype)))
    end
  end
  if options.check_batched_grad then
    local trouble = batched_fault(graph_outs, leaves, watched)
    if trouble then return fault(trouble) end
  end
  local function loss()
    local _ <close> = torch.no_grad()
    return project(call(fn, inputs), directions):item()
  end
  for k, i in ipairs(watched) do
    local input = inputs[i]
    local flat_grad = grads[k] and grads[k]:detach():contiguous():reshape(-1):tolist()
    local sizes, n = input.shape, input:numel()
    local is_complex = input:is_complex()
    local data = input.data
    for e = 0, n - 1 do
      local index, rest = {}, e
      for d = #sizes - 1, 0, -1 do
        index[d + 1] = rest % sizes[d]
        rest = rest // sizes[d]
      end
      local element = data
      for _, at in ipairs(index) do element = element:select(0, at) end
      local old = element:clone()
      local function difference(step)
        element:copy_(old + step)
        local plus = loss()
        element:copy_(old - step)
        local minus = loss()
        element:copy_(old)
        return (plus - minus) / (2 * eps)
      end
      local numeric = difference(eps)
      local analytic = flat_grad and flat_grad[e + 1] or 0
      local imag_analytic = 0
      if is_complex then
        imag_analytic = flat_grad and flat_grad[e + 1].imag or 0
        analytic = flat_grad and flat_grad[e + 1].real or 0
      end
      if not (math.abs(analytic - numeric) <= atol + rtol * math.abs(numeric)) then
        return fault(numeric_fault("gradient", i, e, analytic, numeric))
      end
      if is_complex then
        local imag_numeric = difference(torch.complex(torch.tensor(0.0, { dtype = torch.float64 }),
          torch.tensor(eps, { dtype = torch.float64 })))
        if not (math.abs(imag_analytic - imag_numeric) <= atol + rtol * math.abs(imag_numeric)) then
          return fault(numeric_fault("gradient (imaginary part)", i, e, imag_analytic, imag_numeric))
        end
      end
    end
  end
  return true
end

--- gradcheck of the gradients themselves: the derivatives of fn's gradients along random directions.
function check.gradgradcheck(fn, inputs, grad_outputs, options)
  inputs = as_list(inputs)
  if grad_outputs ~= nil and not is_tensor(grad_outputs) and #grad_outputs == 0 then
    options, grad_outputs = grad_outputs, nil
  end
  options = options or {}
  args.check_names("gradgradcheck", options, second_names)
  if options.check_fwd_over_rev then args.fail("gradgradcheck", "forward-mode derivatives are not part of Lampad") end
  if options.check_rev_over_rev == false then return true end
  local passed_on = {}
  for _, name in ipairs(option_names) do passed_on[name] = options[name] end
  options = passed_on
  local count = inputs.n or #inputs
  local outs = call(fn, inputs)
  local directions = as_list(grad_outputs)
  if not directions then
    directions = {}
    for _, o in ipairs(outs) do
      if o.requires_grad then
        directions[#directions + 1] = (torch.randn_like(o:detach()) * 0.5 + 0.25):requires_grad_(true)
      end
    end
  end
  local all = { n = count + #directions }
  for i = 1, count do all[i] = inputs[i] end
  for i, d in ipairs(directions) do all[count + i] = d end
  return check.gradcheck(function(...)
    local given = table.pack(...)
    local graph_outs = {}
    for _, o in ipairs(call(fn, { n = count, table.unpack(given, 1, count) })) do
      if o.requires_grad then graph_outs[#graph_outs + 1] = o end
    end
    local leaves = {}
    for i = 1, count do
      if differentiable(given[i]) then leaves[#leaves + 1] = given[i] end
    end
    local seeds = { table.unpack(given, count + 1, count + #directions) }
    if not torch.is_grad_enabled() then
      -- Differences run without recording; the gradients themselves need a graph.
      local _ <close> = torch.enable_grad()
      outs = call(fn, { n = count, table.unpack(given, 1, count) })
      graph_outs = {}
      for _, o in ipairs(outs) do
        if o.requires_grad then graph_outs[#graph_outs + 1] = o end
      end
      local grads = table.pack(core.grad(graph_outs, leaves, seeds, { allow_unused = true, create_graph = true }))
      local list = {}
      for i = 1, grads.n do if grads[i] then list[#list + 1] = grads[i] end end
      return list
    end
    local grads = table.pack(core.grad(graph_outs, leaves, seeds, { allow_unused = true, create_graph = true }))
    local list = {}
    for i = 1, grads.n do if grads[i] then list[#list + 1] = grads[i] end end
    return list
  end, all, options)
end


return check
