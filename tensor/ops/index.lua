-- Selecting, gathering, scattering and masking by indices; triangles and diagonals.

-- --- rows of a dim ----------------------------------------------------------------------------------

op{ "index_select(Tensor self, int dim, Tensor index) -> Tensor", variants = "function method out",
    grad = { self = "index_add(new_zeros(grad, self.shape), dim, index, grad)" },
    cases = { "(3,4), 0, (5,)<3", "(3,4), 1, (2,)<4", "(2,3,4)t, -1, (3,)<2", "(3,4), 0, (0,)<3", "(), 0, (1,)<1",
              "(3,4)i, 1, ()<4" },
    doc = "The slices of a dim that a 1-d tensor of indices names.",
    example = "torch.eye(3):index_select(0, torch.tensor{2, 0})" }
op{ "index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor",
    variants = "function method inplace out",
    grad = { self = "grad", source = "sum_to_size(index_select(grad, dim, index) * alpha, source.shape)" },
    cases = { "(3,4), 0, (5,)<3, (5,4)", "(3,4), 1, (2,)<4, (3,2), alpha=2", "(2,3,4)t, 1, (3,)<3, (2,3,4)",
              "(3,4)i, 0, (2,)<3, (2,4)i" },
    doc = "Adds the slices of source, times alpha, to the slices of self that index names.",
    example = "torch.zeros(3, 2):index_add(0, torch.tensor{0, 0, 2}, torch.ones(3, 2))" }
op{ "index_copy(Tensor self, int dim, Tensor index, Tensor source) -> Tensor",
    autocast = "promote", variants = "function method inplace out",
    grad = { self = "index_fill_int_scalar(grad, dim, index, 0)", source = "sum_to_size(index_select(grad, dim, index), source.shape)" },
    cases = { "(4,3), 0, (1,)<4, (1,3)", "(3,4), 1, (1,)<4, (3,1)" },
    doc = "Copies the slices of source over the slices of self that index names.",
    example = "torch.zeros(3, 2):index_copy(0, torch.tensor{2}, torch.ones(1, 2))" }
op{ "index_fill.int_Scalar(Tensor self, int dim, Tensor index, Scalar value) -> Tensor",
    variants = "function method inplace",
    grad = { self = "index_fill_int_scalar(grad, dim, index, 0)" },
    cases = { "(4,3), 0, (2,)<4, 2.5", "(3,4)t, 1, (2,)<3, -1", "(3,4)i, 0, (1,)<3, 7" },
    doc = "Fills the slices of a dim that index names with a number.",
    example = "torch.zeros(3, 2):index_fill(0, torch.tensor{0, 2}, 1)" }
op{ "index_fill.int_Tensor(Tensor self, int dim, Tensor index, Tensor value) -> Tensor",
    variants = "function method inplace",
    grad = { self = "index_fill_int_scalar(grad, dim, index, 0)", value = "sum(grad - index_fill_int_scalar(grad, dim, index, 0))" },
    cases = { "(4,3), 0, (1,)<4, ()", "(4,3), 1, (5,)<3, ()" },
    doc = "Fills the slices of a dim that index names with a 0-d tensor's value.",
    example = "torch.zeros(3, 2):index_fill(0, torch.tensor{0, 2}, torch.tensor(1.))" }
op{ "index_reduce(Tensor self, int dim, Tensor index, Tensor source, str reduce, *, bool include_self=true) -> Tensor",
    kind = "composite", variants = "function method inplace out",
    cases = { "(3,4), 0, (5,)<3, (5,4), 'mean'", "(3,4), 1, (2,)<4, (3,2), 'amax'", "(3,4), 0, (2,)<3, (2,4), 'prod'" },
    doc = "Reduces ('prod', 'mean', 'amax', 'amin') the slices of source into the slices of self that index names.",
    example = "torch.ones(3, 2):index_reduce(0, torch.tensor{0, 0}, torch.full({2, 2}, 3.), 'prod')" }

-- --- element by element along a dim -----------------------------------------------------------------

op{ "gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=false) -> Tensor",
    variants = "function method out",
    grad = { self = "scatter_add(new_zeros(grad, self.shape), dim, index, grad)" },
    cases = { "(3,4), 0, (2,4)<3", "(3,4), 1, (3,2)<4", "(2,3,4)t, 2, (2,3,5)<4", "(), 0, ()<1", "(3,4)i, 1, (1,1)<4" },
    doc = "out[i][j] = self[index[i][j]][j] for dim 0, and so on for the other dims.",
    example = "torch.gather(torch.tensor{{1, 2}, {3, 4}}, 1, torch.tensor{{0}, {1}})" }
