-- The values that flow through a graph:
--   a tensor       of a type that torch has
--   Typed          { type = entry of types.lua, tensor = what it is kept in, pool = strings }, for the other types
--   Sequence       { values..., type = element type }, a list (from 1)
--   Map            { keys = list, values = list }
--   nil            an optional value that is absent
--
-- Note [Typed values]: an op written over torch tensors works on typed ones too: `apply` hands it the tensors that
-- hold them, and results of the dtype in which the first typed argument is kept become values of that type again.
-- What the op must say about itself, with the functions `raw`, `ordered`, `kinds` below: that it takes values as they
-- are; that it depends on the order of numbers (uint64 is kept in int64, so the sign bit is turned round on the way in
-- and out); which of its results have the argument's type.
local core = require "lampad.core"
local types = require "lampad.onnx.types"

local torch = core.torch
local value = {}

local Typed = { __name = "onnx.Typed" }
Typed.__index = Typed

local Sequence = { __name = "onnx.Sequence" }
Sequence.__index = Sequence

local Map = { __name = "onnx.Map" }
Map.__index = Map

function value.is_typed(v) return getmetatable(v) == Typed end
function value.is_sequence(v) return getmetatable(v) == Sequence end
function value.is_map(v) return getmetatable(v) == Map end

--- A value of the type (an entry of types.lua): the tensor itself when torch has the type.
function value.typed(kind, tensor, pool)
  if not kind.wide then return tensor end
  return setmetatable({ type = kind, tensor = tensor, pool = pool }, Typed)
end

--- A sequence of the values in the list, which is taken over.
function value.sequence(list) return setmetatable(list, Sequence) end

function value.map(keys, values) return setmetatable({ keys = keys, values = values }, Map) end

--- The element type of a tensor or typed value.
function value.type_of(v)
  if value.is_typed(v) then return v.type end
  return types.of(v)
end

--- The tensor that holds a value.
function value.tensor_of(v)
  if value.is_typed(v) then return v.tensor end
  return v
end

--- True for a tensor of strings.
function value.is_strings(v) return value.is_typed(v) and v.type.name == "string" end

