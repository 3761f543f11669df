-- nn.MaxUnpool1d to 3d and nn.FractionalMaxPool2d, 3d.
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"
local F = require "lampad.nn.functional"

local classes = {}

for n = 1, 3 do
  local name = "MaxUnpool" .. n .. "d"
  local Class = Module:extend(name)
  local spec = args(name .. "(ints kernel_size, ints stride=nil, ints padding=0)")
  local op = "max_unpool" .. n .. "d"

  function Class:init(...)
    local kernel, stride, padding = spec(...)
    self:_set {
      kernel_size = args.tuple(name, "kernel_size", kernel, n),
      stride = args.tuple(name, "stride", stride or kernel, n),
      padding = args.tuple(name, "padding", padding, n),
    }
  end

  --- forward(input, indices, output_size = nil): output_size where the pooled sizes were no whole windows.
  Class.forward = args.forward(name, { "input", "indices", "output_size" }, function(self, input, indices, output_size)
    return F[op](input, indices, self.kernel_size, self.stride, self.padding, output_size)
  end)

  function Class:extra_repr()
    return ("kernel_size=%s, stride=%s, padding=%s"):format(text.repr(self.kernel_size), text.repr(self.stride),
      text.repr(self.padding))
  end
  classes[name] = Class
end

for n = 2, 3 do
  local name = "FractionalMaxPool" .. n .. "d"
  local Class = Module:extend(name)
  local spec = args(name .. "(ints kernel_size, ints output_size=nil, floats output_ratio=nil, "
    .. "bool return_indices=false, Tensor _random_samples=nil)")
  local op = "fractional_max_pool" .. n .. "d"

  function Class:init(...)
    local kernel, size, ratio, return_indices, samples = spec(...)
    if not size and not ratio then
      args.fail(name, "requires specifying either an output size, or a pooling ratio")
    elseif size and ratio then
      args.fail(name, "only one of output_size and output_ratio may be specified")
    end
    ratio = ratio and args.tuple(name, "output_ratio", ratio, n)
    for _, r in ipairs(ratio or {}) do
      if r <= 0 or r >= 1 then args.fail(name, "output_ratio must be between 0 and 1 (got %s)", text.repr(r)) end
    end
    self:register_buffer("_random_samples", samples)
    self:_set {
      kernel_size = args.tuple(name, "kernel_size", kernel, n), return_indices = return_indices,
      output_size = size and args.tuple(name, "output_size", size, n), output_ratio = ratio,
    }
  end

  Class.forward = args.forward(name, { "input" }, function(self, input)
    return F[op](input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices,
      self._random_samples)
  end)
  classes[name] = Class
end

return classes
