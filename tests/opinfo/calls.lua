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

M.left_out = {}
return M