--- A tensor of strings from a flat list and its sizes.
function value.strings(list, sizes)
  local pool, place, positions = {}, {}, {}
  for i, s in ipairs(list) do
    if not place[s] then
      pool[#pool + 1] = s
      place[s] = #pool - 1
    end
    positions[i] = place[s]
  end
  local tensor = torch.tensor(positions, { dtype = torch.int64 }):reshape(sizes)
  return value.typed(types.string, tensor, pool)
end

--- The strings of a tensor of strings, as a flat list.
function value.string_list(v)
  local list = v.tensor:flatten():tolist()
  for i, position in ipairs(list) do list[i] = v.pool[position + 1] end
  return list
end

-- Gives several tensors of strings one pool, so that equal strings are equal numbers.
local function share_pools(arguments, count)
  local pool, place = {}, {}
  for i = 1, count do
    local v = arguments[i]
    if value.is_strings(v) then
      local moved = {}
      for at, s in ipairs(v.pool) do
        if not place[s] then
          pool[#pool + 1] = s
          place[s] = #pool - 1
        end
        moved[at] = place[s]
      end
      local tensor = v.tensor
      if #moved > 0 and tensor:numel() > 0 then
        tensor = torch.tensor(moved, { dtype = torch.int64 }):index_select(0, tensor:flatten()):reshape(tensor.shape)
      end
      arguments[i] = value.typed(types.string, tensor, pool)
    end
  end
  return pool
end

-- --- what an op says about itself ---------------------------------------------------------------------
local Op = {}
Op.__index = Op

local function op_of(f)
  if getmetatable(f) == Op then return f end
  return setmetatable({ run = f }, Op)
end
value.op_of = op_of

--- The op takes and gives values as they are.
function value.raw(f)
  local op = op_of(f)
  op.raw = true
  return op
end

--- The op compares numbers.
function value.ordered(f)
  local op = op_of(f)
  op.ordered = true
  return op
end

--- Which results have the type of the first typed argument: kinds(f, true, false) for "the first, not the second".
--- Without it all do whose dtype fits.
function value.kinds(f, ...)
  local op = op_of(f)
  op.same_type = { ... }
  return op
end

local TURN = math.mininteger

local function is_uint64(v) return value.is_typed(v) and v.type.name == "uint64" end

local function turn(t) return t:bitwise_xor(TURN) end

-- Makes the results values of the type `kind` again.
local function retype(op, kind, pool, ...)
  local results = table.pack(...)
  for i = 1, results.n do
    local v = results[i]
    local same = op.same_type
    if torch.is_tensor(v) and (not same or same[i]) and v.dtype == kind.dtype then
      if op.ordered and kind.name == "uint64" then v = turn(v) end
      if kind.wrap then v = kind.wrap(v) end
      results[i] = value.typed(kind, v, pool)
    end
  end
  return table.unpack(results, 1, results.n)
end

--- Runs an op on `count` values: Note [Typed values].
function value.apply(op, node, arguments, count)
  if op.raw then return op.run(node, table.unpack(arguments, 1, count)) end
  local kind, pool
  for i = 1, count do
    if value.is_typed(arguments[i]) then
      kind = kind or arguments[i].type
      if arguments[i].type.name == "string" and not pool then pool = share_pools(arguments, count) end
    end
  end
  if not kind then return op.run(node, table.unpack(arguments, 1, count)) end
  for i = 1, count do
    local v = arguments[i]
    if value.is_typed(v) then arguments[i] = op.ordered and is_uint64(v) and turn(v.tensor) or v.tensor end
  end
  return retype(op, kind, pool, op.run(node, table.unpack(arguments, 1, count)))
end

--- Calls f(list of tensors) on a list of values of one type: for torch.stack, torch.cat.
function value.join(f, list)
  local op = op_of(function(_, ...) return f { ... } end)
  return value.apply(op, nil, table.move(list, 1, #list, 1, {}), #list)
end

--- Calls f on the tensor of one value; the result has the value's type.
function value.lift(f, v)
  return value.apply(op_of(function(_, t) return f(t) end), nil, { v }, 1)
end

--- What a caller of the model gets: tensors, nested Lua tables for strings, Lua lists for sequences, tables for maps.
function value.to_lua(v)
  if value.is_strings(v) then
    local list, sizes = value.string_list(v), { v.tensor.shape:unpack() }
    local at = 0
    local function nest(dim)
      if dim > #sizes then
        at = at + 1
        return list[at]
      end
      local result = {}
      for i = 1, sizes[dim] do result[i] = nest(dim + 1) end
      return result
    end
    return nest(1)
  elseif value.is_typed(v) then
    return v.tensor
  elseif value.is_sequence(v) then
    local result = {}
    for i, member in ipairs(v) do result[i] = value.to_lua(member) end
    return result
  elseif value.is_map(v) then
    local result = {}
    for i, key in ipairs(v.keys) do result[key] = value.to_lua(v.values[i]) end
    return result
  end
  return v
end

-- Sizes of nested lists of strings, and the strings in a flat list; nil when they are not that.
local function flatten_strings(v, list, sizes, depth)
  if type(v) == "string" then
    list[#list + 1] = v
    return depth == #sizes + 1 or nil
  end
  if type(v) ~= "table" or getmetatable(v) ~= nil then return nil end
  if depth > #sizes then
    if #list > 0 then return nil end
    sizes[depth] = #v
  elseif sizes[depth] ~= #v then
    return nil
  end
  for i = 1, #v do
    if not flatten_strings(v[i], list, sizes, depth + 1) then return nil end
  end
  return true
end

--- A value from what a caller of the model passes; nil when it is none. `kind` is the element type that is declared.
function value.from_lua(v, kind)
  if v == nil or value.is_typed(v) or value.is_sequence(v) or value.is_map(v) then return v end
  if torch.is_tensor(v) then
    if kind and kind.wide and kind.name ~= "string" and v.dtype == kind.dtype then return value.typed(kind, v) end
    return v
  end
  if kind and kind.name == "string" then
    local list, sizes = {}, {}
    if flatten_strings(v, list, sizes, 1) then return value.strings(list, sizes) end
    return nil
  end
  if type(v) == "table" then
    local members = {}
    for i = 1, #v do
      members[i] = value.from_lua(v[i])
      if members[i] == nil then return nil end
    end
    return value.sequence(members)
  end
  return nil
end

return value
