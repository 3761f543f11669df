-- vision.transforms.InterpolationMode, and what the functions take for it: a mode, its value ("bilinear") or
-- Pillow's number.
local class = require "lampad.class"
local args = require "lampad.args"

local InterpolationMode = class.extend(class.Object, "InterpolationMode")

-- name, value, Pillow's number
local list = {
  { "NEAREST", "nearest", 0 }, { "NEAREST_EXACT", "nearest-exact", 0 }, { "BILINEAR", "bilinear", 2 },
  { "BICUBIC", "bicubic", 3 }, { "BOX", "box", 4 }, { "HAMMING", "hamming", 5 }, { "LANCZOS", "lanczos", 1 },
}

function InterpolationMode:init(name, value, pillow) self.name, self.value, self.pillow = name, value, pillow end

function InterpolationMode.__tostring(self) return "InterpolationMode." .. self.name end
function InterpolationMode.__eq(a, b) return a.value == b.value end

local by_value, by_number = {}, {}
for _, entry in ipairs(list) do
  local mode = InterpolationMode(table.unpack(entry))
  InterpolationMode[mode.name], by_value[mode.value] = mode, mode
  if mode.name ~= "NEAREST_EXACT" then by_number[mode.pillow] = mode end
end

--- The mode that a value stands for; an error naming `what` when there is none.
function InterpolationMode.of(what, value)
  local mode = by_value[value] or by_number[value]
  if mode then return mode end
  if class.isinstance(value, InterpolationMode) then return value end
  -- Options of which none has a known name are taken for a value.
  if args.is_named(value) and next(value) then args.fail(what, "unknown argument '%s'", tostring((next(value)))) end
  args.fail(what, "Argument interpolation should be a InterpolationMode or a corresponding Pillow integer constant")
end

return InterpolationMode
