-- Shapes in torch.distributions: parts of a torch.Size, the sample_shape argument, Python's spelling of shapes and values
-- in messages.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"

local torch = core.torch
local shapes = {}

--- The shape of a scalar.
shapes.none = torch.Size {}

local function is_size(v)
  local meta = type(v) == "userdata" and getmetatable(v)
  return type(meta) == "table" and meta.__name == "torch.Size"
end

--- A torch.Size from one, a list, a number or nothing; `what` and `name` are for the message.
function shapes.size(v, what, name)
  if v == nil then return shapes.none end
  if is_size(v) then return v end
  if type(v) == "number" then v = { v } end
  if type(v) == "table" and getmetatable(v) == nil then
    local list = {}
    for i = 1, #v do
      list[i] = type(v[i]) == "number" and math.tointeger(v[i])
      if not list[i] or list[i] < 0 then
        args.fail(what, "argument '%s' must hold integers of at least 0, got %s at %d", name, text.describe(v[i]), i - 1)
      end
    end
    return torch.Size(list)
  end
  args.fail(what, "argument '%s' must be a torch.Size, a list of integers or an integer, got %s", name, text.describe(v))
end

--- Python's size[first:last]; either may be nil.
function shapes.slice(size, first, last)
  local n, part = #size, {}
  first, last = first or 0, last or n
  if first < 0 then first = math.max(first + n, 0) end
  if last < 0 then last = last + n end
  for i = first, math.min(last, n) - 1 do part[#part + 1] = size[i] end
  return torch.Size(part)
end

--- A torch.Size of n ones.
function shapes.ones(n)
  local list = {}
  for i = 1, n do list[i] = 1 end
  return torch.Size(list)
end

--- The shape with its last `count` dims joined into one.
function shapes.flat(size, count)
  local cut = #size - count
  return shapes.slice(size, 0, cut) .. { shapes.slice(size, cut):numel() }
end

--- The sample_shape among a method's arguments, which are none, a shape, numbers, or {sample_shape = ...}; and the named
--- ones whose names are in the list `others` (the first of them may come by position).
function shapes.sample_with(what, others, ...)
  local count, first, second = select("#", ...), ...
  local last = count > 0 and (select(count, ...))
  local named = {}
  if type(last) == "table" and next(last) ~= nil and args.is_named(last) then
    args.check_names(what, last, { "sample_shape", table.unpack(others) })
    named, count = last, count - 1
  end
  if count == 0 or first == nil then return shapes.size(named.sample_shape, what, "sample_shape"), named end
  if count == 2 and others[1] and type(second) ~= "number" then named, count = { [others[1]] = second }, 1 end
  if count == 1 then return shapes.size(first, what, "sample_shape"), named end
  return shapes.size({ table.unpack({ ... }, 1, count) }, what, "sample_shape"), named
end

--- The same without other names.
function shapes.sample(what, ...)
  return (shapes.sample_with(what, {}, ...))
end

--- Python's spelling of a shape as a tuple: (2, 3), (2,), ().
function shapes.tuple(size) return text.repr({ size:unpack() }) end

--- A number or tensor as Python formats it in a message: a 0-d tensor as its number.
function shapes.text(v)
  if type(v) == "userdata" and torch.is_tensor(v) and v.ndim == 0 then return text.repr(v:item()) end
  return text.repr(v)
end

return shapes
