-- nn.utils.parametrizations: weight_norm, spectral_norm and orthogonal as parametrizations (see parametrize.lua).
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"
local OrderedDict = require "lampad.ordered_dict"
local parametrize = require "lampad.nn.utils.parametrize"
local power = require "lampad.nn.utils.spectral_norm"

local torch = core.torch
local parametrizations = {}

-- The tensor of that name, or an error.
local function tensor_of(what, module, name)
  local weight = module[name]
  if type(weight) ~= "userdata" or not torch.is_tensor(weight) then
    args.fail(what, "Module '%s' has no parameter or buffer with name '%s'", tostring(module), name)
  end
  return weight
end

-- --- weight norm --------------------------------------------------------------------------------------------
local WeightNorm = Module:extend "_WeightNorm"

function WeightNorm:init(dim) self:_set { dim = dim } end

--- original0: the lengths, original1: the directions.
function WeightNorm:forward(g, v) return require("lampad.nn.utils.weight_norm").compute(v, g, self.dim) end

function WeightNorm:right_inverse(weight) return torch.norm_except_dim(weight, 2, self.dim), weight end

local weight_spec = args "weight_norm(Module module, str name='weight', int? dim=0)"

--- Salimans and Kingma (2016): the tensor as direction and length, lengths over all dims but `dim` (false, Python's
--- None: one length for all). state_dicts of the older form (name_g, name_v) can be loaded. Returns the module.
function parametrizations.weight_norm(...)
  local module, name, dim = weight_spec(...)
  tensor_of("weight_norm", module, name)
  parametrize.register_parametrization(module, name, WeightNorm(dim or -1), { unsafe = true })
  module:_register_load_state_dict_pre_hook(function(state, prefix)
    local g, v = prefix .. name .. "_g", prefix .. name .. "_v"
    if not (OrderedDict.contains(state, g) and OrderedDict.contains(state, v)) then return end
    local target = prefix .. "parametrizations." .. name .. ".original"
    state[target .. "0"], state[target .. "1"] = OrderedDict.pop(state, g), OrderedDict.pop(state, v)
  end)
  return module
end

-- --- spectral norm ------------------------------------------------------------------------------------------
local SpectralNorm = Module:extend "_SpectralNorm"

function SpectralNorm:init(weight, n_power_iterations, dim, eps)
  local ndim = weight.ndim
  if dim >= ndim or dim < -ndim then
    args.fail("spectral_norm", "Dimension out of range (expected to be in range of [-%d, %d] but got %d)", ndim,
      ndim - 1, dim)
  end
  if n_power_iterations <= 0 then
    args.fail("spectral_norm", "Expected n_power_iterations to be positive, but got n_power_iterations=%d",
      n_power_iterations)
  end
  self:_set { dim = dim < 0 and dim + ndim or dim, eps = eps, n_power_iterations = n_power_iterations }
  if ndim == 1 then return end
  local matrix = power.as_matrix(weight:detach(), self.dim)
  local u, v = power.draw(matrix, eps)
  self:register_buffer("_u", u)
  self:register_buffer("_v", v)
  self:_iterate(matrix, 15) -- so that the first value is near already
end

function SpectralNorm:_iterate(matrix, times)
  torch.no_grad(function()
    matrix = matrix:detach()
    for _ = 1, times do
      self._u:copy_(power.unit(matrix:mv(self._v), self.eps))
      self._v:copy_(power.unit(matrix.mH:mv(self._u), self.eps))
    end
  end)
end

function SpectralNorm:forward(weight)
  if weight.ndim == 1 then return torch.nn.functional.normalize(weight, { dim = 0, eps = self.eps }) end
  local matrix = power.as_matrix(weight, self.dim)
  if self.training then self:_iterate(matrix, self.n_power_iterations) end
  -- Backward needs these values; the buffers change at the next forward.
  local u, v = self._u:clone(), self._v:clone()
  return weight / torch.vdot(u, matrix:mv(v))
end

function SpectralNorm:right_inverse(value) return value end -- whatever its norm

local spectral_spec = args [[spectral_norm(Module module, str name='weight', int n_power_iterations=1, float eps=1e-12,
  int dim=nil)]]

--- Miyato et al. (2018): the tensor divided by its largest singular value, which power iteration estimates (in
--- training, n_power_iterations at each use). dim: of the outputs. Returns the module.
function parametrizations.spectral_norm(...)
  local module, name, n_power_iterations, eps, dim = spectral_spec(...)
  local weight = tensor_of("spectral_norm", module, name)
  return parametrize.register_parametrization(module, name,
    SpectralNorm(weight, n_power_iterations, dim or power.output_dim(module), eps))
end

-- --- orthogonal -----------------------------------------------------------------------------------------------
local Orthogonal = Module:extend "_Orthogonal"

function Orthogonal:init(weight, map, use_trivialization)
  if weight:is_complex() and map == "householder" then
    args.fail("orthogonal", "The householder parametrization does not support complex tensors.")
  end
  self:_set { shape = weight.shape, orthogonal_map = map, use_trivialization = use_trivialization }
  if use_trivialization then self:register_buffer("base", nil) end
