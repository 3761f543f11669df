-- torch.backends: which libraries the engine works with, and the switches that scripts set. Switches of libraries that are
-- not there are kept and have no effect.
local core = require "lampad.core"

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

return {
  mha = mha,
  cpu = { get_cpu_capability = capability },
  cuda = { is_built = no, matmul = { allow_tf32 = false } },
  cudnn = { is_available = no, version = function() end, enabled = false, benchmark = false, deterministic = false,
    allow_tf32 = false },
  mps = { is_available = no, is_built = no },
  mkl = { is_available = no },
  mkldnn = { is_available = yes, enabled = true },
  openmp = { is_available = yes },
}