op{ "take_along_dim(Tensor self, Tensor indices, int? dim=nil) -> Tensor", kind = "composite",
    variants = "function method out",
    cases = { "(3,4), (3,2)<4, 1", "(3,4), (1,4)<3, 0", "(3,4), (5,)<12" },
    doc = "gather with broadcasting; without dim, elements of the flattened tensor.",
    example = "torch.take_along_dim(torch.tensor{{3, 1}, {5, 7}}, torch.tensor{{1}, {0}}, 1)" }
op{ "scatter.src(Tensor self, int dim, Tensor index, Tensor src) -> Tensor", variants = "function method inplace out",
    grad = { self = "scatter_value(grad, dim, index, 0)", src = "gather_padded(grad, dim, index, src.shape)" },
    cases = { "(3,4), 0, (1,4)<3, (1,4)", "(3,4), 1, (3,1)<4, (3,2)", "(4,)t, 0, (1,)<4, (1,)" },
    doc = "Writes src's elements to self[index[i][j]][j] for dim 0, and so on.",
    example = "torch.zeros(2, 2):scatter(1, torch.tensor{{1}, {0}}, torch.ones(2, 1))" }
op{ "scatter.value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor",
    variants = "function method inplace out",
    grad = { self = "scatter_value(grad, dim, index, 0)" },
    cases = { "(3,4), 0, (2,4)<3, 1.5", "(3,4), 1, (3,2)<4, 2", "(3,4)i, 1, (3,2)<4, 2" },
    doc = "Writes a number to self[index[i][j]][j] for dim 0, and so on.",
    example = "torch.zeros(2, 3):scatter(1, torch.tensor{{1}, {2}}, 1)" }
op{ "scatter.reduce(Tensor self, int dim, Tensor index, Tensor src, *, str reduce) -> Tensor",
    variants = "function method inplace out", grad = "none",
    cases = { "(3,4)g, 0, (5,4)<3, (5,4)g, reduce='add'", "(3,4)g, 1, (3,6)<4, (3,6)g, reduce='multiply'" },
    doc = "Adds or multiplies ('add', 'multiply') src's elements into self[index[i][j]][j]; no gradient.",
    example = "torch.ones(1, 2):scatter(1, torch.tensor{{0, 0}}, torch.full({1, 2}, 3.), {reduce = 'add'})" }
op{ "scatter.value_reduce(Tensor self, int dim, Tensor index, Scalar value, *, str reduce) -> Tensor",
    variants = "function method inplace out", grad = "none",
    cases = { "(3,4)g, 0, (5,4)<3, 2, reduce='add'", "(3,4)g, 1, (3,6)<4, 3, reduce='multiply'" },
    doc = "Adds or multiplies a number into self[index[i][j]][j]; no gradient.",
    example = "torch.ones(1, 2):scatter(1, torch.tensor{{0, 0}}, 2, {reduce = 'multiply'})" }
op{ "scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor", variants = "function method inplace out",
    grad = { self = "grad", src = "gather_padded(grad, dim, index, src.shape)" },
    cases = { "(3,4), 0, (5,4)<3, (5,4)", "(3,4), 1, (3,6)<4, (3,6)", "(3,4), 1, (2,3)<4, (3,6)", "(3,4)i, 0, (2,4)<3, (2,4)i",
              "(), 0, ()<1, ()" },
    doc = "Adds src's elements to self[index[i][j]][j] for dim 0, and so on.",
    example = "torch.zeros(1, 2):scatter_add(1, torch.tensor{{0, 0, 1}}, torch.ones(1, 3))" }
op{ "scatter_reduce.two(Tensor self, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=true) -> Tensor",
    variants = "function method inplace out",
    grad = { self = "scatter_reduce_backward_self(grad, self, dim, index, src, reduce, include_self, result)",
             src = "scatter_reduce_backward_src(grad, self, dim, index, src, reduce, include_self, result)" },
    cases = { "(3,4), 0, (5,4)<3, (5,4), 'sum'", "(3,4), 0, (5,4)<3, (5,4), 'mean'", "(3,4), 1, (3,6)<4, (3,6), 'prod'",
              "(3,4), 1, (3,6)<4, (3,6), 'amax'", "(3,4), 1, (3,6)<4, (3,6), 'amin', include_self=false",
              "(3,4), 0, (5,4)<3, (5,4), 'mean', include_self=false" },
    doc = "Reduces ('sum', 'prod', 'mean', 'amax', 'amin') src's elements into self[index[i][j]][j].",
    example = "torch.ones(1, 2):scatter_reduce(1, torch.tensor{{0, 0}}, torch.full({1, 2}, 3.), 'sum')" }
op{ "gather_padded(Tensor self, int dim, Tensor index, int[] sizes) -> Tensor", variants = "internal",
    kind = "composite" }
