-- If, Loop, Scan: operators that run subgraphs.
local core = require "lampad.core"
local value = require "lampad.onnx.value"

local torch = core.torch
local op = {}

op.If = value.raw(function(node, condition)
  return node:run_graph(node:need(condition:item() and "then_branch" or "else_branch"))
end)

-- Joins what the iterations gave for one output.
local function stack(list, dim)
  return value.join(function(parts) return torch.stack(parts, dim or 0) end, list)
end

-- Of no iterations: no rows. The type is unknown then, unless the subgraph declares it.
local function empty_rows(graph, at)
  local declared = require("lampad.onnx.graph").declared_type(graph.outputs[at])
  return value.typed(declared or require("lampad.onnx.types").float32,
    torch.zeros(0, { dtype = declared and declared.dtype or torch.float32 }), {})
end

op.Loop = value.raw(function(node, limit, condition, ...)
  local body = node:need "body"
  local states = table.pack(...)
  local most = limit and limit:item() or math.maxinteger
  local going = not condition or condition:item()
  local collected = {}
  for i = 1, #body.outputs - 1 - states.n do collected[i] = {} end
  local iteration = 0
  while going and iteration < most do
    local results = table.pack(node:run_graph(body, torch.tensor(iteration, { dtype = torch.int64 }),
      torch.tensor(true), table.unpack(states, 1, states.n)))
    going = results[1]:item()
    for i = 1, states.n do states[i] = results[1 + i] end
    for i, list in ipairs(collected) do list[#list + 1] = results[1 + states.n + i] end
    iteration = iteration + 1
  end
  local outputs = { table.unpack(states, 1, states.n) }
  for i, list in ipairs(collected) do
    outputs[states.n + i] = #list > 0 and stack(list) or empty_rows(body, 1 + states.n + i)
  end
  return table.unpack(outputs, 1, states.n + #collected)
end)

-- One scan over `steps` steps: states, inputs (values) with the axis and direction of each.
local function scan(node, body, states, inputs, axes, backward, steps)
  local collected = {}
  for i = 1, #body.outputs - #states do collected[i] = {} end
  for t = 0, steps - 1 do
    local arguments = table.move(states, 1, #states, 1, {})
    for i, input in ipairs(inputs) do
      local at = backward[i] == 1 and steps - 1 - t or t
      arguments[#arguments + 1] = value.lift(function(x) return x:select(axes[i] or 0, at) end, input)
    end
    local results = table.pack(node:run_graph(body, table.unpack(arguments)))
    states = table.move(results, 1, #states, 1, {})
    for i, list in ipairs(collected) do list[#list + 1] = results[#states + i] end
  end
  return states, collected
end

local function length_of(inputs, axis)
  return inputs[1] and value.tensor_of(inputs[1]):size(axis) or 0
end

-- Opset 8: sequences along dim 1 of a batch, which dim 0 is.
local function scan_batch(node, body, lengths, arguments)
  local count = node:integer "num_scan_inputs"
  local states_count = #arguments - count
  local function at(v, i) return value.lift(function(t) return t:select(0, i) end, v) end
  local most = value.tensor_of(arguments[#arguments]):size(1)
  local outputs = {}
  for i = 1, #body.outputs do outputs[i] = {} end
  for batch = 0, value.tensor_of(arguments[#arguments]):size(0) - 1 do
    local states, inputs = {}, {}
    for i = 1, states_count do states[i] = at(arguments[i], batch) end
    for i = 1, count do inputs[i] = at(arguments[states_count + i], batch) end
    local steps = lengths and lengths:select(0, batch):item() or most
    local last, collected = scan(node, body, states, inputs, {}, node:get("directions", {}), steps)
    for i, v in ipairs(last) do outputs[i][batch + 1] = v end
    for i, list in ipairs(collected) do
      local rows = stack(list)
      -- Padded to the longest sequence.
      outputs[states_count + i][batch + 1] = value.lift(function(t)
        if steps == most then return t end
        local sizes = { t.shape:unpack() }
        sizes[1] = most - steps
        return torch.cat({ t, torch.zeros(sizes, { dtype = t.dtype }) }, 0)
      end, rows)
    end
  end
  for i, list in ipairs(outputs) do outputs[i] = stack(list) end
  return table.unpack(outputs)
end

op.Scan = value.raw(function(node, ...)
  local body, arguments = node:need "body", table.pack(...)
  if node.opset < 9 then return scan_batch(node, body, (...), { select(2, ...) }) end
  local count = node:integer "num_scan_inputs"
  local states_count = arguments.n - count
  local states = table.move(arguments, 1, states_count, 1, {})
  local inputs = table.move(arguments, states_count + 1, arguments.n, 1, {})
  local axes, out_axes = node:get("scan_input_axes", {}), node:get("scan_output_axes", {})
  local out_backward = node:get("scan_output_directions", {})
  local last, collected = scan(node, body, states, inputs, axes, node:get("scan_input_directions", {}),
    length_of(inputs, axes[1] or 0))
  for i, list in ipairs(collected) do
    if out_backward[i] == 1 then
      local turned = {}
      for at = #list, 1, -1 do turned[#turned + 1] = list[at] end
      list = turned
    end
    last[states_count + i] = #list > 0 and stack(list, out_axes[i]) or empty_rows(body, states_count + i)
  end
  return table.unpack(last, 1, states_count + #collected)
end)

return op
