-- What the classes of vision.transforms share: Transform, random draws in torchvision's order from the default
-- generator, Python's text of lists.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local common = require "lampad.vision.transforms.functional.common"

local torch = core.torch
local base = { one = { 1 } }

--- The parent of all transforms: t(image) calls t:forward(image). A transform of your own:
---   local Invert = transforms.Transform:extend "Invert"
---   function Invert:forward(image) return F.invert(image) end
local Transform = class.extend(class.Object, "Transform")
base.Transform = Transform

function Transform.__call(self, ...) return self:forward(...) end
function Transform.__tostring(self) return self.__name .. "()" end

--- A transform class of this name.
function base.class(name) return class.extend(Transform, name) end

-- --- draws ------------------------------------------------------------------------------------------
--- One float32 in [0, 1).
function base.draw() return torch.rand(1):item() end

--- One float32 in [from, to).
function base.uniform(from, to) return torch.empty(1):uniform_(from, to):item() end

--- An integer in [from, to).
function base.integer(from, to) return torch.randint(from, to, base.one):item() end

--- Draws: true with probability p. Tensors are compared in their dtype, so p counts with float32's precision.
function base.chance(p) return base.draw() < ("f"):unpack(("f"):pack(p)) end

--- Draws the area and the shape of a box from scale and the logarithm of ratio: area, ratio, both as PyTorch rounds them.
function base.draw_box(area, scale, ratio)
  local log = torch.log(torch.tensor { ratio[1] + 0.0, ratio[2] + 0.0 })
  local low, high = log[0]:item(), log[1]:item()
  return function()
    local target = area * base.uniform(scale[1], scale[2])
    return target, torch.exp(torch.empty(1):uniform_(low, high)):item()
  end
end

-- --- text -------------------------------------------------------------------------------------------
--- As Python writes a list: [0.1, 2]; nil and numbers as text.repr does.
function base.list_text(value)
  local list = common.list(value)
  if not list then return text.repr(value) end
  local parts = {}
  for i, v in ipairs(list) do parts[i] = base.list_text(v) end
  return "[" .. table.concat(parts, ", ") .. "]"
end

--- Name(a=1, b=(2, 3)) from the fields of an instance.
function base.describe(self, ...)
  local parts = {}
  for i, name in ipairs { ... } do parts[i] = name .. "=" .. text.repr(self[name]) end
  return self.__name .. "(" .. table.concat(parts, ", ") .. ")"
end

--- Compose and its like: a line for each transform.
function base.describe_all(self, first)
  local lines = { self.__name .. "(" }
  lines[#lines + 1] = first
  for _, transform in ipairs(self.transforms) do lines[#lines + 1] = "    " .. tostring(transform) end
  return table.concat(lines, "\n") .. "\n)"
end

-- --- checks -----------------------------------------------------------------------------------------
--- {height, width} from a number, {n} or {height, width}.
function base.size(what, size)
  return { common.pair(what, size, "Please provide only two dimensions (h, w) for size.") }
end

--- The value when it is a list of one of the lengths; else an error with torchvision's words.
function base.sequence(what, name, value, ...)
  local list = common.list(value)
  local lengths = { ... }
  local fits = false
  for _, length in ipairs(lengths) do fits = fits or list and #list == length end
  if not fits then args.fail(what, "%s should be a sequence of length %s.", name, table.concat(lengths, " or ")) end
  return list
end

--- {-x, x} from a number, or the list; as floats.
function base.angles(what, name, value, ...)
  local list
  if type(value) == "number" then
    if value < 0 then args.fail(what, "If %s is a single number, it must be positive.", name) end
    list = { -value, value }
  else
    list = base.sequence(what, name, value, ...)
  end
  local result = {}
  for i, v in ipairs(list) do result[i] = v + 0.0 end
  return result
end

--- The fill of a random warp: nil counts as 0.
function base.fill(what, fill)
  if fill == nil then return 0 end
  if type(fill) ~= "number" and not common.list(fill) then
    args.fail(what, "Fill should be either a sequence or a number.")
  end
  return fill
end

--- A fill as the functions want it for this image: for tensors a list of floats, one a channel.
function base.fill_for(what, fill, img)
  local channels, height, width = common.dimensions(what, img)
  if not common.is_image(img) and fill ~= nil then
    local list = {}
    if type(fill) == "number" then
      for c = 1, channels do list[c] = fill + 0.0 end
    else
      for c, v in ipairs(fill) do list[c] = v + 0.0 end
    end
    fill = list
  end
  return fill, channels, height, width
end

return base
