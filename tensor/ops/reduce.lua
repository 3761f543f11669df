-- Reductions, statistics, running sums, sorting and counting.

-- --- helpers of derivatives -------------------------------------------------------------------------

op{ "reduce_expand(Tensor self, int[] sizes, int[]? dim, bool keepdim) -> Tensor", variants = "internal",
    kind = "composite" }
op{ "mean_backward(Tensor grad, int[] sizes, int[]? dim, bool keepdim) -> Tensor", variants = "internal",
    kind = "composite" }
op{ "share_masked(Tensor grad, Tensor mask, int[]? dim) -> Tensor", variants = "internal",
    composite = "grad * mask / sum_dim(mask, dim, true)" }
op{ "extreme_backward(Tensor grad, Tensor self, Tensor result, int[]? dim, bool keepdim) -> Tensor",
    variants = "internal",
    composite = "share_masked(reduce_expand(grad, self.shape, dim, keepdim), \z
                 eq(self, reduce_expand(result, self.shape, dim, keepdim)), dim)" }
op{ "pick_backward(Tensor grad, int[] sizes, int dim, Tensor indices, bool keepdim) -> Tensor",
    variants = "internal", kind = "composite" }
op{ "prod_backward(Tensor grad, Tensor self, Tensor result) -> Tensor", variants = "internal", kind = "composite" }
op{ "prod_dim_backward(Tensor grad, Tensor self, Tensor result, int dim, bool keepdim) -> Tensor",
    variants = "internal", kind = "composite" }
op{ "cumprod_backward(Tensor grad, Tensor self, int dim, Tensor result) -> Tensor", variants = "internal",
    kind = "composite" }
op{ "var_backward(Tensor grad, Tensor self, int[]? dim, Scalar? correction, bool keepdim) -> Tensor",
    variants = "internal", kind = "composite" }
op{ "std_backward(Tensor grad, Tensor self, Tensor result, int[]? dim, Scalar? correction, bool keepdim) -> Tensor",
    variants = "internal",
    composite = "var_backward(masked_fill(grad / (result * 2), eq(result, 0), 0), self, dim, correction, keepdim)" }
op{ "norm_backward(Tensor grad, Tensor self, Tensor result, Scalar ord, int[]? dim, bool keepdim) -> Tensor",
    variants = "internal", kind = "composite" }
op{ "logcumsumexp_backward(Tensor grad, Tensor self, Tensor result, int dim) -> Tensor", variants = "internal",
    kind = "composite" }
