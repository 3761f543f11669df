-- torch.autograd.graph: hooks on saved tensors, hooks over several gradients; and the anomaly scopes.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"

local torch = core.torch
local fail = args.fail
local graph = {}

--- A value for `local _ <close> =`, or the results of the body run inside it: enter() opens, leave() ends.
local function scope(enter, leave, body, what)
  if body ~= nil and type(body) ~= "function" then
    fail(what, "expected a function to run, or nothing, got %s", text.describe(body))
  end
  local state = enter()
  local open = true
  local function close()
    if open then
      open = false
      leave(state)
    end
  end
  local value = setmetatable({}, { __close = close, __name = "lampad.Scope" })
  if not body then return value end
  local _ <close> = value
  return body()
end
graph.scope = scope

-- --- hooks on saved tensors ------------------------------------------------------------------------------

local stack = {} -- {pack, unpack} of the scopes that are open, the last in force
local disabled   -- the message of disable_saved_tensors_hooks

local function apply_top()
  local top = stack[#stack]
  if top then core.set_saved_hooks(top[1], top[2]) else core.set_saved_hooks() end
end

--- saved_tensors_hooks(pack_hook, unpack_hook, body): inside the scope every tensor that autograd saves for
--- backward goes through pack_hook(tensor) -> any value, and comes back through unpack_hook(value) -> tensor.
--- Without a body it returns a to-be-closed value.
function graph.saved_tensors_hooks(pack_hook, unpack_hook, body)
  local callable = function(v)
    local meta = getmetatable(v)
    return type(v) == "function" or type(meta) == "table" and meta.__call ~= nil
  end
  if not callable(pack_hook) then
    fail("saved_tensors_hooks", "argument 'pack_hook' must be a function, got %s", text.describe(pack_hook))
  end
  if not callable(unpack_hook) then
    fail("saved_tensors_hooks", "argument 'unpack_hook' must be a function, got %s", text.describe(unpack_hook))
  end
  return scope(function()
    if disabled then fail(nil, "%s", disabled) end
    local entry = { pack_hook, unpack_hook }
    stack[#stack + 1] = entry
    apply_top()
    return entry
  end, function(entry)
    for i = #stack, 1, -1 do
      if stack[i] == entry then
        table.remove(stack, i)
        break
      end
    end
    apply_top()
  end, body, "saved_tensors_hooks")
end

--- The hooks in force as {pack, unpack}, or nil.
function graph.current_hooks() return stack[#stack] end

--- disable_saved_tensors_hooks(error_message, body): inside, opening saved_tensors_hooks raises the message.
function graph.disable_saved_tensors_hooks(error_message, body)
  if type(error_message) ~= "string" then
    fail("disable_saved_tensors_hooks", "argument 'error_message' must be a string, got %s", text.describe(error_message))
  end
  return scope(function()
    if stack[1] then fail(nil, "%s", error_message) end
    local old = disabled
    disabled = error_message
    return { old }
  end, function(state) disabled = state[1] end, body, "disable_saved_tensors_hooks")
end

--- save_on_cpu(pin_memory, body): saved tensors wait in the CPU's memory. Pinning is accepted; on the CPU the tensors
--- stay where they are.
function graph.save_on_cpu(pin_memory, body)
  if type(pin_memory) == "table" then pin_memory = pin_memory.pin_memory end
  if type(pin_memory) == "function" then pin_memory, body = nil, pin_memory end
  if pin_memory ~= nil and type(pin_memory) ~= "boolean" then
    fail("save_on_cpu", "argument 'pin_memory' must be a boolean, got %s", text.describe(pin_memory))
  end
  return graph.saved_tensors_hooks(function(t) return { t.device, t:cpu() } end,
    function(packed) return packed[2]:to(packed[1]) end, body)
end

--- allow_mutation_on_saved_tensors(body): inside, what backward needs may be changed in place: a copy of it is kept.
function graph.allow_mutation_on_saved_tensors(body)
  return graph.saved_tensors_hooks(function(t) return t:detach():clone() end, function(t) return t end, body)
end

-- --- hooks over several gradients ---------------------------------------------------------------------------

--- register_multi_grad_hook(tensors, fn, {mode = "all"}): fn gets the list of gradients (with `n`; nil for tensors
--- that take no part) once all of them are there; with mode "any" the first gradient alone. Returns a handle with
--- remove().
function graph.register_multi_grad_hook(tensors, fn, options)
  local mode = options or "all"
  if type(mode) == "table" then
    args.check_names("register_multi_grad_hook", mode, { "mode" })
    mode = mode.mode or "all"
  end
  if mode ~= "all" and mode ~= "any" then
    fail("register_multi_grad_hook", "Expects mode to be one of ('all', 'any') but got %s", tostring(mode))
  end
  local count = #tensors
  local runs = {} -- by backward: what has arrived
  local handles = {}
  for i, t in ipairs(tensors) do
    handles[i] = t:register_hook(function(grad)
      local id = core.backward_id()
      local run = runs[id]
      if not run then
        for old in pairs(runs) do if old < id and mode == "all" then runs[old] = nil end end
        run = { arrived = 0, expected = 0, grads = { n = count } }
        runs[id] = run
        if mode == "all" then
          for _, other in ipairs(tensors) do
            if core.will_execute(other) then run.expected = run.expected + 1 end
          end
        end
      end
      run.arrived = run.arrived + 1
      if mode == "any" then
        if run.arrived == 1 then fn(grad) end
        return
      end
      run.grads[i] = grad
      if run.arrived == run.expected then
        runs[id] = nil
        fn(run.grads)
      end
    end)
  end
  return { remove = function() for _, h in ipairs(handles) do h:remove() end end }
end

--- get_gradient_edge(tensor): {node, output_nr}, where its gradient goes; of a leaf its AccumulateGrad node.
function graph.get_gradient_edge(tensor)
  if not tensor.requires_grad then
    fail("get_gradient_edge", "It is not possible to get the gradient edge for a Tensor that does not require gradients")
  end
  local node = tensor.grad_fn
  if node then return { node = node, output_nr = tensor.output_nr, node, tensor.output_nr } end
  local accumulator = torch.enable_grad(function() return tensor:view_as(tensor).grad_fn.next_functions[1][1] end)
  return { node = accumulator, output_nr = 0, accumulator, 0 }
end

--- increment_version(tensors): counts a write that autograd could not see.
function graph.increment_version(tensors)
  for _, t in ipairs(torch.is_tensor(tensors) and { tensors } or tensors) do
    torch.no_grad(function() t:detach():copy_(t) end)
  end
end

-- --- anomalies --------------------------------------------------------------------------------------------------

local anomaly = {}

-- Modules are watched for the first NaN, so that the error about one in backward can name it.
local function set_anomaly(enabled, check_nan)
  core.set_anomaly(enabled, check_nan)
  require("lampad.nn.nan_watch")(enabled and check_nan)
end

local function anomaly_scope(enabled, check_nan, body, what)
  return scope(function()
    local old = { core.is_anomaly_enabled(), core.is_anomaly_check_nan_enabled() }
    set_anomaly(enabled, check_nan)
    return old
  end, function(old) set_anomaly(old[1], old[2]) end, body, what)
end

local function read_check_nan(what, check_nan, body)
  if type(check_nan) == "function" then return true, check_nan end
  if type(check_nan) == "table" then
    args.check_names(what, check_nan, { "check_nan" })
    check_nan = check_nan.check_nan
  end
  if check_nan == nil then check_nan = true end
  if type(check_nan) ~= "boolean" then
    fail(what, "argument 'check_nan' must be a boolean, got %s", text.describe(check_nan))
  end
  return check_nan, body
end

--- detect_anomaly({check_nan = true}, body): inside, an error in backward shows the traceback of the forward call that
--- led to it, and (check_nan) a backward that gives a NaN is such an error; it names the module that gave the first NaN
--- in forward. Slows everything down: for debugging.
function anomaly.detect_anomaly(check_nan, body)
  local nan, run = read_check_nan("detect_anomaly", check_nan, body)
  return anomaly_scope(true, nan, run, "detect_anomaly")
end

--- set_detect_anomaly(mode, {check_nan = true}, body): the same on or off, from now on or inside the body.
function anomaly.set_detect_anomaly(mode, check_nan, body)
  if type(mode) ~= "boolean" then
    fail("set_detect_anomaly", "argument 'mode' must be a boolean, got %s", text.describe(mode))
  end
  local nan, run = read_check_nan("set_detect_anomaly", check_nan, body)
  return anomaly_scope(mode, nan, run, "set_detect_anomaly")
end

graph.anomaly = anomaly
return graph
