-- torch.backends: which libraries the engine works with, and the switches that scripts set. Switches of libraries that are
-- not there are kept and have no effect.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"

local function no() return false end
local function yes() return true end

--- torch.backends.cpu.get_cpu_capability(): "DEFAULT", "AVX2" or "AVX512".
local function capability()
  local name = core.build_info():match "CPU capability usage: (%w+)"
  return name == "baseline" and "DEFAULT" or name:upper()
end

-- Whether attention in evaluation may take PyTorch's fast path: the results are the same but for padding, which
-- nn.TransformerEncoder then fills with zeros.
local mha_fastpath = true
local mha = {}
function mha.get_fastpath_enabled() return mha_fastpath end
function mha.set_fastpath_enabled(value) mha_fastpath = value and true or false end

--- torch.backends.cpu.allow_winograd: may convolutions by 3 x 3 and larger kernels in float32, and by 3 x 3 in bfloat16, take
--- Winograd's algorithm (up to three times faster, rounding errors of float32 a few times larger)? true unless a script sets it to false.
local cpu = setmetatable({ get_cpu_capability = capability }, {
  __index = function(_, key)
    if key == "allow_winograd" then return core.allow_winograd() end
  end,
  __newindex = function(t, key, value)
    if key ~= "allow_winograd" then
      rawset(t, key, value)
    elseif type(value) ~= "boolean" then
      args.fail("torch.backends.cpu.allow_winograd", "expected true or false, got %s", text.describe(value))
    else
      core.allow_winograd(value)
    end
  end,
})

return {
  mha = mha,
  cpu = cpu,
  cuda = { is_built = no, matmul = { allow_tf32 = false } },
  cudnn = { is_available = no, version = function() end, enabled = false, benchmark = false, deterministic = false,
    allow_tf32 = false },
  mps = { is_available = no, is_built = no },
  mkl = { is_available = no },
  mkldnn = { is_available = yes, enabled = true },
  openmp = { is_available = yes },
}
