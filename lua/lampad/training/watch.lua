-- What EarlyStopping and ModelCheckpoint share: the best value so far of what they watch.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"

local watch = {}

--- Raises unless mode is "min" or "max".
function watch.check_mode(what, mode)
  if mode ~= "min" and mode ~= "max" then args.fail(what, "`mode` must be 'min' or 'max', got '%s'", mode) end
end

--- A number from a number or a tensor of one element.
function watch.number(what, name, value)
  if core.torch.is_tensor(value) and value:numel() == 1 then value = value:item() end
  if type(value) ~= "number" then
    args.fail(what, "%s must be a number or a tensor of one element, got %s", name, text.describe(value))
  end
  return value
end

--- Whether value is better than best by more than min_delta; anything that is a number beats nil, NaN beats nothing.
function watch.better(mode, value, best, min_delta)
  if value ~= value then return false end
  if best == nil then return true end
  if mode == "min" then return value < best - (min_delta or 0) end
  return value > best + (min_delta or 0)
end

return watch