end

-- The product of Householder reflectors that geqrf left below the diagonal; the signs of its diagonal go into Q.
local function orthogonal_of(a)
  local factored, tau = torch.geqrf(a)
  return torch.linalg.householder_product(factored, tau) * factored:diagonal(0, -2, -1):sgn():unsqueeze(-2)
end

function Orthogonal:forward(x)
  local n, k = x:size(-2), x:size(-1)
  local transposed = n < k
  if transposed then
    x = x.mT
    n, k = k, n
  end
  local q
  if self.orthogonal_map == "householder" then
    local a = x:tril(-1)
    local tau = 2 / (1 + (a * a):sum(-2))
    q = torch.linalg.householder_product(a, tau) * x:diagonal(0, -2, -1):to(torch.int32):unsqueeze(-2)
  else
    x = x:tril()
    if n ~= k then -- to a square matrix; the last columns take no part
      local sizes = { x.shape:unpack() }
      sizes[#sizes] = n - k
      x = torch.cat({ x, x:new_zeros(sizes) }, -1)
    end
    local a = x - x.mH -- skew-symmetric
    if self.orthogonal_map == "matrix_exp" then
      q = torch.matrix_exp(a)
    else
      local one = torch.eye(n, { dtype = a.dtype, device = a.device })
      q = torch.linalg.solve(torch.add(one, a, { alpha = -0.5 }), torch.add(one, a, { alpha = 0.5 }))
    end
    if n ~= k then q = q:narrow(-1, 0, k) end
  end
  if self.use_trivialization then q = self.base:matmul(q) end
  return transposed and q.mT or q
end

--- Without a base there is no inverse of the exponential and of Cayley's map here.
function Orthogonal:can_invert() return self.use_trivialization or self.orthogonal_map == "householder" end

local function is_orthogonal(q)
  local one = torch.eye(q:size(-1), { dtype = q.dtype, device = q.device })
  local tolerance = 10 * q:size(-2) * torch.finfo(q.dtype).eps
  return torch.allclose(q.mH:matmul(q), one:expand(q.mH:matmul(q).shape), { atol = tolerance })
end

function Orthogonal:right_inverse(q)
  if q.shape ~= self.shape then
    args.fail("orthogonal", "Expected a matrix or batch of matrices of shape %s. Got a tensor of shape %s.",
      tostring(self.shape), tostring(q.shape))
  end
  if not self:can_invert() then
    args.fail("orthogonal", "It is not possible to assign to the matrix exponential or the Cayley parametrizations "
      .. "when use_trivialization=False.")
  end
  return torch.no_grad(function()
    local given = q
    local n, k = q:size(-2), q:size(-1)
    local transposed = n < k
    if transposed then
      q = q.mT
      n, k = k, n
    end
    if not self.use_trivialization then
      local a, tau = torch.geqrf(q)
      local diagonal = a:diagonal(0, -2, -1)
      local signs = diagonal:sign()
      diagonal:copy_(torch.where(tau:eq(0), -signs, signs))
      return transposed and a.mT or a
    end
    if n == k then
      q = is_orthogonal(q) and q:clone() or orthogonal_of(q)
    else -- completed to a square matrix at random
      local sizes = { q.shape:unpack() }
      sizes[#sizes] = n - k
      q = orthogonal_of(torch.cat({ q, torch.randn(sizes, { dtype = q.dtype, device = q.device }) }, -1))
    end
    self.base = q
    -- The exponential and Cayley's map take 0, the reflectors -1 on the diagonal, to the identity: both are met.
    local negative = torch.zeros_like(given)
    negative:diagonal(0, -2, -1):fill_(-1)
    return negative
  end)
end

local maps = { matrix_exp = true, cayley = true, householder = true }
local orthogonal_spec = args [[orthogonal(Module module, str name='weight', str orthogonal_map=nil, *,
  bool use_trivialization=true)]]

--- The tensor (..., n, k) becomes a (semi) orthogonal or unitary matrix, Q^H Q = 1 (or Q Q^H = 1 when n < k).
--- orthogonal_map: "matrix_exp" (square and complex ones), "cayley" or "householder" (the others). With
--- use_trivialization the tensor can be set; see Lezcano-Casado (2019). Returns the module.
function parametrizations.orthogonal(...)
  local module, name, map, use_trivialization = orthogonal_spec(...)
  local weight = tensor_of("orthogonal", module, name)
  if weight.ndim < 2 then
    args.fail("orthogonal", "Expected a matrix or batch of matrices. Got a tensor of %d dimensions.", weight.ndim)
  end
  map = map or ((weight:size(-2) == weight:size(-1) or weight:is_complex()) and "matrix_exp" or "householder")
  if not maps[map] then
    args.fail("orthogonal", "orthogonal_map has to be one of \"matrix_exp\", \"cayley\", \"householder\". Got: %s",
      text.str(map))
  end
  return parametrize.register_parametrization(module, name, Orthogonal(weight, map, use_trivialization),
    { unsafe = true })
end

return parametrizations
