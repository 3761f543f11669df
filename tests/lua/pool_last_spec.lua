-- Poolings of images that lie channels last, of every number of channels and dtype, beside the same in float64 that lie row-major.
-- The elements are small integers: sums of them are exact, so that a mean is rounded once.
local torch = require "lampad"
local F = torch.nn.functional

local poolings = {
  { "avg_pool2d", 2 }, { "avg_pool2d", 3, 2, 1 }, { "avg_pool2d", { 3, 1 }, { 1, 3 } },
  { "avg_pool2d", 3, { stride = 2, padding = 1, ceil_mode = true, count_include_pad = false } },
  { "avg_pool2d", 2, { divisor_override = 3 } }, { "adaptive_avg_pool2d", 1 }, { "adaptive_avg_pool2d", { 4, 3 } },
  { "adaptive_avg_pool2d", { 9, 11 } }, { "max_pool2d", 2 }, { "max_pool2d", 3, 2, 1 }, { "max_pool2d", 3, 1, 2, 2 },
  { "adaptive_max_pool2d", { 4, 3 } },
}

describe("poolings of images that lie channels last", function()
  it("are those of row-major ones, and so are their gradients", function()
    torch.manual_seed(1)
    for _, channels in ipairs { 2, 3, 16, 17, 31, 64, 65, 100, 130 } do
      local wide = torch.randint(-9, 10, { 2, channels, 7, 8 }):double()
      for _, name in ipairs { "float32", "float64", "bfloat16", "float16" } do
        local dtype = torch[name]
        for _, p in ipairs(poolings) do
          local function results(x)
            x = x:requires_grad_()
            local y = F[p[1]](x, table.unpack(p, 2))
            y:sum():backward()
            return y:detach(), x.grad
          end
          local expected, slope = results(wide:clone())
          local y, grad = results(wide:to(dtype):contiguous { memory_format = torch.channels_last })
          local of = ("%s of %d channels in %s"):format(p[1], channels, name)
          local rounded = name == "float64" and expected or expected:float():to(dtype)
          assert.is_true(torch.equal(y, rounded), of)
          local tolerance = ({ float64 = 1e-12, float32 = 1e-5, float16 = 2e-3, bfloat16 = 2e-2 })[name]
          assert.is_true(torch.allclose(grad:double(), slope, tolerance, tolerance), "gradient: " .. of)
        end
      end
    end
  end)
end)
