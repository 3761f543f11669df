-- Inert: what torch.load makes of an object whose class it does not know. The file says that Python should run code
-- to make it; here it is a record of what the file says, and nothing runs.
--   object.class   "torch.nn.modules.linear.Linear"; for other calls the function's name
--   object.args, object.kwargs   what the class or function would be called with, or nil
--   object.state   its fields (what __setstate__ would get), or nil
--   object.list, object.dict   what would be appended to it and set in it, or nil
local torch = require("lampad.core").torch
local OrderedDict = require "lampad.ordered_dict"

local Inert = {}
local meta = { __index = Inert, __name = "inert" }

function meta.__tostring(self) return ("<inert %s>"):format(tostring(self.class)) end

--- new(fields): fields as above.
function Inert.new(fields) return setmetatable(fields, meta) end

--- True for an inert record.
function Inert.is(value) return getmetatable(value) == meta end

local MAX_DEPTH = 200

local function is_table(value) return type(value) == "table" and not Inert.is(value) end

local function add_module(self, prefix, out, depth)
  local state = self.state
  if not is_table(state) or depth > MAX_DEPTH then return end
  if not is_table(state._modules) and not is_table(state._parameters) then -- of TorchScript: fields as they are
    for name, value in pairs(state) do
      if torch.is_tensor(value) then
        out[prefix .. name] = value:detach()
      elseif Inert.is(value) then
        add_module(value, prefix .. tostring(name) .. ".", out, depth + 1)
      end
    end
    return
  end
  local passing = is_table(state._non_persistent_buffers_set) and state._non_persistent_buffers_set or {}
  for _, group in ipairs { "_parameters", "_buffers" } do
    for name, value in pairs(is_table(state[group]) and state[group] or {}) do
      if torch.is_tensor(value) and not (group == "_buffers" and passing[name]) then
        out[prefix .. name] = value:detach()
      end
    end
  end
  for name, child in pairs(is_table(state._modules) and state._modules or {}) do
    if Inert.is(child) then add_module(child, prefix .. tostring(name) .. ".", out, depth + 1) end
  end
end

--- The state_dict of a module that was saved whole: an ordered map from names to tensors.
function Inert:state_dict()
  local out = OrderedDict()
  add_module(self, "", out, 0)
  return out
end

return Inert
