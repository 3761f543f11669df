-- vision.ops: DropBlock (Ghiasi et al. 2018; torchvision.ops.drop_block): dropout of square blocks of feature maps.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"
local F = require "lampad.nn.functional"

local torch = core.torch
local result = {}

for n = 2, 3 do
  local name = ("drop_block%dd"):format(n)
  local spec = args(name .. [[(Tensor input, float p, int block_size, bool inplace=false, float eps=1e-06,
    bool training=true)]])
  local max_pool = F[("max_pool%dd"):format(n)]

  --- drop_block2d(input, p, block_size, inplace = false, eps = 1e-6, training = true): zeros of about the share p of an
  --- input (N, C, H, W) in blocks of block_size (odd) a side, what stays scaled up; drop_block3d for (N, C, D, H, W).
  result[name] = function(...)
    local input, p, block, inplace, eps, training = spec(...)
    if not (p >= 0 and p <= 1) then
      args.fail(name, "drop probability has to be between 0 and 1, but got %s.", text.repr(p))
    end
    if input.ndim ~= n + 2 then
      args.fail(name, "input should be %d dimensional. Got %d dimensions.", n + 2, input.ndim)
    end
    if not training or p == 0 then return input end
    for d = 2, n + 1 do block = math.min(block, input:size(d)) end
    if block % 2 == 0 then args.fail(name, "block size should be odd. Got %d which is even.", block) end
    if block < 1 then args.fail(name, "block size should be positive. Got %d.", block) end
    -- Centres are drawn where the whole block fits; gamma makes their blocks cover the share p.
    local sizes, elements, places = { input:size(0), input:size(1) }, 1, 1
    local margin = {}
    for d = 2, n + 1 do
      sizes[d + 1] = input:size(d) - block + 1
      elements, places = elements * input:size(d), places * sizes[d + 1]
      margin[#margin + 1], margin[#margin + 2] = block // 2, block // 2
    end
    local gamma = p * elements / (block ^ n * places)
    local noise = torch.empty(sizes, { dtype = input.dtype }):bernoulli_(math.min(gamma, 1.0))
    noise = max_pool(F.pad(noise, margin), block, 1, block // 2)
    noise = 1 - noise
    local scale = noise:numel() / (eps + noise:sum())
    if inplace then return input:mul_(noise):mul_(scale) end
    return input * noise * scale
  end
end

local layer_arguments = "(float p, int block_size, bool inplace=false, float eps=1e-06)"
local parent = Module
for n = 2, 3 do
  local name = ("DropBlock%dd"):format(n)
  local Class = parent:extend(name)
  local spec = args(name .. layer_arguments)
  parent = n == 2 and Class or parent -- DropBlock3d is a DropBlock2d, as in torchvision

  --- The function of the same name as a layer, at work in training.
  function Class:init(...)
    local p, block_size, inplace, eps = spec(...)
    self:_set { p = p, block_size = block_size, inplace = inplace, eps = eps }
  end

  Class.forward = args.forward(name, { "input" }, function(self, input)
    return result[("drop_block%dd"):format(n)](input, self.p, self.block_size, self.inplace, self.eps, self.training)
  end)

  function Class.__tostring(self)
    return ("%s(p=%s, block_size=%d, inplace=%s)"):format(name, text.repr(self.p), self.block_size, text.repr(self.inplace))
  end
  Class:_guard_methods()
  result[name] = Class
end

return result
