-- nn.Buffer: a tensor that a Module registers as a buffer when it is assigned to it.
-- In Lua a Buffer is an ordinary tensor that the table `known` (weak keys) remembers, with whether it is persistent.
local core = require "lampad.core"
local args = require "lampad.args"

local known = core.buffers or setmetatable({}, { __mode = "k" })
core.buffers = known
local spec = args "Buffer(Tensor data=nil, bool persistent=true)"

local Buffer = { known = known, __name = "Buffer" }

--- Marks an existing tensor as a Buffer (used where a copy is made).
function Buffer.mark(tensor, persistent)
  known[tensor] = persistent
  return tensor
end

--- True when the value is a Buffer.
function Buffer.is(value) return type(value) == "userdata" and known[value] ~= nil end

-- nn.Buffer(data, persistent = true): shares the memory of `data`, without its history; empty without data. A buffer that
-- is not persistent stays out of state_dict(). Tensors answer to torch.isinstance(x, nn.Buffer).
return setmetatable(Buffer, {
  __call = function(_, ...)
    local data, persistent = spec(...)
    local buffer = data ~= nil and data:detach() or core.torch.empty(0)
    known[buffer] = persistent
    return buffer
  end,
  __tostring = function() return "class Buffer" end,
})
