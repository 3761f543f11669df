-- nn.utils.memory_format: the weights of convolutions in another order of memory.
local core = require "lampad.core"
local args = require "lampad.args"

local nn = core.torch.nn
local memory_format = {}

-- Makes the weights of the classes dense in the format, here and below.
local function convert(module, format, classes)
  for layer in module:modules() do
    for _, class in ipairs(classes) do
      if layer:isinstance(nn[class]) then
        layer.weight.data = layer.weight:detach():clone { memory_format = format }
        break
      end
    end
  end
  return module
end

local spec_2d = args "convert_conv2d_weight_memory_format(Module module, any memory_format)"

--- The weights of every Conv2d and ConvTranspose2d in a memory format (torch.channels_last); returns the module.
function memory_format.convert_conv2d_weight_memory_format(...)
  local module, format = spec_2d(...)
  return convert(module, format, { "Conv2d", "ConvTranspose2d" })
end

local spec_3d = args "convert_conv3d_weight_memory_format(Module module, any memory_format)"

--- The weights of every Conv3d and ConvTranspose3d in a memory format (torch.channels_last_3d); returns the module.
function memory_format.convert_conv3d_weight_memory_format(...)
  local module, format = spec_3d(...)
  return convert(module, format, { "Conv3d", "ConvTranspose3d" })
end

return memory_format
