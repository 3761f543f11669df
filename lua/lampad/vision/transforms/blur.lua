-- GaussianBlur.
local args = require "lampad.args"
local text = require "lampad.text"
local base = require "lampad.vision.transforms.base"
local common = require "lampad.vision.transforms.functional.common"
local F = require "lampad.vision.transforms.functional.filter"

local fail = args.fail
local spec = args "GaussianBlur(any kernel_size, any sigma=nil)"

--- Blurs with a Gaussian whose sigma is drawn from {min, max} (a number fixes it).
local GaussianBlur = base.class "GaussianBlur"

function GaussianBlur:init(...)
  local kernel_size, sigma = spec(...)
  self.kernel_size = { common.pair("GaussianBlur", kernel_size, "Kernel size should be a tuple/list of two integers") }
  for _, size in ipairs(self.kernel_size) do
    if size <= 0 or size % 2 == 0 then fail("GaussianBlur", "Kernel size value should be an odd and positive number.") end
  end
  if sigma == nil then sigma = { 0.1, 2.0 } end
  if type(sigma) == "number" then
    if sigma <= 0 then fail("GaussianBlur", "If sigma is a single number, it must be positive.") end
    sigma = { sigma, sigma }
  else
    local list = common.list(sigma)
    if not list or #list ~= 2 then
      fail("GaussianBlur", "sigma should be a single number or a list/tuple with length 2.")
    end
    if not (list[1] > 0 and list[1] <= list[2]) then
      fail("GaussianBlur", "sigma values should be positive and of the form (min, max).")
    end
    sigma = list
  end
  self.sigma = sigma
end

--- Draws sigma.
function GaussianBlur.get_params(sigma_min, sigma_max) return base.uniform(sigma_min, sigma_max) end

function GaussianBlur:forward(img)
  local sigma = GaussianBlur.get_params(self.sigma[1], self.sigma[2])
  return F.gaussian_blur(img, self.kernel_size, { sigma, sigma })
end

function GaussianBlur.__tostring(self)
  return ("GaussianBlur(kernel_size=%s, sigma=%s)"):format(text.repr(self.kernel_size), text.repr(self.sigma))
end

return { GaussianBlur = GaussianBlur }
