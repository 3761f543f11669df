-- Matrix products and contractions. Decompositions and solvers are in lapack.lua.

-- --- helpers of derivatives -------------------------------------------------------------------------

op{ "scale_by(Tensor self, Scalar factor) -> Tensor", variants = "internal", kind = "composite" }
op{ "grad_scale(Tensor self, Scalar factor) -> Tensor", variants = "internal", kind = "composite" } -- by conj(factor)
op{ "mat_adjoint(Tensor self) -> Tensor", variants = "internal", kind = "composite" }
op{ "linear_grad_input(Tensor grad, Tensor weight) -> Tensor", variants = "internal", kind = "composite" }
op{ "linear_grad_weight(Tensor grad, Tensor input, int weight_ndim) -> Tensor", variants = "internal",
    kind = "composite" }
op{ "linear_grad_bias(Tensor grad, int[] sizes) -> Tensor", variants = "internal", kind = "composite" }

-- --- two operands -----------------------------------------------------------------------------------

op{ "mm(Tensor self, Tensor mat2) -> Tensor", autocast = "lower_precision_fp", variants = "function method out",
    grad = { self = "mm(grad, mat_adjoint(mat2))", mat2 = "mm(mat_adjoint(self), grad)" },
    cases = { "(3,4), (4,5)", "(3,4)t, (4,5)", "(3,4), (4,5)t", "(3,4)t, (4,5)t", "(0,4), (4,5)", "(3,0), (0,5)",
              "(3,4)i, (4,5)i", "(1,4), (4,1)" },
    doc = "The product of two matrices.", example = "torch.mm(torch.ones(2, 3), torch.ones(3, 4))" }
op{ "bmm(Tensor self, Tensor mat2) -> Tensor", autocast = "lower_precision_fp", variants = "function method out",
    grad = { self = "bmm(grad, mat_adjoint(mat2))", mat2 = "bmm(mat_adjoint(self), grad)" },
    cases = { "(2,3,4), (2,4,5)", "(2,3,4)t, (2,4,5)t", "(0,3,4), (0,4,5)", "(2,3,0), (2,0,5)", "(2,3,4)i, (2,4,5)i" },
    doc = "The products of two batches of matrices.",
    example = "torch.bmm(torch.ones(2, 3, 4), torch.ones(2, 4, 5)).shape" }
op{ "mv(Tensor self, Tensor vec) -> Tensor", variants = "function method out",
    grad = { self = "outer(grad, conj(vec))", vec = "mv(mat_adjoint(self), grad)" },
    cases = { "(3,4), (4)", "(3,4)t, (4)", "(3,0), (0)", "(3,4)i, (4)i" },
    doc = "The product of a matrix and a vector.", example = "torch.mv(torch.ones(2, 3), torch.ones(3))" }
op{ "dot(Tensor self, Tensor tensor) -> Tensor", variants = "function method out",
    grad = { self = "grad * conj(tensor)", tensor = "grad * conj(self)" },
    cases = { "(4), (4)", "(0), (0)", "(4)i, (4)i" },
    doc = "The sum of the products of two vectors' elements.",
    example = "torch.dot(torch.tensor{1., 2.}, torch.tensor{3., 4.})" }
op{ "vdot(Tensor self, Tensor other) -> Tensor", variants = "function method out",
    grad = { self = "conj(grad) * other", other = "grad * self" },
    cases = { "(4), (4)", "(0), (0)" },
    doc = "dot with self conjugated.", example = "torch.vdot(torch.tensor{1., 2.}, torch.tensor{3., 4.})" }
op{ "matmul(Tensor self, Tensor other) -> Tensor", autocast = "lower_precision_fp", variants = "function method out", kind = "composite",
    cases = { "(4), (4)", "(3,4), (4)", "(4), (4,5)", "(3,4), (4,5)", "(2,3,4), (4,5)", "(2,3,4), (4)", "(3,4), (2,4,5)",
              "(4), (2,4,5)", "(2,3,4), (2,4,5)", "(2,1,3,4), (5,4,6)", "(2,3,4)t, (2,4,5)t", "(0,3,4), (4,5)",
              "(2,3,4)i, (4,5)i" },
    doc = "The product over the last dim of self and the last but one of other; leading dims are batches and broadcast.",
    example = "torch.matmul(torch.ones(2, 3, 4), torch.ones(4, 5)).shape" }
op{ "inner(Tensor self, Tensor other) -> Tensor", variants = "function method out", kind = "composite",
    cases = { "(4), (4)", "(2,4), (3,4)", "(), (3,4)", "(2,3,4), (5,4)" },
    doc = "Sums of products over the last dims of both.", example = "torch.inner(torch.ones(2, 3), torch.ones(4, 3)).shape" }
