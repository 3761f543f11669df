-- nn.CrossMapLRN2d: local response normalisation across channels (Krizhevsky et al. 2012) with the window of Torch7's
-- SpatialCrossMapLRN, which PyTorch keeps.
--
-- Note [The window]: for half = floor((size + 1) / 2), channel c sums the squares up to channel c + half - 1. From c =
-- half + 1 on the sum loses channel c - half; channel 0 stays in every sum, as in PyTorch.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"

local torch = core.torch
local CrossMapLRN2d = Module:extend "CrossMapLRN2d"
local spec = args "CrossMapLRN2d(int size, float alpha=0.0001, float beta=0.75, float k=1)"

function CrossMapLRN2d:init(...)
  local o = spec:collect(...)
  if o.size < 1 then args.fail("CrossMapLRN2d", "size must be positive, got %d", o.size) end
  self:_set(o)
end

--- input (N, C, H, W): input / (k + alpha / size * sum of squares)^beta, of the same shape.
CrossMapLRN2d.forward = args.forward("CrossMapLRN2d", { "input" }, function(self, input)
  if input.ndim ~= 4 then
    args.fail("CrossMapLRN2d", "Expected input to be 4D, got %dD instead.", input.ndim)
  end
  local channels, half = input:size(1), (self.size - 1) // 2 + 1
  if channels == 0 then return input:clone() end
  local squares = input * input
  local sums = squares:cumsum(1)
  local last, lost = {}, {}
  for c = 0, channels - 1 do
    last[c + 1] = math.min(c + half - 1, channels - 1)
    lost[c + 1] = math.max(c - half, 0) -- the sum up to channel 0 alone: nothing is lost
  end
  local first = squares:narrow(1, 0, 1)
  local function picked(rows) return sums:index_select(1, torch.tensor(rows, { device = input.device })) end
  local window = picked(last) - picked(lost) + first
  return input * (window * (self.alpha / self.size) + self.k) ^ -self.beta
end)

function CrossMapLRN2d:extra_repr()
  return ("%d, alpha=%s, beta=%s, k=%s"):format(self.size, text.repr(self.alpha), text.repr(self.beta), text.repr(self.k))
end

return CrossMapLRN2d