op{ "logcumsumexp_backward_by_logs(Tensor grad, Tensor self, Tensor result, int dim) -> Tensor", variants = "internal",
    composite = "reverse_logcumsumexp_exp(where(gt(grad, 0), log(grad), -1/0.0) - result, self, dim) - \z
                 reverse_logcumsumexp_exp(where(lt(grad, 0), log(-grad), -1/0.0) - result, self, dim)" }
op{ "logcumsumexp_backward_complex(Tensor grad, Tensor self, Tensor result, int dim) -> Tensor", variants = "internal",
    composite = "reverse_logcumsumexp_exp(log(grad) - conj(result), conj(self), dim)" }
op{ "reverse_logcumsumexp_exp(Tensor log_grad, Tensor self, int dim) -> Tensor", variants = "internal",
    composite = "exp(flip(logcumsumexp(flip(log_grad, [dim]), dim), [dim]) + self)" }
op{ "reverse_cumsum(Tensor self, int dim) -> Tensor", variants = "internal",
    composite = "flip(cumsum(flip(self, [dim]), dim), [dim])" }

-- --- sums and means ---------------------------------------------------------------------------------

op{ "sum(Tensor self, *, dtype? dtype=nil) -> Tensor",
    grad = { self = "expand(grad, self.shape)" },
    cases = { "(3,4)", "(2,3,4)t", "()", "(0,)", "(3,4)i", "(5,)b", "(3,4), dtype=float64", "(3,4)i, dtype=float32" },
    doc = "The sum of all elements. Integers and booleans are summed in int64.",
    example = "torch.sum(torch.tensor{1, 2, 3})" }
op{ "sum.dim(Tensor self, int[1]? dim, bool keepdim=false, *, dtype? dtype=nil) -> Tensor",
    variants = "function method out",
    grad = { self = "reduce_expand(grad, self.shape, dim, keepdim)" },
    cases = { "(3,4), 1", "(3,4), 0", "(2,3,4), [0, 2]", "(2,3,4)t, [-1], true", "(2,3,4), [1], true", "(3,4), []",
              "(0,4), 0", "(4,0), 1", "(), 0", "(3,4)i, 1", "(3,4), 1, dtype=float64", "(40,5), 0", "(600,3), 0" },
    doc = "The sum over one dim or several; they are kept with size 1 when keepdim.",
    example = "torch.ones(2, 3):sum(1)" }
op{ "nansum(Tensor self, int[1]? dim=nil, bool keepdim=false, *, dtype? dtype=nil) -> Tensor",
    variants = "function method out",
    grad = { self = "reduce_expand(grad, self.shape, dim, keepdim) * logical_not(isnan(self))" },
    cases = { "(3,4)", "(3,4), 1", "(2,3,4), [0, 2], true", "(3,4)i", "(0,)" },
    doc = "The sum, with NaN counted as 0.", example = "torch.nansum(torch.tensor{1., 0/0, 2.})" }
op{ "mean(Tensor self, *, dtype? dtype=nil) -> Tensor",
    grad = { self = "mean_backward(grad, self.shape, nil, false)" },
    cases = { "(3,4)", "(2,3,4)t", "()", "(0,)", "(3,4)i, dtype=float32" },
    doc = "The mean of all elements of a floating or complex tensor (or in the dtype given).",
    example = "torch.mean(torch.tensor{1., 2., 6.})" }
op{ "mean.dim(Tensor self, int[1]? dim, bool keepdim=false, *, dtype? dtype=nil) -> Tensor",
    variants = "function method out",
    grad = { self = "mean_backward(grad, self.shape, dim, keepdim)" },
    cases = { "(3,4), 1", "(3,4), 0", "(2,3,4), [0, 2]", "(2,3,4)t, [-1], true", "(0,4), 0", "(), 0" },
    doc = "The mean over one dim or several.", example = "torch.ones(2, 3):mean{dim = 1, keepdim = true}" }
op{ "nanmean(Tensor self, int[1]? dim=nil, bool keepdim=false, *, dtype? dtype=nil) -> Tensor",
    variants = "function method out", composite = "nansum(self, dim, keepdim, dtype=dtype) / \z
                 sum_dim(logical_not(isnan(self)), dim, keepdim)",
    cases = { "(3,4)", "(3,4), 1", "(2,3,4), [0, 2], true" },
    doc = "The mean of the elements that are not NaN.", example = "torch.nanmean(torch.tensor{1., 0/0, 2.})" }
op{ "prod(Tensor self, *, dtype? dtype=nil) -> Tensor",
    autocast = "fp32", grad = { self = "prod_backward(grad, conj(self), conj(result))" },
    cases = { "(3,4)", "(2,3,2)t", "()", "(0,)", "(3,4)i", "(3,4), dtype=float64" },
    doc = "The product of all elements. Integers are multiplied in int64.", example = "torch.prod(torch.tensor{2, 3, 4})" }
op{ "prod.dim_int(Tensor self, int dim, bool keepdim=false, *, dtype? dtype=nil) -> Tensor",
    autocast = "fp32", variants = "function method out",
    grad = { self = "prod_dim_backward(grad, conj(self), conj(result), dim, keepdim)" },
    cases = { "(3,4), 1", "(3,4), 0", "(2,3,4)t, -1, true", "(0,4), 0", "(), 0", "(3,4)i, 1" },
    doc = "The product over one dim.", example = "torch.prod(torch.tensor{{1, 2}, {3, 4}}, 1)" }
op{ "trace(Tensor self) -> Tensor", autocast = "fp32", kind = "composite",
    cases = { "(3,4)", "(4,4)t", "(3,3)i", "(0,3)" },
    doc = "The sum of the diagonal of a matrix.", example = "torch.trace(torch.ones(3, 3))" }

-- --- extremes ---------------------------------------------------------------------------------------

op{ "amax(Tensor self, int[1] dim=[], bool keepdim=false) -> Tensor", variants = "function method out",
    grad = { self = "extreme_backward(grad, self, result, dim, keepdim)" },
    cases = { "(3,4)", "(3,4), 1", "(2,3,4)t, [0, 2], true", "(2,3,4), 0", "()", "(3,4)i, 1", "(3,4)b, 0" },
    doc = "The largest elements over dims (all by default); equal ones share the gradient.",
    example = "torch.amax(torch.tensor{{1, 5}, {7, 2}}, 1)" }
op{ "amin(Tensor self, int[1] dim=[], bool keepdim=false) -> Tensor", variants = "function method out",
    grad = { self = "extreme_backward(grad, self, result, dim, keepdim)" },
    cases = { "(3,4)", "(3,4), 1", "(2,3,4)t, [0, 2], true", "(2,3,4), 0", "()", "(3,4)i, 1", "(3,4)b, 0" },
    doc = "The smallest elements over dims (all by default); equal ones share the gradient.",
    example = "torch.amin(torch.tensor{{1, 5}, {7, 2}}, 1)" }
op{ "aminmax(Tensor self, *, int? dim=nil, bool keepdim=false) -> (Tensor min, Tensor max)",
    variants = "function method out", kind = "composite", cases = { "(3,4)", "(3,4), dim=1", "(2,3,4)t, dim=0, keepdim=true", "(3,4)i" },
    doc = "The smallest and the largest elements, over one dim or all.",
    example = "torch.aminmax(torch.tensor{3, 1, 2})" }
op{ "max(Tensor self) -> Tensor", grad = { self = "extreme_backward(grad, self, result, nil, false)" },
    cases = { "(3,4)", "(2,3,4)t", "()", "(3,4)i", "(5,)b" },
    doc = "The largest element; NaN when there is one.", example = "torch.max(torch.tensor{3, 1, 2})" }
op{ "max.dim(Tensor self, int dim, bool keepdim=false) -> (Tensor values, Tensor indices)",
    variants = "function method out", nondiff = "indices",
    grad = { self = "pick_backward(grad, self.shape, dim, indices, keepdim)" },
    cases = { "(3,4), 1", "(3,4), 0", "(2,3,4)t, 1, true", "(2,3,4), -1", "(), 0", "(0,4), 1", "(3,4)d, 0" },
    doc = "The largest elements along a dim, and where they stand (the first of equals).",
    example = "torch.max(torch.tensor{{1, 5}, {7, 2}}, 1)" }
op{ "max.other(Tensor self, Tensor other) -> Tensor", variants = "function method out",
    composite = "maximum(self, other)", cases = { "(3,4), (4,)" },
    doc = "The elementwise larger of two tensors: torch.maximum.", example = "torch.max(torch.tensor{1, 5}, torch.tensor{3, 2})" }
op{ "min(Tensor self) -> Tensor", grad = { self = "extreme_backward(grad, self, result, nil, false)" },
    cases = { "(3,4)", "(2,3,4)t", "()", "(3,4)i", "(5,)b" },
    doc = "The smallest element; NaN when there is one.", example = "torch.min(torch.tensor{3, 1, 2})" }
op{ "min.dim(Tensor self, int dim, bool keepdim=false) -> (Tensor values, Tensor indices)",
    variants = "function method out", nondiff = "indices",
    grad = { self = "pick_backward(grad, self.shape, dim, indices, keepdim)" },
    cases = { "(3,4), 1", "(3,4), 0", "(2,3,4)t, 1, true", "(2,3,4), -1", "(), 0", "(3,4)d, 0" },
    doc = "The smallest elements along a dim, and where they stand (the first of equals).",
    example = "torch.min(torch.tensor{{1, 5}, {7, 2}}, 1)" }
op{ "min.other(Tensor self, Tensor other) -> Tensor", variants = "function method out",
    composite = "minimum(self, other)", cases = { "(3,4), (4,)" },
    doc = "The elementwise smaller of two tensors: torch.minimum.", example = "torch.min(torch.tensor{1, 5}, torch.tensor{3, 2})" }
op{ "argmax(Tensor self, int? dim=nil, bool keepdim=false) -> Tensor", variants = "function method out", grad = "none",
    cases = { "(3,4)", "(3,4), 1", "(3,4), 0, true", "(2,3,4)t", "(2,3,4)t, -1", "()", "(3,4)d, 0" },
    doc = "Where the largest element stands: along dim, or in the flattened tensor.",
    example = "torch.argmax(torch.tensor{3, 9, 2})" }
op{ "argmin(Tensor self, int? dim=nil, bool keepdim=false) -> Tensor", variants = "function method out", grad = "none",
    cases = { "(3,4)", "(3,4), 1", "(3,4), 0, true", "(2,3,4)t", "(2,3,4)t, -1", "()", "(3,4)d, 0" },
    doc = "Where the smallest element stands: along dim, or in the flattened tensor.",
    example = "torch.argmin(torch.tensor{3, 9, 2})" }

-- --- truth and counting -----------------------------------------------------------------------------

for _, name in ipairs{ "all", "any" } do
  local what = name == "all" and "whether all elements are true (not 0)" or "whether any element is true (not 0)"
  op{ name .. "(Tensor self) -> Tensor", variants = "function method out", grad = "none",
      cases = { "(3,4)b", "(0,)b", "(3,4)i", "(3,4)", "()b" },
      doc = "A 0-d tensor that tells " .. what .. ".", example = "torch." .. name .. "(torch.tensor{true, false})" }
  op{ name .. ".dim(Tensor self, int dim, bool keepdim=false) -> Tensor", variants = "function method out", grad = "none",
      cases = { "(3,4)b, 1", "(3,4)i, 0, true", "(3,0)b, 1", "(2,3,4)t, -1" },
      doc = "Along a dim, " .. what .. ".", example = "torch." .. name .. "(torch.eye(2), 1)" }
  op{ name .. ".dims(Tensor self, int[]? dim, bool keepdim=false) -> Tensor", variants = "function method out",
      grad = "none", cases = { "(2,3,4)b, [0, 2]", "(3,4)i, [0], true" },
      doc = "Over several dims, " .. what .. ".", example = "torch." .. name .. "(torch.ones(2, 3, 4), {0, 2})" }
end
op{ "count_nonzero(Tensor self, int[]? dim=nil) -> Tensor", grad = "none",
    cases = { "(3,4)i", "(3,4)i, 1", "(2,3,4)i, [0, 2]", "(0,)", "()b" },
    doc = "The number of elements that are not 0.", example = "torch.count_nonzero(torch.tensor{0, 3, 0, 4})" }

-- --- variance ---------------------------------------------------------------------------------------

for _, name in ipairs{ "var", "std" } do
  local what = name == "var" and "The variance" or "The standard deviation"
  local formula = name == "var" and "var_backward(grad, self, %s, %s, %s)"
    or "std_backward(grad, self, result, %s, %s, %s)"
  op{ name .. "(Tensor self, bool unbiased=true) -> Tensor",
      composite = name .. "_correction(self, nil, correction=(unbiased ? 1 : 0))",
      cases = { "(3,4)", "(3,4), false", "(2,3,4)t" },
      doc = what .. " of all elements.", example = "torch." .. name .. "(torch.tensor{1., 2., 4.})" }
  op{ name .. ".dim(Tensor self, int[1]? dim, bool unbiased=true, bool keepdim=false) -> Tensor",
      variants = "function method out",
      composite = name .. "_correction(self, dim, correction=(unbiased ? 1 : 0), keepdim=keepdim)",
      cases = { "(3,4), 1", "(3,4), 0, false", "(2,3,4), [0, 2], true, true" },
      doc = what .. " over dims, dividing by n - 1 (unbiased) or n.", example = "torch." .. name .. "(torch.ones(2, 3), 1)" }
  op{ name .. ".correction(Tensor self, int[1]? dim=nil, *, Scalar? correction=nil, bool keepdim=false) -> Tensor",
      variants = "function method out",
      grad = { self = formula:format("dim", "correction", "keepdim") },
      cases = { "(3,4), 1, correction=0", "(3,4), correction=1", "(2,3,4)t, [0, 2], correction=1, keepdim=true",
                "(3,4), 0, correction=2", "(1,4), 0, correction=1" },
      doc = what .. " over dims, dividing by n - correction (default 1).",
      example = "torch." .. name .. "(torch.tensor{1., 2., 4.}, {correction = 0})" }
  op{ name .. "_mean(Tensor self, bool unbiased=true) -> (Tensor " .. name .. ", Tensor mean)", kind = "composite",
      cases = { "(3,4)", "(3,4), false" },
      doc = what .. " of all elements, and their mean.", example = "torch." .. name .. "_mean(torch.tensor{1., 2., 4.})" }
  op{ name .. "_mean.dim(Tensor self, int[1]? dim, bool unbiased=true, bool keepdim=false) -> (Tensor " .. name ..
        ", Tensor mean)", kind = "composite",
      cases = { "(3,4), 1", "(2,3,4), [0, 2], false, true" },
      doc = what .. " over dims, and the mean.", example = "torch." .. name .. "_mean(torch.ones(2, 3), 1)" }
  op{ name .. "_mean.correction(Tensor self, int[1]? dim=nil, *, Scalar? correction=nil, bool keepdim=false) -> (Tensor " ..
        name .. ", Tensor mean)", kind = "composite",
      cases = { "(3,4), 1, correction=0", "(2,3,4)t, [0, 2], correction=1, keepdim=true" },
      doc = what .. " over dims with the given correction, and the mean.",
      example = "torch." .. name .. "_mean(torch.tensor{1., 2., 4.}, {correction = 0})" }
end

-- --- norms ------------------------------------------------------------------------------------------

op{ "vector_norm(Tensor self, Scalar ord=2, int[1]? dim=nil, bool keepdim=false, *, dtype? dtype=nil) -> Tensor",
    module = "linalg", variants = "function out",
    grad = { self = "norm_backward(grad, self, result, ord, dim, keepdim)" },
    cases = { "(3,4)", "(3,4), 1", "(3,4), 2, 1", "(3,4), 0, 1", "(2,3,4)t, 3, [0, 2], true", "(3,4), 2.5, 0", "()",
              "(0,)", "(3,4), dtype=float64" },
    doc = "The vector norm of order ord over dims (all by default): (sum |x|^ord)^(1/ord); 0 counts, inf and -inf take the extreme of |x|.",
    example = "torch.linalg.vector_norm(torch.tensor{3., 4.})" }
op{ "norm(Tensor self, Scalar? p=2, int[1]? dim=nil, bool keepdim=false, *, dtype? dtype=nil) -> Tensor",
    variants = "function method out", kind = "composite",
    cases = { "(3,4)", "(3,4), 1", "(3,4), 2, 1", "(2,3,4)t, 3, [0, 2], true", "()" },
    doc = "The p-norm over dims (all by default); p nil means 2.", example = "torch.norm(torch.tensor{3., 4.})" }
op{ "norm.str(Tensor self, str p, int[1]? dim=nil, bool keepdim=false, *, dtype? dtype=nil) -> Tensor",
    kind = "composite", cases = { "(3,4), 'fro'", "(3,4), 'fro', [0, 1]", "(3,4), 'nuc'" },
    doc = "The Frobenius norm ('fro'), the nuclear norm ('nuc'), 'inf' or '-inf', over dims.", example = "torch.norm(torch.ones(2, 2), 'fro')" }
op{ "dist(Tensor self, Tensor other, Scalar p=2) -> Tensor",
    composite = "linalg_vector_norm(self - other, p)",
    cases = { "(3,4), (3,4)", "(3,4), (4,), 1", "(3,4), (3,4), 3" },
    doc = "The p-norm of the difference.", example = "torch.dist(torch.tensor{1., 2.}, torch.tensor{4., 6.})" }
op{ "logsumexp(Tensor self, int[1] dim, bool keepdim=false) -> Tensor", module = "torch special",
    variants = "function method out",
    grad = { self = "reduce_expand(grad, self.shape, dim, keepdim) * \z
                     conj(exp(self - reduce_expand(result, self.shape, dim, keepdim)))" },
    cases = { "(3,4), 1", "(3,4), 0, true", "(2,3,4)t, [0, 2]", "(), 0" },
    doc = "log(sum(exp(x))) over dims, without overflow.", example = "torch.logsumexp(torch.tensor{1000., 1000.}, 0)" }

-- --- running sums -----------------------------------------------------------------------------------

op{ "cumsum(Tensor self, int dim, *, dtype? dtype=nil) -> Tensor", variants = "function method inplace out",
    grad = { self = "reverse_cumsum(grad, dim)" },
    cases = { "(3,4), 1", "(3,4), 0", "(2,3,4)t, -1", "(), 0", "(0,), 0", "(3,4)i, 1", "(3,4), 1, dtype=float64" },
    doc = "Running sums along a dim.", example = "torch.cumsum(torch.tensor{1, 2, 3}, 0)" }
op{ "cumprod(Tensor self, int dim, *, dtype? dtype=nil) -> Tensor", variants = "function method inplace out",
    grad = { self = "cumprod_backward(grad, conj(self), dim, conj(result))" },
    cases = { "(3,4), 1", "(3,4), 0", "(2,3,4)t, -1", "(), 0", "(3,4)i, 1" },
    doc = "Running products along a dim.", example = "torch.cumprod(torch.tensor{1, 2, 3}, 0)" }
op{ "cummax(Tensor self, int dim) -> (Tensor values, Tensor indices)", variants = "function method out",
    nondiff = "indices", grad = { self = "scatter_add(new_zeros(grad, self.shape), dim, indices, grad)" },
    cases = { "(3,4), 1", "(3,4), 0", "(2,3,4)t, -1", "(), 0", "(3,4)i, 1" },
    doc = "The largest element so far along a dim, and where it stands (the last of equals).",
    example = "torch.cummax(torch.tensor{1, 3, 2}, 0)" }
op{ "cummin(Tensor self, int dim) -> (Tensor values, Tensor indices)", variants = "function method out",
    nondiff = "indices", grad = { self = "scatter_add(new_zeros(grad, self.shape), dim, indices, grad)" },
    cases = { "(3,4), 1", "(3,4), 0", "(2,3,4)t, -1", "(), 0", "(3,4)i, 1" },
    doc = "The smallest element so far along a dim, and where it stands (the last of equals).",
    example = "torch.cummin(torch.tensor{3, 1, 2}, 0)" }
op{ "logcumsumexp(Tensor self, int dim) -> Tensor", variants = "function method out",
    grad = { self = "logcumsumexp_backward(grad, self, result, dim)" },
    cases = { "(3,4), 1", "(3,4), 0", "(2,3,4)t, -1", "(), 0" },
    doc = "log of the running sum of exp(x) along a dim, without overflow.",
    example = "torch.logcumsumexp(torch.tensor{1., 2., 3.}, 0)" }
op{ "diff(Tensor self, int n=1, int dim=-1, Tensor? prepend=nil, Tensor? append=nil) -> Tensor", variants = "function method out", kind = "composite",
    cases = { "(5,)", "(3,4), 2", "(3,4), 1, 0", "(3,4), 1, 1, (3,2), (3,1)", "(3,4)i" },
    doc = "The n-th differences of neighbours along a dim.", example = "torch.diff(torch.tensor{1, 4, 9})" }
op{ "trapezoid.x(Tensor y, Tensor x, *, int dim=-1) -> Tensor", variants = "function", kind = "composite",
    cases = { "(5,), (5,)", "(3,4), (4,)", "(3,4), (3,4), dim=0" },
    doc = "The integral of y over x along a dim by the trapezoid rule.",
    example = "torch.trapezoid(torch.tensor{1., 2., 3.}, torch.tensor{0., 1., 3.})", aliases = "trapz" }
op{ "trapezoid.dx(Tensor y, *, Scalar dx=1, int dim=-1) -> Tensor", variants = "function", kind = "composite",
    cases = { "(5,)", "(3,4), dx=0.5, dim=0" },
    doc = "The integral of equally spaced samples along a dim by the trapezoid rule.",
    example = "torch.trapezoid(torch.tensor{1., 2., 3.})", aliases = "trapz" }

-- --- sorting and selection --------------------------------------------------------------------------

op{ "sort(Tensor self, int dim=-1, bool descending=false) -> (Tensor values, Tensor indices)",
    variants = "function method out", nondiff = "indices",
    grad = { self = "pick_backward(grad, self.shape, dim, indices, true)" },
    cases = { "(3,4)d", "(3,4)d, 0", "(2,3,4)td, 1, true", "()", "(0,)", "(7,)d" },
    doc = "Sorted along a dim, and where each element stood. NaN is the largest. Equal elements keep their order.",
    example = "torch.sort(torch.tensor{3, 1, 2})" }
op{ "sort.stable(Tensor self, *, bool? stable, int dim=-1, bool descending=false) -> (Tensor values, Tensor indices)",
    variants = "function method out", nondiff = "indices",
    grad = { self = "pick_backward(grad, self.shape, dim, indices, true)" },
    cases = { "(3,4)i, stable=true", "(3,4)i, stable=true, dim=0, descending=true", "(6,)b, stable=true" },
    doc = "Sorted along a dim; equal elements keep their order.", example = "torch.sort(torch.tensor{3, 1, 3}, {stable = true})" }
op{ "argsort(Tensor self, int dim=-1, bool descending=false) -> Tensor", grad = "none",
    cases = { "(3,4)d", "(3,4)d, 0, true" },
    doc = "The indices that sort the tensor along a dim.", example = "torch.argsort(torch.tensor{3, 1, 2})" }
op{ "argsort.stable(Tensor self, *, bool stable, int dim=-1, bool descending=false) -> Tensor", grad = "none",
    cases = { "(3,4)i, stable=true", "(3,4)i, stable=true, dim=0, descending=true" },
    doc = "The indices that sort the tensor along a dim; equal elements keep their order.",
    example = "torch.argsort(torch.tensor{3, 1, 3}, {stable = true})" }
op{ "msort(Tensor self) -> Tensor", variants = "function method out", composite = "sort(self, 0, false)[0]",
    cases = { "(3,4)d", "(5,)d" },
    doc = "Sorted along the first dim.", example = "torch.msort(torch.tensor{3, 1, 2})" }
op{ "topk(Tensor self, int k, int dim=-1, bool largest=true, bool sorted=true) -> (Tensor values, Tensor indices)",
    variants = "function method out", nondiff = "indices",
    grad = { self = "pick_backward(grad, self.shape, dim, indices, true)" },
    cases = { "(3,4)d, 2", "(3,4)d, 2, 0, false", "(2,3,4)td, 3, -1, true", "(), 1", "(5,)d, 0" },
    doc = "The k largest (smallest) elements along a dim, in order, and where they stand.",
    example = "torch.topk(torch.tensor{3, 1, 2}, 2)" }
op{ "kthvalue(Tensor self, int k, int dim=-1, bool keepdim=false) -> (Tensor values, Tensor indices)",
    variants = "function method out", nondiff = "indices",
    grad = { self = "pick_backward(grad, self.shape, dim, indices, keepdim)" },
    cases = { "(3,4)d, 2", "(3,4)d, 3, 0", "(2,3,4)td, 1, 1, true", "(), 1" },
    doc = "The k-th smallest element along a dim (k counts from 1), and where it stands.",
    example = "torch.kthvalue(torch.tensor{3, 1, 2}, 2)" }
op{ "median(Tensor self) -> Tensor", grad = { self = "extreme_backward(grad, self, result, nil, false)" },
    cases = { "(3,4)d", "(5,)d", "()", "(3,3)i" },
    doc = "The median; of two in the middle the smaller. NaN when there is one.",
    example = "torch.median(torch.tensor{3, 1, 2})" }
op{ "median.dim(Tensor self, int dim, bool keepdim=false) -> (Tensor values, Tensor indices)",
    variants = "function method out", nondiff = "indices",
    grad = { self = "pick_backward(grad, self.shape, dim, indices, keepdim)" },
    cases = { "(3,4)d, 1", "(3,5)d, 0, true", "(2,3,4)td, -1", "(), 0" },
    doc = "The medians along a dim, and where they stand.", example = "torch.median(torch.tensor{{3, 1, 2}}, 1)" }
op{ "nanmedian(Tensor self) -> Tensor", grad = { self = "extreme_backward(grad, self, result, nil, false)" },
    cases = { "(3,4)d", "(5,)d", "()" },
    doc = "The median of the elements that are not NaN.", example = "torch.nanmedian(torch.tensor{3., 0/0, 2.})" }
op{ "nanmedian.dim(Tensor self, int dim, bool keepdim=false) -> (Tensor values, Tensor indices)",
    variants = "function method out", nondiff = "indices",
    grad = { self = "pick_backward(grad, self.shape, dim, indices, keepdim)" },
    cases = { "(3,4)d, 1", "(3,5)d, 0, true" },
    doc = "The medians along a dim without NaN, and where they stand.",
    example = "torch.nanmedian(torch.tensor{{3., 0/0, 2.}}, 1)" }
op{ "mode(Tensor self, int dim=-1, bool keepdim=false) -> (Tensor values, Tensor indices)",
    variants = "function method out", nondiff = "indices",
    grad = { self = "pick_backward(grad, self.shape, dim, indices, keepdim)" },
    cases = { "(3,6)<3", "(6,3)<3, 0, true", "()" },
    doc = "The most frequent value along a dim (the smallest of equally frequent), and where it stands last.",
    example = "torch.mode(torch.tensor{3, 1, 3})" }
for _, name in ipairs{ "quantile", "nanquantile" } do
  local what = name == "quantile" and "Quantiles" or "Quantiles, without NaN,"
  op{ name .. "(Tensor self, Tensor q, int? dim=nil, bool keepdim=false, *, str interpolation='linear') -> Tensor",
      autocast = "fp32", variants = "function method out", kind = "composite", cases = { "(3,4), (2,)ug", "(3,4), (3,)ug, 1", "(3,5), ()ug, 0, true" },
      doc = what .. " q (in [0, 1]) over a dim or all; interpolation is linear, lower, higher, midpoint or nearest.",
      example = "torch." .. name .. "(torch.tensor{1., 2., 4.}, torch.tensor{0.5, 1.})" }
  op{ name .. ".scalar(Tensor self, float q, int? dim=nil, bool keepdim=false, *, str interpolation='linear') -> Tensor",
      autocast = "fp32", variants = "function method out", kind = "composite", cases = { "(3,4), 0.3", "(3,4), 0.5, 1", "(3,5), 0.7, 0, true",
        "(3,4), 0.3, interpolation='nearest'", "(3,4), 0.3, interpolation='midpoint'" },
      doc = what .. " q (in [0, 1]) over a dim or all.", example = "torch." .. name .. "(torch.tensor{1., 2., 4.}, 0.5)" }
end

-- --- sets, counts, search ---------------------------------------------------------------------------

op{ "_unique2(Tensor self, bool sorted=true, bool return_inverse=false, bool return_counts=false) -> (Tensor output, Tensor inverse, Tensor counts)",
    variants = "function", grad = "none",
    doc = "The distinct values in order, each element's place among them, and their counts: torch.unique without dim.",
    example = "torch._unique2(torch.tensor{3, 1, 3})" }
op{ "unique_dim(Tensor self, int dim, bool sorted=true, bool return_inverse=false, bool return_counts=false) -> (Tensor output, Tensor inverse, Tensor counts)",
    variants = "function", grad = "none",
    doc = "The distinct slices of a dim in order, each slice's place among them, and their counts: torch.unique with dim.",
    example = "torch.unique_dim(torch.tensor{{3, 1}, {3, 1}}, 0)" }
op{ "_unique_consecutive(Tensor self, bool return_inverse=false, bool return_counts=false, int? dim=nil) -> (Tensor output, Tensor inverse, Tensor counts)",
    variants = "function", grad = "none",
    doc = "Runs of equal values (or slices of dim) as one each, each element's run, and the runs' lengths: torch.unique_consecutive.",
    example = "torch._unique_consecutive(torch.tensor{1, 1, 2, 1})" }
op{ "bincount(Tensor self, Tensor? weights=nil, int minlength=0) -> Tensor", grad = "none",
    cases = { "(8,)<4", "(8,)<4, (8,)", "(8,)<4, nil, 6", "(0,)<3" },
    doc = "How often each value of a 1-d tensor of non-negative integers occurs, or the sums of their weights.",
    example = "torch.bincount(torch.tensor{0, 1, 1, 3})" }
op{ "histc(Tensor self, int bins=100, Scalar min=0, Scalar max=0) -> Tensor", variants = "function method out",
    grad = "none", cases = { "(30,), 5", "(3,10), 4, -1, 1", "(0,), 3" },
    doc = "Counts of elements in equal bins from min to max (both 0: the elements' own range).",
    example = "torch.histc(torch.tensor{1., 2., 1.}, 4, 0, 3)" }
op{ "searchsorted.Tensor(Tensor sorted_sequence, Tensor self, *, bool out_int32=false, bool right=false, str? side=nil, Tensor? sorter=nil) -> Tensor",
    variants = "function out", grad = "none", cases = { "(5,)<4, (3,)<5" },
    doc = "Where values belong in sorted rows so that they stay sorted; right: after equal elements.",
    example = "torch.searchsorted(torch.tensor{1, 3, 5}, torch.tensor{2, 5})" }
op{ "searchsorted.Scalar(Tensor sorted_sequence, Scalar self, *, bool out_int32=false, bool right=false, str? side=nil, Tensor? sorter=nil) -> Tensor",
    variants = "function", kind = "composite",
    doc = "Where a number belongs in a sorted sequence.", example = "torch.searchsorted(torch.tensor{1, 3, 5}, 4)" }
op{ "bucketize.Tensor(Tensor self, Tensor boundaries, *, bool out_int32=false, bool right=false) -> Tensor",
    variants = "function out", kind = "composite",
    doc = "The bucket between sorted boundaries that each element falls in; right: a bucket holds its lower bound.",
    example = "torch.bucketize(torch.tensor{3, 6}, torch.tensor{1, 3, 5})" }
op{ "bucketize.Scalar(Scalar self, Tensor boundaries, *, bool out_int32=false, bool right=false) -> Tensor",
    variants = "function out", kind = "composite",
    doc = "The bucket between sorted boundaries that a number falls in.",
    example = "torch.bucketize(4, torch.tensor{1, 3, 5})" }
op{ "isin.Tensor_Tensor(Tensor elements, Tensor test_elements, *, bool assume_unique=false, bool invert=false) -> Tensor",
    variants = "function out", grad = "none", cases = { "(3,4)i, (5,)i", "(3,4)i, (0,)i", "(3,4)i, (5,)i, invert=true" },
    doc = "Which elements occur among test_elements.", example = "torch.isin(torch.tensor{1, 2, 3}, torch.tensor{2, 5})" }
op{ "isin.Tensor_Scalar(Tensor elements, Scalar test_element, *, bool assume_unique=false, bool invert=false) -> Tensor",
    variants = "function out", composite = "invert ? ne(elements, test_element) : eq(elements, test_element)",
    cases = { "(3,4)i, 2", "(3,4)i, 2, invert=true" },
    doc = "Which elements equal a number.", example = "torch.isin(torch.tensor{1, 2, 3}, 2)" }
op{ "cov(Tensor self, *, int correction=1, Tensor? fweights=nil, Tensor? aweights=nil) -> Tensor", kind = "composite",
    cases = { "(3,6)", "(6,)", "(3,6), correction=0" },
    doc = "The covariance matrix of variables in rows, observations in columns.",
    example = "torch.cov(torch.tensor{{0., 1., 2.}, {2., 1., 0.}})" }
op{ "corrcoef(Tensor self) -> Tensor", kind = "composite", cases = { "(3,6)", "(6,)" },
    doc = "The correlation coefficients of variables in rows.",
    example = "torch.corrcoef(torch.tensor{{0., 1., 2.}, {2., 1., 0.}})" }