op{ "outer(Tensor self, Tensor vec2) -> Tensor", variants = "function method out", kind = "composite", aliases = "ger",
    cases = { "(3), (4)", "(0), (4)", "(3)i, (4)i" },
    doc = "All products of an element of self and one of vec2.",
    example = "torch.outer(torch.tensor{1., 2.}, torch.tensor{3., 4., 5.})" }
op{ "tensordot(Tensor self, Tensor other, int dims=2) -> Tensor", variants = "function", kind = "composite",
    cases = { "(2,3,4), (3,4,5)", "(2,3), (3,4), 1", "(2), (3), 0" },
    doc = "Sums of products over the last dims of self and the first of other.",
    example = "torch.tensordot(torch.ones(2, 3, 4), torch.ones(3, 4, 5)).shape" }
op{ "tensordot.dims(Tensor self, Tensor other, int[] dims_self, int[] dims_other) -> Tensor", variants = "function out",
    kind = "composite",
    doc = "Sums of products over the listed dims of self and of other, in pairs.",
    example = "torch.tensordot(torch.ones(2, 3), torch.ones(4, 3), {1}, {1}).shape" }
op{ "kron(Tensor self, Tensor other) -> Tensor", variants = "function method out", kind = "composite",
    cases = { "(2,3), (3,2)", "(2), (3,2)", "(2,2)i, (3)i" },
    doc = "The Kronecker product: each element of self times all of other.",
    example = "torch.kron(torch.tensor{1., 10.}, torch.ones(2, 2))" }
op{ "linear(Tensor input, Tensor weight, Tensor? bias=nil) -> Tensor", module = "nn.functional", variants = "function",
    autocast = "lower_precision_fp", tells_recording = true,
    grad = { input = "linear_grad_input(grad, weight)",
             weight = "linear_grad_weight(grad, input, weight.ndim)",
             bias = "linear_grad_bias(grad, bias.shape)" },
    cases = { "(3,4), (5,4), (5)", "(3,4), (5,4)", "(4), (5,4), (5)", "(2,3,4), (5,4), (5)", "(2,3,4)t, (5,4)t, (5)",
              "(3,4), (4)", "(0,4), (5,4), (5)", "(2,3,4), (5,4)" },
    doc = "input times the transposed weight, plus bias: input (..., in), weight (out, in), bias (out).",
    example = "F.linear(torch.ones(2, 3), torch.ones(4, 3), torch.zeros(4))" }

-- --- with an addend -----------------------------------------------------------------------------------

op{ "addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    autocast = "lower_precision_fp", variants = "function method inplace out",
    grad = { self = "grad_scale(sum_to_size(grad, self.shape), beta)",
             mat1 = "grad_scale(mm(grad, mat_adjoint(mat2)), alpha)", mat2 = "grad_scale(mm(mat_adjoint(mat1), grad), alpha)" },
    cases = { "(3,5), (3,4), (4,5)", "(5), (3,4), (4,5)", "(3,1), (3,4)t, (4,5)t, beta=0.5, alpha=2.0",
              "(3,5), (3,0), (0,5), beta=2", "(3,5)i, (3,4)i, (4,5)i, alpha=2" },
    doc = "beta * self + alpha * (mat1 times mat2). With beta = 0, self is not looked at.",
    example = "torch.addmm(torch.zeros(2, 4), torch.ones(2, 3), torch.ones(3, 4))" }
op{ "addmv(Tensor self, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    variants = "function method inplace out",
    grad = { self = "grad_scale(sum_to_size(grad, self.shape), beta)", mat = "grad_scale(outer(grad, conj(vec)), alpha)",
             vec = "grad_scale(mv(mat_adjoint(mat), grad), alpha)" },
    cases = { "(3), (3,4), (4)", "(1), (3,4)t, (4), beta=0.5, alpha=2.0", "(3), (3,0), (0)" },
    doc = "beta * self + alpha * (mat times vec).",
    example = "torch.addmv(torch.zeros(2), torch.ones(2, 3), torch.ones(3))" }
op{ "addr(Tensor self, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    variants = "function method inplace out",
    grad = { self = "grad_scale(sum_to_size(grad, self.shape), beta)", vec1 = "grad_scale(mv(grad, conj(vec2)), alpha)",
             vec2 = "grad_scale(mv(t(grad), conj(vec1)), alpha)" },
    cases = { "(3,4), (3), (4)", "(3,4), (3), (4), beta=0.5, alpha=2.0", "(4), (3), (4)" },
    doc = "beta * self + alpha * outer(vec1, vec2).",
    example = "torch.addr(torch.zeros(2, 3), torch.ones(2), torch.ones(3))" }