op{ "scatter_reduce_backward_self(Tensor grad, Tensor self, int dim, Tensor index, Tensor src, str reduce, bool include_self, Tensor result) -> Tensor",
    variants = "internal", kind = "composite" }
op{ "scatter_reduce_backward_src(Tensor grad, Tensor self, int dim, Tensor index, Tensor src, str reduce, bool include_self, Tensor result) -> Tensor",
    variants = "internal", kind = "composite" }

-- --- flat indices -----------------------------------------------------------------------------------

op{ "take(Tensor self, Tensor index) -> Tensor", variants = "function method out",
    grad = { self = "put(new_zeros(grad, self.shape), index, grad, true)" },
    cases = { "(3,4), (5,)<12", "(3,4)t, (2,3)<12", "(3,4), ()<12", "(3,4), (0,)<12" },
    doc = "Elements of the flattened tensor; the result has index's shape.",
    example = "torch.take(torch.tensor{{4, 3}, {2, 1}}, torch.tensor{0, 3})" }
op{ "put(Tensor self, Tensor index, Tensor source, bool accumulate=false) -> Tensor",
    variants = "function method inplace",
    grad = { self = "accumulate ? grad : put(grad, index, new_zeros(grad, index.shape), false)",
             source = "reshape(take(grad, index), source.shape)" },
    cases = { "(3,4), (1,)<12, (1,)", "(3,4), (5,)<12, (5,), true", "(3,4)t, (2,3)<12, (2,3), true" },
    doc = "Writes (or adds, when accumulate) source's elements to the flattened tensor's elements that index names.",
    example = "torch.zeros(2, 2):put(torch.tensor{0, 3}, torch.tensor{1., 2.})" }

-- --- index tuples -----------------------------------------------------------------------------------

op{ "index(Tensor self, Tensor?[] indices) -> Tensor", variants = "internal",
    grad = { self = "index_put(new_zeros(grad, self.shape), indices, grad, true)" },
    cases = { "(3,4), [(2,)<3]" } }
op{ "index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=false) -> Tensor",
    variants = "function method inplace",
    grad = { self = "accumulate ? grad : index_put(grad, indices, new_zeros(grad, []), false)",
             values = "sum_to_size(index(grad, indices), values.shape)" },
    cases = { "(4,3), [(1,)<4], (3,)", "(4,3), [(5,)<4], (5,3), true", "(4,3), [(5,)<4, (5,)<3], (), true" },
    doc = "Writes (or adds, when accumulate) values to the elements that a list of index tensors names, as x[indices] = values.",
    example = "torch.zeros(3):index_put({torch.tensor{0, 2}}, torch.tensor{1., 2.})" }

-- --- masks ------------------------------------------------------------------------------------------

op{ "masked_select(Tensor self, Tensor mask) -> Tensor", variants = "function method out", kind = "composite",
    cases = { "(3,4), (3,4)b", "(3,4)t, (4,)b", "(4,), (3,4)b" },
    doc = "The elements where the mask is true, as a 1-d tensor.",
    example = "torch.masked_select(torch.tensor{1, 2, 3}, torch.tensor{true, false, true})" }
op{ "masked_scatter(Tensor self, Tensor mask, Tensor source) -> Tensor", variants = "function method inplace",
    grad = { self = "sum_to_size(masked_fill(grad, mask, 0), self.shape)",
             source = "masked_scatter_backward(grad, mask, source.shape)" },
    cases = { "(3,4), (3,4)b, (12,)", "(3,4)t, (4,)b, (4,3)" },
    doc = "Writes source's elements, in order, where the mask is true.",
    example = "torch.zeros(3):masked_scatter(torch.tensor{true, false, true}, torch.tensor{1., 2.})" }
op{ "masked_scatter_backward(Tensor grad, Tensor mask, int[] sizes) -> Tensor", variants = "internal",
    kind = "composite" }
op{ "nonzero(Tensor self) -> Tensor", variants = "function method out", grad = "none", aliases = "argwhere",
    cases = { "(3,4)b", "(3,4)it", "()b", "(0,3)", "(5,)<2" },
    doc = "The indices of the elements that are not 0, one row for each.",
    example = "torch.nonzero(torch.tensor{0, 5, 0, 7})" }
op{ "nonzero_numpy(Tensor self) -> Tensor[]", variants = "internal", grad = "none" }
op{ "where.condition(Tensor condition) -> Tensor[]", variants = "function", grad = "none",
    impl = "lp_impl_nonzero_numpy",
    doc = "The indices of the elements that are not 0, one 1-d tensor for each dim.",
    example = "torch.where(torch.tensor{0, 5, 0, 7})" }

