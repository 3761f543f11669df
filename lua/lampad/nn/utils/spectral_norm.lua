-- nn.utils.spectral_norm: Miyato et al. (2018), a weight divided by its largest singular value, which power iteration
-- estimates. This is the older form, a hook before forward; nn.utils.parametrizations.spectral_norm is the newer one.
local core = require "lampad.core"
local args = require "lampad.args"
local class = require "lampad.class"
local hooks = require "lampad.nn.module_hooks"
local OrderedDict = require "lampad.ordered_dict"
local Parameter = require "lampad.nn.parameter"

local torch = core.torch
local library = {}

--- The weight as a matrix whose rows are the entries of `dim`.
function library.as_matrix(weight, dim)
  if dim ~= 0 then
    local order = { dim }
    for d = 0, weight.ndim - 1 do
      if d ~= dim then order[#order + 1] = d end
    end
    weight = weight:permute(order)
  end
  return weight:reshape(weight:size(0), -1)
end

--- x / max(|x|, eps), without recording.
function library.unit(x, eps) return x / torch.clamp_min(torch.linalg.vector_norm(x), eps) end

--- Two random unit vectors u (rows) and v (columns) for a matrix, in PyTorch's order of draws.
function library.draw(matrix, eps)
  local function vector(n) return library.unit(matrix:new_empty(n):normal_(0, 1), eps) end
  local u = vector(matrix:size(0))
  return u, vector(matrix:size(1))
end

--- The dim of the outputs of a layer's weight: 1 for transposed convolutions, else 0.
function library.output_dim(module)
  local nn = torch.nn
  for _, name in ipairs { "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d" } do
    if module:isinstance(nn[name]) then return 1 end
  end
  return 0
end

-- --- the hook -----------------------------------------------------------------------------------------------
local SpectralNorm = class.extend(class.Object, "SpectralNorm")
library.SpectralNorm = SpectralNorm

function SpectralNorm:init(name, n_power_iterations, dim, eps)
  self.name, self.n_power_iterations, self.dim, self.eps = name, n_power_iterations, dim, eps
end

function SpectralNorm:compute_weight(module, iterate)
  local weight, u, v = module[self.name .. "_orig"], module[self.name .. "_u"], module[self.name .. "_v"]
  local matrix = library.as_matrix(weight, self.dim)
  if iterate then
    torch.no_grad(function()
      local fixed = matrix:detach()
      for _ = 1, self.n_power_iterations do
        v:copy_(library.unit(fixed:t():mv(u), self.eps))
        u:copy_(library.unit(fixed:mv(v), self.eps))
      end
    end)
    -- Backward needs these values; the buffers change at the next forward.
    u, v = u:clone(), v:clone()
  end
  return weight / torch.dot(u, matrix:mv(v))
end

function SpectralNorm:__call(module) rawset(module, self.name, self:compute_weight(module, module.training)) end

-- Checkpoints from before version 1 have no v, and their weight is the divided one: v follows from W and u, scaled so
-- that u . (W v) is the norm by which the weight was divided.
function SpectralNorm:_upgrade(state, prefix, metadata)
  local version = (metadata.spectral_norm or {})[self.name .. ".version"]
  if version ~= nil and version >= 1 then return end
  local key = prefix .. self.name
  local orig, u = OrderedDict.get(state, key .. "_orig"), OrderedDict.get(state, key .. "_u")
  local divided = OrderedDict.get(state, key)
  if not (orig and u and divided) or OrderedDict.contains(state, key .. "_v") then return end
  torch.no_grad(function()
    local sigma = (orig / divided):mean()
    local matrix = library.as_matrix(orig, self.dim)
    local v = torch.linalg.multi_dot { matrix:t():mm(matrix):pinverse(), matrix:t(), u:unsqueeze(1) }:squeeze(1)
    state[key .. "_v"] = v * (sigma / torch.dot(u, matrix:mv(v)))
  end)
  state[key] = nil
end

local function find(module, name)
  for _, entry in ipairs(module._hooks and module._hooks.forward_pre or {}) do
    if class.isinstance(entry.fn, SpectralNorm) and entry.fn.name == name then return entry end
  end
end

local spec = args [[spectral_norm(Module module, str name='weight', int n_power_iterations=1, float eps=1e-12,
  int dim=nil)]]
local remove_spec = args "remove_spectral_norm(Module module, str name='weight')"

--- Divides the parameter `name` by its spectral norm before each forward; the parameter proper is name_orig, the
--- iteration's vectors are the buffers name_u and name_v. Returns the module.
function library.spectral_norm(...)
  local module, name, n_power_iterations, eps, dim = spec(...)
  if find(module, name) then
    args.fail("spectral_norm", "Cannot register two spectral_norm hooks on the same parameter %s", name)
  end
  local weight = rawget(module, name)
  if not Parameter.is(weight) then
    args.fail("spectral_norm", "cannot be applied as parameter '%s' of %s is nil", name, module.__name)
  end
  if n_power_iterations <= 0 then
    args.fail("spectral_norm", "Expected n_power_iterations to be positive, but got n_power_iterations=%d",
      n_power_iterations)
  end
  local hook = SpectralNorm(name, n_power_iterations, dim or library.output_dim(module), eps)
  local u, v = library.draw(library.as_matrix(weight:detach(), hook.dim), eps)
  module:del(name)
  module:register_parameter(name .. "_orig", weight)
  rawset(module, name, weight:detach())
  module:register_buffer(name .. "_u", u)
  module:register_buffer(name .. "_v", v)
  hook.handles = {
    module:register_forward_pre_hook(hook),
    module:_register_state_dict_hook(function(_, _, _, metadata)
      metadata.spectral_norm = metadata.spectral_norm or {}
      metadata.spectral_norm[name .. ".version"] = 1
    end),
    module:_register_load_state_dict_pre_hook(function(state, prefix, metadata)
      hook:_upgrade(state, prefix, metadata)
    end),
  }
  return module
end

--- Puts the divided weight back as a parameter; returns the module.
function library.remove_spectral_norm(...)
  local module, name = remove_spec(...)
  local entry = find(module, name)
  if not entry then
    args.fail("remove_spectral_norm", "spectral_norm of '%s' not found in %s", name, tostring(module))
  end
  local weight = torch.no_grad(function() return entry.fn:compute_weight(module, false):detach() end)
  rawset(module, name, nil)
  for _, suffix in ipairs { "_u", "_v", "_orig" } do module:del(name .. suffix) end
  module:register_parameter(name, Parameter(weight))
  hooks.drop(module._hooks, "forward_pre", entry)
  for _, handle in ipairs(entry.fn.handles) do handle:remove() end
  return module
end

return library
