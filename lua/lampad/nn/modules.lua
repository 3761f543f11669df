-- torch.nn.modules: PyTorch's package of the layers, by file. A layer is found in each of its parts (modules.conv.Conv2d is
-- nn.Conv2d), as are base classes for isinstance (modules.conv._ConvNd); modules.module has the hooks of all modules at once.
local lazy = require "lampad.lazy"
local nn = require "lampad.nn"

local function names() return getmetatable(nn).__names() end

-- Base classes that torch.nn does not list, by the name of one below each.
local bases = { _ConvNd = "Conv2d", _BatchNorm = "BatchNorm1d", _NormBase = "BatchNorm1d", _InstanceNorm = "InstanceNorm1d" }

local function base(name)
  for _, file in ipairs { "stateless", "losses" } do
    local class = require("lampad.nn." .. file).bases[name]
    if class then return class end
  end
  local class = bases[name] and nn[bases[name]]
  while class and class.__name ~= name do class = rawget(class, "super") end
  return class
end

local files = { [1] = function(name) return nn[name] end }

for part in ([[activation adaptive batchnorm channelshuffle container conv distance dropout flatten fold instancenorm lazy
  linear loss normalization padding pixelshuffle pooling rnn sparse transformer upsampling]]):gmatch "%a+" do
  files[part] = function()
    return lazy({ [1] = function(name)
      if name:sub(1, 1) == "_" then return base(name) end
      return nn[name]
    end }, names)
  end
end

function files.module()
  local library = { Module = nn.Module }
  for name, fn in pairs(require("lampad.nn.module_hooks").module) do library[name] = fn end
  return library
end

--- modules.utils: _ntuple(n) makes the function that repeats a number n times and leaves lists as they are; _single, _pair,
--- _triple and _quadruple are those for 1 to 4.
function files.utils()
  local function ntuple(n)
    return function(value)
      if type(value) == "table" then return table.move(value, 1, #value, 1, {}) end
      if type(value) == "userdata" and tostring(value):find "^torch.Size" then return { value:unpack() } end
      local list = {}
      for i = 1, n do list[i] = value end
      return list
    end
  end
  return { _ntuple = ntuple, _single = ntuple(1), _pair = ntuple(2), _triple = ntuple(3), _quadruple = ntuple(4) }
end

return lazy(files, names)