op{ "baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    autocast = "lower_precision_fp", variants = "function method inplace out",
    grad = { self = "grad_scale(sum_to_size(grad, self.shape), beta)",
             batch1 = "grad_scale(bmm(grad, mat_adjoint(batch2)), alpha)",
             batch2 = "grad_scale(bmm(mat_adjoint(batch1), grad), alpha)" },
    cases = { "(2,3,5), (2,3,4), (2,4,5)", "(5), (2,3,4)t, (2,4,5), beta=0.5, alpha=2.0", "(2,3,5), (2,3,0), (2,0,5)" },
    doc = "beta * self + alpha * bmm(batch1, batch2).",
    example = "torch.baddbmm(torch.zeros(2, 3, 5), torch.ones(2, 3, 4), torch.ones(2, 4, 5)).shape" }
op{ "addbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    autocast = "lower_precision_fp", variants = "function method inplace out",
    grad = { self = "grad_scale(sum_to_size(grad, self.shape), beta)",
             batch1 = "grad_scale(matmul(grad, mat_adjoint(batch2)), alpha)",
             batch2 = "grad_scale(matmul(mat_adjoint(batch1), grad), alpha)" },
    cases = { "(3,5), (2,3,4), (2,4,5)", "(3,5), (2,3,4), (2,4,5), beta=0.5, alpha=2.0", "(3,5), (0,3,4), (0,4,5)" },
    doc = "beta * self + alpha * the sum of the batch of products.",
    example = "torch.addbmm(torch.zeros(3, 5), torch.ones(2, 3, 4), torch.ones(2, 4, 5))" }

-- --- chains and sums ------------------------------------------------------------------------------------

op{ "multi_dot(Tensor[] tensors) -> Tensor", module = "linalg", variants = "function out", kind = "composite",
    cases = { "[(2,3), (3,4), (4,5)]", "[(3), (3,4), (4)]", "[(2,3), (3,4)]" },
    doc = "The product of several matrices (the first and last may be vectors) in the cheapest order.",
    example = "torch.linalg.multi_dot{torch.ones(2, 3), torch.ones(3, 4), torch.ones(4, 5)}" }
op{ "chain_matmul(Tensor[] matrices) -> Tensor", variants = "function out", kind = "composite",
    cases = { "[(2,3), (3,4), (4,5)]" },
    doc = "The product of several matrices in the cheapest order.",
    example = "torch.chain_matmul{torch.ones(2, 3), torch.ones(3, 4), torch.ones(4, 5)}" }
op{ "matrix_power(Tensor self, int n) -> Tensor", module = "linalg", variants = "function out", kind = "composite",
    cases = { "(3,3), 3", "(2,3,3), 2", "(3,3), 0", "(3,3), 1", "(3,3)s, -2" },
    doc = "The n-th power of a square matrix; of its inverse when n < 0.",
    example = "torch.linalg.matrix_power(torch.tensor{{1., 1.}, {0., 1.}}, 5)" }
op{ "matrix_power(Tensor self, int n) -> Tensor", composite = "linalg_matrix_power(self, n)", cases = { "(3,3), 3" },
    doc = "The n-th power of a square matrix; of its inverse when n < 0.",
    example = "torch.matrix_power(torch.tensor{{1., 1.}, {0., 1.}}, 5)" }
op{ "einsum(str equation, Tensor[] tensors) -> Tensor", variants = "function", kind = "composite",
    cases = { "'ij,jk->ik', [(2,3), (3,4)]", "'ii', [(3,3)]", "'ii->i', [(3,3)]", "'bij,bjk->bik', [(2,3,4), (2,4,5)]",
              "'ij->ji', [(2,3)]", "'i,j->ij', [(3), (4)]", "'...ij,...jk', [(2,3,4), (4,5)]", "'bn,anm,bm->ba', [(2,3), (5,3,4), (2,4)]",
              "'ij,ij->', [(2,3), (2,3)]", "'bhqd,bhkd->bhqk', [(2,2,3,4), (2,2,5,4)]", "'ij,jk,kl->il', [(2,3), (3,4), (4,2)]" },
    doc = "Sums of products by labelled dims: labels not in the result are summed over.",
    example = "torch.einsum('ij,jk->ik', {torch.ones(2, 3), torch.ones(3, 4)})" }