-- --- triangles and diagonals ------------------------------------------------------------------------

op{ "tril(Tensor self, int diagonal=0) -> Tensor", variants = "function method inplace out",
    grad = { self = "tril(grad, diagonal)" },
    cases = { "(3,4)", "(4,3), 1", "(2,3,3)t, -1", "(3,4)i", "(3,3)b", "(0,3)" },
    doc = "The lower triangle of matrices; the rest is 0.", example = "torch.tril(torch.ones(3, 3))" }
op{ "triu(Tensor self, int diagonal=0) -> Tensor", variants = "function method inplace out",
    grad = { self = "triu(grad, diagonal)" },
    cases = { "(3,4)", "(4,3), 1", "(2,3,3)t, -1", "(3,4)i", "(3,3)b", "(0,3)" },
    doc = "The upper triangle of matrices; the rest is 0.", example = "torch.triu(torch.ones(3, 3))" }
op{ "diag(Tensor self, int diagonal=0) -> Tensor", variants = "function method out", kind = "composite",
    cases = { "(3,)", "(3,), 1", "(3,4)", "(3,4), -1", "(0,)" },
    doc = "A matrix with the vector on its diagonal, or the diagonal of a matrix.",
    example = "torch.diag(torch.tensor{1, 2})" }
op{ "diag_embed(Tensor self, int offset=0, int dim1=-2, int dim2=-1) -> Tensor",
    grad = { self = "diagonal(grad, offset, dim1, dim2)" },
    cases = { "(3,)", "(2,3), 1", "(2,3), -1, 0, 2", "(2,3)t" },
    doc = "Matrices (dims dim1 and dim2) with the last dim's vectors on a diagonal.",
    example = "torch.diag_embed(torch.tensor{1, 2})" }
op{ "diagflat(Tensor self, int offset=0) -> Tensor", composite = "diag_embed(reshape(self, [-1]), offset)",
    cases = { "(2,2)", "(3,), 1" },
    doc = "A matrix with the flattened elements on its diagonal.", example = "torch.diagflat(torch.tensor{{1, 2}, {3, 4}})" }
op{ "fill_diagonal(Tensor self, Scalar fill_value, bool wrap=false) -> Tensor", variants = "inplace",
    grad = { self = "fill_diagonal_zero(grad, wrap)" },
    doc = "Fills the main diagonal in place; wrap starts anew below a square in tall matrices.",
    example = "torch.zeros(3, 3):fill_diagonal_(1)" }
op{ "fill_diagonal_zero(Tensor self, bool wrap) -> Tensor", variants = "internal",
    grad = { self = "fill_diagonal_zero(grad, wrap)" } }
op{ "select_scatter(Tensor self, Tensor src, int dim, int index) -> Tensor",
    grad = { self = "select_scatter(grad, new_zeros(grad, src.shape), dim, index)", src = "select(grad, dim, index)" },
    cases = { "(3,4), (4,), 0, 1", "(3,4), (3,), 1, -1" },
    doc = "A copy of self with self:select(dim, index) replaced by src.",
    example = "torch.zeros(2, 2):select_scatter(torch.ones(2), 0, 1)" }
op{ "slice_scatter(Tensor self, Tensor src, int dim=0, int? start=nil, int? end=nil, int step=1) -> Tensor",
    variants = "function method out", grad = { self = "slice_scatter(grad, new_zeros(grad, src.shape), dim, start, end, step)",
             src = "slice(grad, dim, start, end, step)" },
    cases = { "(5,3), (2,3), 0, 1, 3", "(3,6), (3,3), 1, 0, 6, 2" },
    doc = "A copy of self with the slice start:end:step of a dim replaced by src.",
    example = "torch.zeros(4, 2):slice_scatter(torch.ones(2, 2), 0, 1, 3)" }
op{ "diagonal_scatter(Tensor self, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor",
    grad = { self = "diagonal_scatter(grad, new_zeros(grad, src.shape), offset, dim1, dim2)",
             src = "diagonal(grad, offset, dim1, dim2)" },
    cases = { "(3,3), (3,)", "(3,4), (3,), 1", "(2,3,3), (2,3), 0, 1, 2" },
    doc = "A copy of self with a diagonal replaced by src.", example = "torch.zeros(2, 2):diagonal_scatter(torch.ones(2))" }
op{ "one_hot(Tensor self, int num_classes=-1) -> Tensor", module = "nn.functional", variants = "function",
    grad = "none", cases = { "(3,)<4", "(2,3)<4, 5", "()<3, 3" },
    doc = "Class indices as rows of 0 with a 1 at the class; num_classes -1 means the largest index + 1.",
    example = "F.one_hot(torch.tensor{0, 2, 1})" }
