-- vision.ops.DeformConv2d (torchvision.ops.deform_conv).
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"
local Parameter = require "lampad.nn.parameter"
local init = require "lampad.nn.initializers"

local torch = core.torch

local DeformConv2d = Module:extend "DeformConv2d"
local spec = args [[DeformConv2d(int in_channels, int out_channels, ints kernel_size, ints stride=1, ints padding=0,
  ints dilation=1, int groups=1, bool bias=true)]]

--- vision.ops.deform_conv2d with its weight and bias as parameters, initialised as nn.Conv2d's.
function DeformConv2d:init(...)
  local o = spec:collect(...)
  local bias = o.bias
  o.bias = nil
  if o.groups <= 0 then args.fail("DeformConv2d", "groups must be a positive integer, got %d", o.groups) end
  for _, name in ipairs { "in_channels", "out_channels" } do
    if o[name] < 0 or o[name] % o.groups ~= 0 then
      args.fail("DeformConv2d", "%s must be divisible by groups, got %s=%d and groups=%d", name, name, o[name], o.groups)
    end
  end
  for _, name in ipairs { "kernel_size", "stride", "padding", "dilation" } do
    o[name] = args.tuple("DeformConv2d", name, o[name], 2)
  end
  self:_set(o)
  self.weight = Parameter(torch.empty(o.out_channels, o.in_channels // o.groups, o.kernel_size[1], o.kernel_size[2]))
  self:register_parameter("bias", bias and Parameter(torch.empty(o.out_channels)) or nil)
  self:reset_parameters()
end

--- Both from U(-k, k), k = 1 / sqrt(fan_in).
function DeformConv2d:reset_parameters()
  init.kaiming_uniform_(self.weight, math.sqrt(5))
  if self.bias ~= nil then
    local fan_in = init._calculate_fan_in_and_fan_out(self.weight)
    if fan_in > 0 then
      local bound = 1 / math.sqrt(fan_in)
      init.uniform_(self.bias, -bound, bound)
    end
  end
end

--- forward(input, offset, mask = nil): (N, C, H, W), (N, 2 * offset groups * kernel elements, h, w) and
--- (N, offset groups * kernel elements, h, w), where h and w are those of the result (N, out_channels, h, w).
DeformConv2d.forward = args.forward("DeformConv2d", { "input", "offset", "mask" }, function(self, input, offset, mask)
  args.tensor("DeformConv2d.forward", "offset", offset)
  return core.modules["vision.ops"].deform_conv2d(input, offset, self.weight, self.bias, self.stride, self.padding,
    self.dilation, mask)
end)

function DeformConv2d.__tostring(self)
  local parts = { ("%d, %d, kernel_size=%s, stride=%s"):format(self.in_channels, self.out_channels,
    text.repr(self.kernel_size), text.repr(self.stride)) }
  local function add(name, list, default)
    if list[1] ~= default or list[2] ~= default then parts[#parts + 1] = name .. "=" .. text.repr(list) end
  end
  add("padding", self.padding, 0)
  add("dilation", self.dilation, 1)
  if self.groups ~= 1 then parts[#parts + 1] = "groups=" .. self.groups end
  if self.bias == nil then parts[#parts + 1] = "bias=False" end
  return "DeformConv2d(" .. table.concat(parts, ", ") .. ")"
end

DeformConv2d:_guard_methods()

return { DeformConv2d = DeformConv2d }
