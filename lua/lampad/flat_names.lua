-- Functions of layers by their flat names under torch (torch.batch_norm, torch.kl_div, ...), with the argument order
-- that PyTorch gives them there; the usual forms are those of torch.nn.functional.
local core = require "lampad.core"
local args = require "lampad.args"

local torch = core.torch
local F = require "lampad.nn.functional"
local linalg = core.modules.linalg
local M = {}

-- --- dropout ------------------------------------------------------------------------------------------------

for name, base in pairs { dropout = "dropout", alpha_dropout = "alpha_dropout", feature_dropout = "dropout2d",
  feature_alpha_dropout = "feature_alpha_dropout" } do
  for suffix, inplace in pairs { [""] = false, _ = true } do
    local spec = args(name .. suffix .. "(Tensor input, float p, bool train)")
    M[name .. suffix] = function(...)
      local x, p, train = spec(...)
      return F[base](x, p, train, inplace)
    end
  end
end
M.dropout = nil -- torch.dropout is an op of its own

-- --- normalisation, embedding, activations ----------------------------------------------------------------------

local norm_tail = "bool %s, float momentum, float eps, bool cudnn_enabled)"
for name, flag in pairs { batch_norm = "training", instance_norm = "use_input_stats" } do
  local spec = args(name .. "(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, "
    .. norm_tail:format(flag))
  M[name] = function(...)
    local x, weight, bias, mean, var, training, momentum, eps = spec(...)
    return F[name](x, mean, var, weight, bias, training, momentum, eps)
  end
end

local embedding_spec = args [[embedding(Tensor weight, Tensor indices, int padding_idx=-1, bool scale_grad_by_freq=false,
  bool sparse=false)]]
function M.embedding(...)
  local weight, indices, padding, by_freq, sparse = embedding_spec(...)
  if padding < 0 then padding = nil end
  return F.embedding(indices, weight, { padding_idx = padding, scale_grad_by_freq = by_freq, sparse = sparse })
end

function M.prelu(...) return F.prelu(...) end

for suffix, inplace in pairs { [""] = false, _ = true } do
  local spec = args("rrelu" .. suffix
    .. "(Tensor input, float lower=0.125, float upper=0.3333333333333333, bool training=false)")
  M["rrelu" .. suffix] = function(...)
    local x, lower, upper, training = spec(...)
    return F.rrelu(x, lower, upper, training, inplace)
  end
end

-- --- sampling by a grid: the modes are numbers ---------------------------------------------------------------------------

local sample_modes = { [0] = "bilinear", "nearest", "bicubic" }
local padding_modes = { [0] = "zeros", "border", "reflection" }
for _, name in ipairs { "grid_sampler", "grid_sampler_2d", "grid_sampler_3d" } do
  local spec = args(name .. "(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners)")
  M[name] = function(...)
    local x, grid, mode, padding, align_corners = spec(...)
    if not (sample_modes[mode] and padding_modes[padding]) then
      args.fail(name, "interpolation_mode and padding_mode must be 0, 1 or 2, got %d and %d", mode, padding)
    end
    return F.grid_sample(x, grid, { mode = sample_modes[mode], padding_mode = padding_modes[padding],
      align_corners = align_corners })
  end
end

local affine_spec = args "affine_grid_generator(Tensor theta, ints size, bool align_corners)"
function M.affine_grid_generator(...)
  local theta, size, align_corners = affine_spec(...)
  return F.affine_grid(theta, size, { align_corners = align_corners })
end

-- --- losses: the reduction is a number ------------------------------------------------------------------------------

local reductions = { [0] = "none", "mean", "sum" }
local function reduction_of(name, number)
  return reductions[number] or args.fail(name, "reduction must be 0 (none), 1 (mean) or 2 (sum), got %s", tostring(number))
end

-- Defines torch.name on F.name: `parameters` besides the `count` tensors are given by name.
local function loss(name, signature, count)
  local spec = args(name .. signature)
  M[name] = function(...)
    local values, named = table.pack(spec(...)), {}
    for i = count + 1, spec.count do named[spec.names[i]] = values[i] end
    named.reduction = reduction_of(name, named.reduction)
    local given = table.move(values, 1, count, 1, {})
    given[count + 1] = named
    return F[name](table.unpack(given, 1, count + 1))
  end
