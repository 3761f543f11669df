-- Sequences (lists of values) and optional values.
local core = require "lampad.core"
local value = require "lampad.onnx.value"
local common = require "lampad.onnx.ops.common"

local torch = core.torch
local op = {}

-- A copy, since values are never changed.
local function copy(sequence) return table.move(sequence, 1, #sequence, 1, {}) end

-- A position as a Lua index (from 1); `size` is how many places there are.
local function place_of(node, position, size)
  local i = position:item()
  if i < -size or i >= size then node:fail("position %d is out of range for a sequence of %d", i, size) end
  return (i < 0 and i + size or i) + 1
end

op.SequenceConstruct = value.raw(function(_, ...) return value.sequence { ... } end)
op.SequenceEmpty = value.raw(function() return value.sequence {} end)
op.SequenceLength = value.raw(function(_, sequence) return torch.tensor(#sequence, { dtype = torch.int64 }) end)

op.SequenceAt = value.raw(function(node, sequence, position)
  return sequence[place_of(node, position, #sequence)]
end)

op.SequenceInsert = value.raw(function(node, sequence, v, position)
  local result = copy(sequence)
  if not position then
    result[#result + 1] = v
  else
    local i, size = position:item(), #sequence
    if i < -size or i > size then node:fail("position %d is out of range for a sequence of %d", i, size) end
    table.insert(result, (i < 0 and i + size or i) + 1, v)
  end
  return value.sequence(result)
end)

op.SequenceErase = value.raw(function(node, sequence, position)
  local result = copy(sequence)
  local place = #result
  if position then place = place_of(node, position, #sequence) end
  table.remove(result, place)
  return value.sequence(result)
end)

op.ConcatFromSequence = value.raw(function(node, sequence)
  local axis = node:integer "axis"
  local join = node:flag "new_axis" and torch.stack or torch.cat
  return value.join(function(parts) return join(parts, axis) end, sequence)
end)

op.SplitToSequence = value.raw(function(node, v, split)
  local held = value.tensor_of(v)
  local dim = node:axis(node:get("axis", 0), held.ndim)
  local sizes
  if not split then
    sizes = 1
  elseif split.ndim == 0 then
    sizes = split:item()
  else
    sizes = common.ints(split)
  end
  local parts = {}
  for i, part in ipairs(held:split(sizes, dim)) do
    if not split and not node:flag("keepdims", 1) then part = part:squeeze(dim) end
    parts[i] = value.is_typed(v) and value.typed(v.type, part, v.pool) or part
  end
  return value.sequence(parts)
end)

op.SequenceMap = value.raw(function(node, first, ...)
  local body, others = node:need "body", table.pack(...)
  local results = {}
  for i = 1, #body.outputs do results[i] = {} end
  for i, v in ipairs(first) do
    local arguments = {}
    for j = 1, others.n do
      arguments[j] = value.is_sequence(others[j]) and others[j][i] or others[j]
    end
    local outputs = table.pack(node:run_graph(body, v, table.unpack(arguments, 1, others.n)))
    for j, list in ipairs(results) do list[i] = outputs[j] end
  end
  for j, list in ipairs(results) do results[j] = value.sequence(list) end
  return table.unpack(results)
end)

op.Optional = value.raw(function(_, v) return v end)
op.OptionalHasElement = value.raw(function(_, v) return torch.tensor(v ~= nil) end)
op.OptionalGetElement = value.raw(function(node, v)
  if v == nil then node:fail "the optional value is absent" end
  return v
end)

return op
