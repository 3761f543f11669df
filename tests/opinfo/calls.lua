--- How the variants of PyTorch's op samples are called where a name alone does not say it.
local torch = require "lampad"
local F = torch.nn.functional
local M = {}

local function reverse(op)
  return function(self, other) return op(other, self) end
end
local function method(name)
  return function(self, ...) return self[name](self, ...) end
end
--- A function of several tensors, which PyTorch's sample gives as a list.
local function spread(fn)
  return function(first, ...)
    if torch.is_tensor(first) then return fn(first, ...) end
    local args = table.pack(...)
    local all = table.move(first, 1, #first, 1, {})
    table.move(args, 1, args.n, #first + 1, all)
    return fn(table.unpack(all, 1, #first + args.n))
  end
end

M.calls = {
  T = function(self) return self.T end,
  H = function(self) return self.H end,
  mT = function(self) return self.mT end,
  mH = function(self) return self.mH end,
  ["repeat"] = method "rep",
  ["__getitem__"] = function(self, index) return self[index] end,
  ["__radd__"] = reverse(function(a, b) return a + b end),
  ["__rsub__"] = reverse(function(a, b) return a - b end),
  ["__rmul__"] = reverse(function(a, b) return a * b end),
  ["__rdiv__"] = reverse(function(a, b) return a / b end),
  ["__rmod__"] = reverse(function(a, b) return a % b end),
  ["__rpow__"] = reverse(function(a, b) return a ^ b end),
  ["__rand__"] = reverse(function(a, b) return a & b end),
  ["__ror__"] = reverse(function(a, b) return a | b end),
  ["__rxor__"] = reverse(function(a, b) return a ~ b end),
  ["__rmatmul__"] = reverse(torch.matmul),
  ["normal.number_mean"] = function(std, mean, ...) return torch.normal(mean, std, ...) end,
  ["svd_lowrank"] = function(a, b, ...) return torch.svd_lowrank(a:matmul(b.mT), ...) end,
  ["pca_lowrank"] = function(a, b, ...) return torch.pca_lowrank(a:matmul(b.mT), ...) end,
  ["item"] = method "item",
  ["normal.in_place"] = method "normal_",
  ["index_put"] = method "index_put",
  ["where"] = function(self, condition, other) return torch.where(condition, self, other) end,
  ["nn.functional.embedding"] = function(weight, index, ...) return F.embedding(index, weight, ...) end,
  ["einsum"] = function(tensors, equation) return torch.einsum(equation, tensors) end,
  ["meshgrid.list_of_tensors"] = torch.meshgrid,
  ["meshgrid.variadic_tensors"] = spread(torch.meshgrid),
  ["atleast_1d"] = spread(torch.atleast_1d), ["atleast_2d"] = spread(torch.atleast_2d),
  ["atleast_3d"] = spread(torch.atleast_3d),
  ["linalg.pinv.singular"] = function(a, b) return torch.linalg.pinv(a:matmul(b.mT)) end,
  ["linalg.lstsq.grad_oriented"] = function(a, b, options)
    local solution, residuals = torch.linalg.lstsq(a, b, options)
    return solution, residuals
  end,
}
M.calls["special.polygamma"] = reverse(torch.special.polygamma)
M.calls.polygamma = reverse(torch.polygamma)

-- Results that hold whatever was in memory, or whose signs are free.
local free_signs = { signless = true }
M.how = {
  empty = { shape_only = true }, empty_like = { shape_only = true }, empty_strided = { shape_only = true },
  empty_permuted = { shape_only = true }, new_empty = { shape_only = true }, new_empty_strided = { shape_only = true },
  resize_ = { shape_only = true }, resize_as_ = { shape_only = true },
  svd = free_signs, ["linalg.svd"] = free_signs, ["linalg.eigh"] = free_signs, ["linalg.qr"] = free_signs,
  ["linalg.eig"] = free_signs, svd_lowrank = free_signs, pca_lowrank = free_signs, geqrf = free_signs,
}

-- Variants that are not replayed, each with the reason.
M.left_out = {
  slice = "aten.slice has no public name in PyTorch; x[\"1:3\"] is it",
  native_dropout_backward = "an internal of PyTorch without a public name",
  max_pool2d_with_indices_backward = "an internal of PyTorch without a public name",
  as_strided_scatter = "PyTorch's gradient keeps what was overwritten and drops the rest",
  ["special.bessel_j0"] = "PyTorch is off by up to 2e-7 where scipy and Lampad agree to 1e-13",
  ["special.bessel_j1"] = "as bessel_j0", ["special.bessel_y0"] = "as bessel_j0", ["special.bessel_y1"] = "as bessel_j0",
}

--- Singular vectors of the null space are free altogether.
function M.is_free(r)
  if r.name ~= "linalg.svd" and r.name ~= "svd" then return false end
  for _, pair in ipairs(r.named) do
    local full = pair[1] == "full_matrices" and pair[2] == true or pair[1] == "some" and pair[2] == false
    local sizes = r.args.items[1].sizes
    if full and sizes[#sizes] ~= sizes[#sizes - 1] then return true end
  end
  return false
end

-- Calls that PyTorch refuses and Lua's conventions allow: a whole float is an integer, a number stands for a tensor.
M.allowed_here = {
  linspace = true, ["linspace.tensor_overload"] = true, logspace = true, ["logspace.tensor_overload"] = true,
  kthvalue = "an out of another number of dims is resized",
  masked_select = "an out that is an input is written last", take = "as masked_select", cat = "as masked_select",
  amax = "an out of another dtype is converted to", amin = "as amax", aminmax = "as amax",
  -- {} is what {nil, nil} is, which leaves the sizes as they are.
  ["nn.functional.adaptive_avg_pool1d"] = true, ["nn.functional.adaptive_avg_pool2d"] = true,
  ["nn.functional.adaptive_avg_pool3d"] = true, ["nn.functional.adaptive_max_pool1d"] = true,
  ["nn.functional.adaptive_max_pool2d"] = true, ["nn.functional.adaptive_max_pool3d"] = true,
}
return M