end

loss("cosine_embedding_loss", "(Tensor input1, Tensor input2, Tensor target, float margin=0, int reduction=1)", 3)
loss("hinge_embedding_loss", "(Tensor input, Tensor target, float margin=1, int reduction=1)", 2)
loss("margin_ranking_loss", "(Tensor input1, Tensor input2, Tensor target, float margin=0, int reduction=1)", 3)
loss("poisson_nll_loss", "(Tensor input, Tensor target, bool log_input, bool full, float eps, int reduction)", 2)
loss("kl_div", "(Tensor input, Tensor target, int reduction=1, *, bool log_target=false)", 2)
loss("binary_cross_entropy_with_logits",
  "(Tensor input, Tensor target, Tensor weight=nil, Tensor pos_weight=nil, int reduction=1)", 2)
loss("triplet_margin_loss", [[(Tensor anchor, Tensor positive, Tensor negative, float margin=1, float p=2, float eps=1e-6,
  bool swap=false, int reduction=1)]], 3)

-- --- norms, ranges -----------------------------------------------------------------------------------------------------

local nuclear_spec = args "nuclear_norm(Tensor input, ints dim=nil, bool keepdim=false)"
--- The sum of the singular values.
function M.nuclear_norm(...)
  local first, second = ...
  if type(second) == "boolean" then return linalg.matrix_norm(first, "nuc", { -2, -1 }, second) end
  local x, dim, keepdim = nuclear_spec(...)
  return linalg.matrix_norm(x, "nuc", dim or { -2, -1 }, keepdim)
end

local frobenius_spec = args "frobenius_norm(Tensor input, ints dim=nil, bool keepdim=false)"
--- The root of the sum of squares over one or two dims.
function M.frobenius_norm(...)
  local x, dim, keepdim = frobenius_spec(...)
  return linalg.vector_norm(x, 2, dim, keepdim)
end

local except_spec = args "norm_except_dim(Tensor v, int pow=2, int dim=0)"
--- Norms over all dims but one, which keep their size 1; dim -1: over all.
function M.norm_except_dim(...)
  local v, pow, dim = except_spec(...)
  if dim == -1 then return linalg.vector_norm(v, pow) end
  local dims = {}
  for d = 0, v.ndim - 1 do
    if d ~= dim % v.ndim then dims[#dims + 1] = d end
  end
  return linalg.vector_norm(v, pow, dims, true)
end

local range_spec = args [[range(float start, float end_, float step=1, *, dtype dtype=nil, any device=nil,
  bool requires_grad=false)]]
--- start, start + step, ... up to and with end; torch.arange leaves end out and is what to use.
function M.range(...)
  local start, last, step, dtype, _, requires_grad = range_spec(...)
  if step == 0 then args.fail("range", "step must be nonzero") end
  if (last - start) * step < 0 then
    args.fail("range", "upper bound and lower bound inconsistent with step sign: %g, %g, %g", start, last, step)
  end
  local count = math.floor((last - start) / step) + 1
  local values = torch.arange(count, { dtype = torch.float64 }) * step + start
  values = values:to(dtype or torch.get_default_dtype())
  return requires_grad and values:requires_grad_() or values
end

local vander_spec = args "vander(Tensor x, int N=nil, bool increasing=false)"
--- Columns of powers of a vector's elements, falling unless `increasing`.
function M.vander(...)
  local x, n, increasing = vander_spec(...)
  if x.ndim ~= 1 then args.fail("vander", "x must be a one-dimensional tensor, got shape %s", tostring(x.shape)) end
  local matrix = linalg.vander(x, { N = n or x:numel() })
  return increasing and matrix or matrix:flip(-1)
end

-- --- in place -------------------------------------------------------------------------------------------------------------

for _, name in ipairs { "zero_", "detach_", "resize_as_" } do
  M[name] = function(self, ...)
    if type(self) ~= "userdata" or not torch.is_tensor(self) then
      args.fail(name, "argument 'input' must be a tensor, got %s", require("lampad.text").describe(self))
    end
    return self[name](self, ...)
  end
end

return M
