-- deepcopy: copies of modules, tables and tensors in which what was shared stays shared.
local core = require "lampad.core"
local args = require "lampad.args"
local Parameter = require "lampad.nn.parameter"
local uninitialized = require "lampad.nn.uninitialized"

local torch = core.torch
local copy = {}

local function copy_tensor(t)
  if t.grad_fn ~= nil then
    args.fail("deepcopy", "only tensors created by the user (leaves) can be deep-copied; "
      .. "call x:detach() first")
  end
  local result = t:detach():clone()
  if t.requires_grad then result:requires_grad_(true) end
  if Parameter.is(t) then Parameter.mark(result) end
  if t.grad ~= nil then result.grad = t.grad:detach():clone() end
  return result
end

local function copy_value(value, seen)
  local kind = type(value)
  if kind ~= "table" and kind ~= "userdata" then return value end
  local done = seen[value]
  if done ~= nil then return done end
  if kind == "userdata" then
    local result = value
    if torch.is_tensor(value) then
      result = copy_tensor(value)
    elseif uninitialized.is_lazy(value) then
      result = uninitialized.copy(value)
    end
    seen[value] = result
    return result
  end
  local meta = getmetatable(value)
  if type(meta) == "table" and rawget(value, "__meta") then return value end -- a class
  local result = {}
  seen[value] = result
  for key, member in next, value do
    -- Tables as keys are private marks of a class (class identity), never copied.
    rawset(result, type(key) == "userdata" and copy_value(key, seen) or key, copy_value(member, seen))
  end
  return setmetatable(result, meta)
end

--- A deep copy of a tensor, module, table or plain value. Functions, dtypes and generators are shared.
function copy.deepcopy(value) return copy_value(value, {}) end

return copy
