-- Shapes and memory: views, joining and splitting, rearranging, copies and conversions.

-- --- internal parts of gradients -------------------------------------------------------------------
op{ "permute_backward(Tensor grad, int[] dims) -> Tensor", variants = "internal", kind = "composite" }
op{ "select_backward(Tensor grad, int[] sizes, int dim, int index) -> Tensor", variants = "internal",
    grad = { grad = "select(grad, dim, index)" } }
op{ "slice_backward(Tensor grad, int[] sizes, int dim, int? start, int? end, int step) -> Tensor",
    variants = "internal", grad = { grad = "slice(grad, dim, start, end, step)" } }
op{ "diagonal_backward(Tensor grad, int[] sizes, int offset, int dim1, int dim2) -> Tensor", variants = "internal",
    grad = { grad = "diagonal(grad, offset, dim1, dim2)" } }
op{ "unfold_backward(Tensor grad, int[] sizes, int dimension, int size, int step) -> Tensor", variants = "internal",
    grad = { grad = "unfold(grad, dimension, size, step)" } }
op{ "as_strided_backward(Tensor grad, int[] self_size, int[] self_stride, int self_offset, int[] size, \z
     int[] stride, int? storage_offset) -> Tensor", variants = "internal",
    grad = { grad = "as_strided_gather(grad, self_size, self_stride, self_offset, size, stride, storage_offset)" } }
op{ "as_strided_gather(Tensor values, int[] self_size, int[] self_stride, int self_offset, int[] size, \z
     int[] stride, int? storage_offset) -> Tensor", variants = "internal",
    grad = { values = "as_strided_backward(grad, self_size, self_stride, self_offset, size, stride, storage_offset)" } }
-- A view that autograd does not record as one: its base is out of reach.
op{ "unsafe_view(Tensor self, int[] size) -> Tensor", variants = "internal",
    grad = { self = "reshape(grad, self.shape)" } }
op{ "alias(Tensor self) -> Tensor", variants = "internal", kind = "view", grad = { self = "grad" } }
op{ "slice(Tensor self, int dim=0, int? start=nil, int? end=nil, int step=1) -> Tensor", variants = "internal",
    kind = "view", grad = { self = "slice_backward(grad, self.shape, dim, start, end, step)" },
    cases = { "(5,4), 0, 1, 4, 2", "(5,4)t, 1, -3", "(5,4), 0, 4, 1" } }

-- --- shape -----------------------------------------------------------------------------------------
op{ "view(Tensor self, int[] size) -> Tensor", variants = "method", kind = "view",
    grad = { self = "reshape(grad, self.shape)" },
    cases = { "(2,6), [3, 4]", "(2,6), [-1]", "(2,6), [4, -1]", "(0,3), [0]", "(), [1, 1]" },
    doc = "The same elements under another shape, sharing memory. One size may be -1 and is worked out. Fails where \z
           the memory layout would need a copy; see reshape.",
    example = "torch.arange(6):view(2, 3)" }
op{ "view.dtype(Tensor self, dtype dtype) -> Tensor", variants = "method", kind = "view", grad = "none",
    doc = "The same bytes read as another dtype; the last dim is scaled when the element sizes differ.",
    example = "torch.ones(2):view(torch.int32)" }
op{ "reshape(Tensor self, int[] shape) -> Tensor", kind = "composite",
    cases = { "(2,6), [3, 4]", "(2,6)t, [12]", "(2,3,4)t, [-1, 3]", "(0,3), [3, 0]" },
    doc = "The same elements under another shape: a view where that is possible, else a copy.",
    example = "torch.reshape(torch.arange(4), {2, 2})" }
op{ "flatten(Tensor self, int start_dim=0, int end_dim=-1) -> Tensor", kind = "composite",
    cases = { "(2,3,4)", "(2,3,4), 1", "(2,3,4)t, 0, 1", "()" },
    doc = "Joins the dims from start_dim to end_dim into one.", example = "torch.zeros(2, 3, 4):flatten(1)" }
op{ "unflatten(Tensor self, int dim, int[] sizes) -> Tensor", kind = "composite",
    cases = { "(2,6), 1, [2, 3]", "(2,6), -1, [-1, 2]" },
    doc = "Splits one dim into several; one size may be -1.", example = "torch.zeros(2, 6):unflatten(1, {2, 3})" }
op{ "ravel(Tensor self) -> Tensor", composite = "reshape(self, [-1])", cases = { "(2,3)", "(2,3)t", "()" },
    doc = "All elements as one dim; a view where possible.", example = "torch.zeros(2, 3):ravel()" }
op{ "view_as(Tensor self, Tensor other) -> Tensor", variants = "method", kind = "composite",
    cases = { "(2,6), (3,4)" }, doc = "view with other's shape.", example = "torch.zeros(6):view_as(torch.zeros(2, 3))" }
op{ "reshape_as(Tensor self, Tensor other) -> Tensor", variants = "method", kind = "composite",
    cases = { "(2,6)t, (3,4)" }, doc = "reshape with other's shape.",
    example = "torch.zeros(6):reshape_as(torch.zeros(2, 3))" }
op{ "squeeze(Tensor self) -> Tensor", kind = "view", grad = { self = "reshape(grad, self.shape)" },
    cases = { "(1,3,1)", "(2,3)", "()" }, doc = "Removes the dims of size 1: all of them, or only those named.",
    example = "torch.zeros(1, 3, 1):squeeze()" }
op{ "squeeze.dim(Tensor self, int dim) -> Tensor", kind = "view", grad = { self = "reshape(grad, self.shape)" },
    cases = { "(1,3,1), 0", "(1,3,1), -1", "(1,3,1), 1", "(), 0" },
    doc = "Removes the dim when its size is 1.", example = "torch.zeros(1, 3, 1):squeeze(0)" }
op{ "squeeze.dims(Tensor self, int[] dim) -> Tensor", kind = "view", grad = { self = "reshape(grad, self.shape)" },
    cases = { "(1,3,1), [0, 1]", "(1,3,1), [0, 2]" },
    doc = "Removes those of the dims whose size is 1.", example = "torch.zeros(1, 3, 1):squeeze({0, 2})" }
op{ "unsqueeze(Tensor self, int dim) -> Tensor", kind = "view", grad = { self = "squeeze_dim(grad, dim)" },
    cases = { "(2,3), 0", "(2,3), -1", "(2,3)t, 1", "(), 0" },
    doc = "Puts a new dim of size 1 at the place.", example = "torch.zeros(3):unsqueeze(0)" }

-- --- order of dims ---------------------------------------------------------------------------------
op{ "permute(Tensor self, int[] dims) -> Tensor", kind = "view", grad = { self = "permute_backward(grad, dims)" },
    cases = { "(2,3,4), [2, 0, 1]", "(2,3,4), [0, -1, 1]", "(), []" },
    doc = "The dims in another order.", example = "torch.zeros(2, 3, 4):permute(2, 0, 1)" }
op{ "transpose(Tensor self, int dim0, int dim1) -> Tensor", kind = "view",
    grad = { self = "transpose(grad, dim0, dim1)" }, cases = { "(2,3,4), 0, 2", "(2,3,4), -1, 1", "(), 0, -1" },
    doc = "Swaps two dims.", example = "torch.zeros(2, 3):transpose(0, 1)" }
op{ "swapaxes(Tensor self, int axis0, int axis1) -> Tensor", composite = "transpose(self, axis0, axis1)",
    cases = { "(2,3,4), 0, 2" }, doc = "Swaps two dims, as transpose.", example = "torch.zeros(2, 3):swapaxes(0, 1)" }
op{ "swapdims(Tensor self, int dim0, int dim1) -> Tensor", composite = "transpose(self, dim0, dim1)",
    cases = { "(2,3,4), 0, 2" }, doc = "Swaps two dims, as transpose.", example = "torch.zeros(2, 3):swapdims(0, 1)" }
op{ "t(Tensor self) -> Tensor", kind = "view", grad = { self = "t(grad)" }, cases = { "(2,3)", "(3)", "()" },
    doc = "The transpose of a matrix; tensors of fewer dims as they are.", example = "torch.zeros(2, 3):t()" }
op{ "adjoint(Tensor self) -> Tensor", composite = "conj(transpose(self, -2, -1))", cases = { "(2,3)", "(2,3,4)" },
    doc = "The last two dims swapped, conjugated.", example = "torch.zeros(2, 3):adjoint()" }
op{ "movedim(Tensor self, int[] source, int[] destination) -> Tensor", kind = "composite", aliases = "moveaxis",
    cases = { "(2,3,4), [0, 1], [1, 2]", "(2,3,4), [-1], [0]" },
    doc = "Moves dims to other places; the others keep their order.", example = "torch.zeros(2, 3, 4):movedim({0}, {2})" }
op{ "movedim.int(Tensor self, int source, int destination) -> Tensor", kind = "composite", aliases = "moveaxis",
    cases = { "(2,3,4), 0, 2", "(2,3,4), -1, 0" }, doc = "Moves one dim to another place.",
    example = "torch.zeros(2, 3, 4):movedim(0, 2)" }

-- --- in place: the tensor itself takes the other geometry ---------------------------------------------
op{ "unsqueeze.inplace(Tensor self, int dim) -> Tensor", variants = "inplace",
    grad = { self = "squeeze_dim(grad, dim)" }, cases = { "(2,3), 0", "(2,3), -1" },
    doc = "Puts a new dim of size 1 at the place, in place.", example = "torch.zeros(3):unsqueeze_(0)" }
op{ "squeeze.inplace(Tensor self) -> Tensor", variants = "inplace", grad = { self = "reshape(grad, self.shape)" },
    cases = { "(1,3,1)" }, doc = "Removes all dims of size 1, in place.", example = "torch.zeros(1, 3):squeeze_()" }
op{ "squeeze.dim_inplace(Tensor self, int dim) -> Tensor", variants = "inplace",
    grad = { self = "reshape(grad, self.shape)" }, cases = { "(1,3,1), 0", "(1,3,1), 1" },
    doc = "Removes the dim when its size is 1, in place.", example = "torch.zeros(1, 3):squeeze_(0)" }
op{ "squeeze.dims_inplace(Tensor self, int[] dim) -> Tensor", variants = "inplace",
    grad = { self = "reshape(grad, self.shape)" }, cases = { "(2,1,3,1), [1, 3]", "(2,1), [0]" },
    doc = "Removes the listed dims of size 1, in place.", example = "torch.zeros(1, 2, 1):squeeze_{0, 2}" }
op{ "transpose.inplace(Tensor self, int dim0, int dim1) -> Tensor", variants = "inplace", aliases = "swapaxes swapdims",
    grad = { self = "transpose(grad, dim0, dim1)" }, cases = { "(2,3,4), 0, 2" },
    doc = "Swaps two dims, in place.", example = "torch.zeros(2, 3):transpose_(0, 1)" }
op{ "t.inplace(Tensor self) -> Tensor", variants = "inplace", grad = { self = "t(grad)" }, cases = { "(2,3)" },
    doc = "Transposes a matrix, in place.", example = "torch.zeros(2, 3):t_()" }

-- --- parts -----------------------------------------------------------------------------------------
op{ "select(Tensor self, int dim, int index) -> Tensor", kind = "view",
    grad = { self = "select_backward(grad, self.shape, dim, index)" },
    cases = { "(3,4), 0, 1", "(3,4), -1, -1", "(3,4)t, 1, 0" },
    doc = "The part at one index of a dim, without that dim.", example = "torch.arange(6):view(2, 3):select(0, 1)" }
op{ "narrow(Tensor self, int dim, int start, int length) -> Tensor", kind = "composite",
    cases = { "(5,4), 0, 1, 3", "(5,4), 1, -2, 2", "(5,4), 0, 5, 0" },
    doc = "The part of `length` indices from `start` on along a dim.", example = "torch.arange(5):narrow(0, 1, 3)" }
op{ "diagonal(Tensor self, int offset=0, int dim1=0, int dim2=1) -> Tensor", kind = "view",
    grad = { self = "diagonal_backward(grad, self.shape, offset, dim1, dim2)" },
    cases = { "(3,4)", "(3,4), 1", "(3,4), -2", "(2,3,4), 0, -1, 1", "(3,4), 7" },
    doc = "The diagonal of two dims as a last dim; offset > 0 lies above the main one.",
    example = "torch.eye(3):diagonal()" }
op{ "unfold(Tensor self, int dimension, int size, int step) -> Tensor", variants = "method", kind = "view",
    grad = { self = "unfold_backward(grad, self.shape, dimension, size, step)" },
    cases = { "(7), 0, 3, 2", "(4,7), 1, 3, 1", "(4,7), -2, 2, 2" },
    doc = "All windows of `size` along a dim, `step` apart, as a new last dim.",
    example = "torch.arange(7):unfold(0, 3, 2)" }
op{ "as_strided(Tensor self, int[] size, int[] stride, int? storage_offset=nil) -> Tensor", kind = "view",
    grad = { self = "as_strided_backward(grad, self.shape, self.strides, self.offset, size, stride, \z
             storage_offset)" },
    doc = "A view of any sizes and strides over the same memory.",
    example = "torch.arange(6):as_strided({2, 2}, {3, 1})" }

-- --- broadcasting ----------------------------------------------------------------------------------
op{ "expand(Tensor self, int[] size) -> Tensor", variants = "method", kind = "view",
    grad = { self = "sum_to_size(grad, self.shape)" },
    cases = { "(3,1), [3, 4]", "(3), [2, 3]", "(3,1), [-1, 4]", "(), [2, 2]", "(1,3), [0, 3]" },
    doc = "A view in which dims of size 1 (and new leading dims) repeat without a copy; -1 keeps a size.",
    example = "torch.ones(3, 1):expand(3, 4)" }
op{ "expand_as(Tensor self, Tensor other) -> Tensor", variants = "method", kind = "composite",
    cases = { "(3,1), (3,4)" }, doc = "expand to other's shape.", example = "torch.ones(3, 1):expand_as(torch.ones(3, 4))" }
op{ "broadcast_to(Tensor self, int[] size) -> Tensor", composite = "expand(self, size)", cases = { "(3,1), [2, 3, 4]" },
    doc = "expand, as a function too.", example = "torch.broadcast_to(torch.ones(3), {2, 3})" }
op{ "broadcast_tensors(Tensor[] tensors) -> Tensor[]", variants = "function", kind = "composite",
    cases = { "[(3,1), (4)]" }, doc = "All tensors expanded to their common shape.",
    example = "torch.broadcast_tensors{torch.ones(3, 1), torch.ones(4)}" }
op{ "sum_to_size(Tensor self, int[] size) -> Tensor", variants = "method", kind = "composite",
    cases = { "(2,3,4), [3, 1]", "(2,3), []", "(2,3), [2, 3]" },
    doc = "Sums until the shape is `size`, which must be broadcastable to self's shape.",
    example = "torch.ones(2, 3):sum_to_size(1, 3)" }
op{ "atleast_1d(Tensor self) -> Tensor", variants = "function", kind = "composite", cases = { "()", "(2,3)" },
    doc = "self with at least one dim.", example = "torch.atleast_1d(torch.tensor(1))" }
op{ "atleast_1d.Sequence(Tensor[] tensors) -> Tensor[]", variants = "function", kind = "composite", cases = { "[(), (2,3)]" },
    doc = "The tensors, each with at least one dim.", example = "torch.atleast_1d(torch.tensor(1), torch.ones(2))" }
op{ "atleast_2d(Tensor self) -> Tensor", variants = "function", kind = "composite", cases = { "()", "(3)" },
    doc = "self with at least two dims.", example = "torch.atleast_2d(torch.ones(3))" }
op{ "atleast_2d.Sequence(Tensor[] tensors) -> Tensor[]", variants = "function", kind = "composite", cases = { "[(), (2,3)]" },
    doc = "The tensors, each with at least two dims.", example = "torch.atleast_2d(torch.tensor(1), torch.ones(2))" }
op{ "atleast_3d(Tensor self) -> Tensor", variants = "function", kind = "composite", cases = { "()", "(3)", "(2,3)" },
    doc = "self with at least three dims.", example = "torch.atleast_3d(torch.ones(3))" }

-- --- complex ---------------------------------------------------------------------------------------
op{ "atleast_3d.Sequence(Tensor[] tensors) -> Tensor[]", variants = "function", kind = "composite", cases = { "[(), (2,3)]" },
    doc = "The tensors, each with at least three dims.", example = "torch.atleast_3d(torch.tensor(1), torch.ones(2))" }
op{ "view_as_real(Tensor self) -> Tensor", variants = "function", kind = "view",
    grad = { self = "view_as_complex(contiguous(grad))" },
    doc = "A complex tensor as a real one with a last dim of size 2.",
    example = "torch.view_as_real(torch.zeros(2, {dtype = torch.complex64}))" }
op{ "view_as_complex(Tensor self) -> Tensor", autocast = "fp32", variants = "function", kind = "view",
    grad = { self = "view_as_real(grad)" },
    doc = "A real tensor with a last dim of size 2 as a complex one.",
    example = "torch.view_as_complex(torch.ones(3, 2))" }
op{ "real(Tensor self) -> Tensor", kind = "composite", cases = { "(2,3)" },
    doc = "The real parts, as a view; a real tensor itself.", example = "torch.real(torch.ones(2))" }
op{ "imag(Tensor self) -> Tensor", kind = "composite",
    doc = "The imaginary parts of a complex tensor, as a view.",
    example = "torch.imag(torch.view_as_complex(torch.ones(3, 2)))" }

op{ "polar(Tensor abs, Tensor angle) -> Tensor", autocast = "fp32", variants = "function out",
    composite = "complex(abs * cos(angle), abs * sin(angle))", cases = { "(2,3)p, (2,3)" },
    doc = "The complex tensor of lengths and angles.", example = "torch.polar(torch.ones(2), torch.zeros(2))" }

-- --- splitting -------------------------------------------------------------------------------------
op{ "split(Tensor self, int split_size, int dim=0) -> Tensor[]", kind = "view",
    grad = { self = "cat_same(grads, dim < 0 ? dim + self.ndim : dim)" }, cases = { "(7,3), 3", "(7,3), 2, -1" },
    doc = "Views of split_size indices each along dim; the last may be smaller.",
    example = "torch.arange(5):split(2)" }
op{ "split.sizes(Tensor self, int[] split_size, int dim=0) -> Tensor[]", kind = "composite",
    cases = { "(7,3), [2, 5]" }, doc = "Views of the given sizes along dim.", example = "torch.arange(5):split{2, 3}" }
op{ "split_with_sizes(Tensor self, int[] split_sizes, int dim=0) -> Tensor[]", kind = "view",
    grad = { self = "cat_same(grads, dim < 0 ? dim + self.ndim : dim)" }, cases = { "(7,3), [2, 5]", "(7,3), [1, 0, 2], 1" },
    doc = "Views of the given sizes along dim.", example = "torch.arange(5):split_with_sizes{2, 3}" }
op{ "chunk(Tensor self, int chunks, int dim=0) -> Tensor[]", kind = "composite", cases = { "(7,3), 3", "(7,3), 5, 1" },
    doc = "At most `chunks` views of equal size along dim; the last may be smaller.",
    example = "torch.arange(5):chunk(2)" }
op{ "tensor_split(Tensor self, int sections, int dim=0) -> Tensor[]", kind = "composite", cases = { "(7,3), 3" },
    doc = "Exactly `sections` views along dim, of sizes that differ by one at most.",
    example = "torch.arange(5):tensor_split(2)" }
op{ "tensor_split.tensor(Tensor self, Tensor tensor_indices_or_sections, int dim=0) -> Tensor[]", kind = "composite",
    cases = { "(7,3), (2)<4", "(7,3), ()<4" },
    doc = "tensor_split with the indices (1-d int64) or the number of sections (0-d int64) given by a tensor.",
    example = "torch.tensor_split(torch.arange(7), torch.tensor{2, 5})" }
op{ "tensor_split.indices(Tensor self, int[] indices, int dim=0) -> Tensor[]", kind = "composite",
    cases = { "(7,3), [1, 4]", "(7,3), [2, 1], 1" }, doc = "Views that end before each of the indices.",
    example = "torch.arange(5):tensor_split{1, 3}" }
op{ "hsplit(Tensor self, int sections) -> Tensor[]", kind = "composite", cases = { "(4,6), 3", "(4), 2" },
    doc = "tensor_split along dim 1 (dim 0 of a vector).", example = "torch.zeros(2, 4):hsplit(2)" }
op{ "hsplit.indices(Tensor self, int[] indices) -> Tensor[]", kind = "composite", cases = { "(4,6), [1, 3]" },
    doc = "tensor_split along dim 1 (dim 0 of a vector).", example = "torch.zeros(2, 4):hsplit{1}" }
op{ "vsplit(Tensor self, int sections) -> Tensor[]", kind = "composite", cases = { "(4,6), 2" },
    doc = "tensor_split along dim 0.", example = "torch.zeros(2, 4):vsplit(2)" }
op{ "vsplit.indices(Tensor self, int[] indices) -> Tensor[]", kind = "composite", cases = { "(4,6), [1, 3]" },
    doc = "tensor_split along dim 0.", example = "torch.zeros(2, 4):vsplit{1}" }
op{ "dsplit(Tensor self, int sections) -> Tensor[]", kind = "composite", cases = { "(2,3,4), 2" },
    doc = "tensor_split along dim 2.", example = "torch.zeros(2, 2, 4):dsplit(2)" }
op{ "dsplit.indices(Tensor self, int[] indices) -> Tensor[]", kind = "composite", cases = { "(2,3,4), [1, 3]" },
    doc = "tensor_split along dim 2.", example = "torch.zeros(2, 2, 4):dsplit{1}" }
op{ "unbind(Tensor self, int dim=0) -> Tensor[]", kind = "view",
    grad = { self = "stack_same(grads, dim < 0 ? dim + self.ndim : dim)" }, cases = { "(3,4)", "(3,4), -1" },
    doc = "The parts at each index of a dim, as a list.", example = "torch.eye(2):unbind()" }
op{ "meshgrid(Tensor[] tensors, *, str indexing='ij') -> Tensor[]", variants = "function", kind = "composite",
    cases = { "[(2), (3)]", "[(2), (3), (4)], indexing='xy'", "[(), (3)]" },
    doc = "The grids of coordinates that the vectors span. indexing is 'ij' (rows first) or 'xy'.",
    example = "torch.meshgrid({torch.arange(2), torch.arange(3)}, {indexing = 'ij'})" }

-- --- joining ---------------------------------------------------------------------------------------
op{ "cat_same(Tensor[] tensors, int dim) -> Tensor", variants = "internal", node = "CatBackward0",
    grad = { tensors = "split_with_sizes(grad, tensors.sizes(dim), dim)" } }
op{ "stack_same(Tensor[] tensors, int dim) -> Tensor", variants = "internal", node = "StackBackward0",
    grad = { tensors = "unbind(grad, dim)" } }
op{ "cat(Tensor[] tensors, int dim=0) -> Tensor", autocast = "promote", variants = "function out", kind = "composite",
    aliases = "concat concatenate",
    cases = { "[(2,3), (1,3)]", "[(2,3), (2,1)], -1", "[(2,3), (2,3)i]", "[(0)g, (2,3)]", "[(2,3)t, (2,3)], 1" },
    doc = "Joins tensors along an existing dim. Dtypes are promoted.",
    example = "torch.cat({torch.zeros(2), torch.ones(1)})" }
op{ "stack(Tensor[] tensors, int dim=0) -> Tensor", autocast = "promote", variants = "function out", kind = "composite",
    cases = { "[(2,3), (2,3)]", "[(2,3), (2,3)], -1", "[(2,3), (2,3)i], 1", "[(), ()]" },
    doc = "Joins tensors of one shape along a new dim.", example = "torch.stack({torch.zeros(2), torch.ones(2)})" }
op{ "hstack(Tensor[] tensors) -> Tensor", variants = "function out", kind = "composite",
    cases = { "[(2,3), (2,1)]", "[(2), (3)]", "[(), ()]" },
    doc = "Joins along dim 1 (dim 0 for vectors).", example = "torch.hstack({torch.zeros(2), torch.ones(1)})" }
op{ "vstack(Tensor[] tensors) -> Tensor", variants = "function out", kind = "composite", aliases = "row_stack",
    cases = { "[(2,3), (1,3)]", "[(3), (3)]" }, doc = "Joins along dim 0; vectors are rows.",
    example = "torch.vstack({torch.zeros(2), torch.ones(2)})" }
op{ "dstack(Tensor[] tensors) -> Tensor", variants = "function out", kind = "composite",
    cases = { "[(2,3), (2,3)]", "[(3), (3)]" }, doc = "Joins along dim 2.",
    example = "torch.dstack({torch.zeros(2), torch.ones(2)})" }
op{ "column_stack(Tensor[] tensors) -> Tensor", variants = "function out", kind = "composite",
    cases = { "[(3), (3,2)]", "[(3), (3)]" }, doc = "Joins along dim 1; vectors are columns.",
    example = "torch.column_stack({torch.zeros(2), torch.ones(2)})" }

op{ "block_diag(Tensor[] tensors) -> Tensor", variants = "function", kind = "composite",
    cases = { "[(2,3), (1,2)]", "[(2), (), (2,2)i]" },
    doc = "The matrix with the given matrices along its diagonal; vectors are rows.",
    example = "torch.block_diag{torch.eye(2), torch.ones(1, 2)}" }
op{ "cartesian_prod(Tensor[] tensors) -> Tensor", variants = "function", kind = "composite",
    cases = { "[(2), (3)]", "[(4)]" }, doc = "All tuples of elements of the vectors, one a row.",
    example = "torch.cartesian_prod{torch.arange(2), torch.arange(2)}" }
op{ "combinations(Tensor self, int r=2, bool with_replacement=false) -> Tensor", kind = "composite",
    cases = { "(4)", "(3), 2, true", "(4), 3", "(2), 3" },
    doc = "All choices of r elements of a vector, one a row, in order.",
    example = "torch.combinations(torch.arange(3))" }

-- --- rearranging -----------------------------------------------------------------------------------
op{ "flip(Tensor self, int[1] dims) -> Tensor", grad = { self = "flip(grad, dims)" },
    cases = { "(3,4), [0]", "(3,4), [0, -1]", "(3,4)t, [1]", "(2,3,4), [1]", "(), []" },
    doc = "Reverses the order of the elements along dims (a copy).", example = "torch.arange(3):flip(0)" }
op{ "fliplr(Tensor self) -> Tensor", kind = "composite", cases = { "(2,3)" }, doc = "flip along dim 1.",
    example = "torch.eye(2):fliplr()" }
op{ "flipud(Tensor self) -> Tensor", kind = "composite", cases = { "(2,3)" }, doc = "flip along dim 0.",
    example = "torch.eye(2):flipud()" }
op{ "rot90(Tensor self, int k=1, int[] dims=[0, 1]) -> Tensor", kind = "composite",
    cases = { "(2,3)", "(2,3), 2", "(2,3), -1", "(2,3,4), 1, [1, 2]" },
    doc = "Rotates by k quarter turns in the plane of two dims.", example = "torch.arange(4):view(2, 2):rot90()" }
op{ "roll(Tensor self, int[1] shifts, int[1] dims=[]) -> Tensor", kind = "composite",
    cases = { "(3,4), 1", "(3,4), [1], [0]", "(3,4), [-1, 5], [0, 1]" },
    doc = "Shifts elements along dims, those that fall off the end coming back at the start. Without dims the \z
           flattened tensor is rolled.",
    example = "torch.arange(4):roll(1)" }
op{ "rep(Tensor self, int[] repeats) -> Tensor", variants = "method", kind = "composite", aliases = "repeat",
    cases = { "(2,3), [2, 1]", "(2,3), [2, 1, 3]", "(3), [4]", "(2,3), [0, 1]", "(2,3)t, [2, 2]" },
    doc = "The tensor repeated along each dim (Tensor.repeat; `repeat` is a word of Lua).",
    example = "torch.arange(2):rep(2, 2)" }
op{ "tile(Tensor self, int[] dims) -> Tensor", kind = "composite", cases = { "(2,3), [2]", "(2,3), [2, 1, 2]" },
    doc = "The tensor repeated; missing leading repeats count as 1.", example = "torch.tile(torch.arange(2), {2})" }
op{ "repeat_interleave(Tensor repeats, *, int? output_size=nil) -> Tensor", variants = "function", grad = "none", cases = { "(4)<3" },
    doc = "Each index i, repeats[i] times.", example = "torch.repeat_interleave(torch.tensor{2, 0, 1})" }
op{ "repeat_interleave.self_Tensor(Tensor self, Tensor repeats, int? dim=nil, *, int? output_size=nil) -> Tensor",
    kind = "composite", cases = { "(4,2), (4)<3, 0", "(4), (4)<3" },
    doc = "Each part along dim, as often as repeats says.",
    example = "torch.arange(3):repeat_interleave(torch.tensor{2, 0, 1})" }
op{ "repeat_interleave.self_int(Tensor self, int repeats, int? dim=nil, *, int? output_size=nil) -> Tensor",
    kind = "composite", cases = { "(2,3), 2", "(2,3), 2, 1", "(2,3), 0, 0" },
    doc = "Each element (along dim: each part), repeats times in a row.",
    example = "torch.arange(3):repeat_interleave(2)" }

-- --- copies and conversions ------------------------------------------------------------------------
op{ "detach(Tensor self) -> Tensor", grad = "none", cases = { "(2,3)" },
    doc = "The same memory without history: no gradient flows through.",
    example = "torch.ones(2, {requires_grad = true}):detach()" }
op{ "clone(Tensor self, *, memory_format? memory_format=nil) -> Tensor", grad = { self = "grad" },
    cases = { "(2,3)", "(2,3)t", "()" },
    doc = "A copy in memory of its own; keeps the order of dims in memory unless a format is given.",
    example = "torch.ones(2):clone()" }
op{ "contiguous(Tensor self, *, memory_format? memory_format=contiguous_format) -> Tensor", variants = "method",
    kind = "composite", cases = { "(2,3)", "(2,3)t" },
    doc = "The tensor itself when its memory is in order, else a copy that is.",
    example = "torch.zeros(2, 3):t():contiguous()" }
op{ "copy(Tensor self, Tensor src, bool non_blocking=false) -> Tensor", variants = "inplace",
    grad = { self = "zeros_like(grad)", src = "sum_to_size(to_copy(grad, src.dtype, src.device), src.shape)" },
    cases = { "(2,3), (2,3)", "(2,3), (3)", "(2,3), (2,3)i", "(2,3)t, (2,1)" },
    doc = "Copies src into self: broadcasts it and converts its dtype.", example = "torch.zeros(2):copy_(torch.ones(2))" }
op{ "to_copy(Tensor self, dtype? dtype=nil, device? device=nil, memory_format? memory_format=nil) -> Tensor",
    variants = "internal", node = "ToCopyBackward0",
    grad = { self = "to_copy(grad, self.dtype, self.device)" } }
op{ "to.dtype(Tensor self, dtype dtype, bool non_blocking=false, bool copy=false, *, \z
     memory_format? memory_format=nil) -> Tensor", variants = "method", kind = "composite",
    cases = { "(2,3), float64", "(2,3), int64", "(2,3)i, float32" },
    doc = "The tensor in the dtype: itself when it is so already, else a copy.",
    example = "torch.ones(2):to(torch.float64)" }
op{ "to.device(Tensor self, device? device=nil, dtype? dtype=nil, bool non_blocking=false, bool copy=false, *, \z
     memory_format? memory_format=nil) -> Tensor", variants = "method", kind = "composite",
    doc = "The tensor on the device, in the dtype: itself when it is so already, else a copy.",
    example = "torch.ones(2):to('cpu')" }
op{ "to.other(Tensor self, Tensor other, bool non_blocking=false, bool copy=false, *, \z
     memory_format? memory_format=nil) -> Tensor", variants = "method", kind = "composite", cases = { "(2,3), (1)i" },
    doc = "The tensor with other's dtype and device.", example = "torch.ones(2):to(torch.zeros(1, {dtype = torch.int64}))" }
op{ "type_as(Tensor self, Tensor other) -> Tensor", variants = "method", kind = "composite", cases = { "(2,3), (1)i" },
    doc = "The tensor with other's dtype.", example = "torch.ones(2):type_as(torch.tensor{1})" }
for _, row in ipairs {
  { "float", "float32" }, { "double", "float64" }, { "half", "float16" }, { "bfloat16", "bfloat16" },
  { "int", "int32" }, { "long", "int64" }, { "short", "int16" }, { "char", "int8" }, { "byte", "uint8" },
  { "bool", "bool" }, { "cfloat", "complex64" }, { "cdouble", "complex128" },
} do
  op{ row[1] .. "(Tensor self, *, memory_format? memory_format=nil) -> Tensor", variants = "method", kind = "composite", cases = { "(2,3)g", "(2,3)i" },
      doc = ("The tensor in %s: itself when it is so already, else a copy."):format(row[2]),
      example = ("torch.ones(2):%s()"):format(row[1]) }
end
op{ "fill(Tensor self, Scalar value) -> Tensor", variants = "function inplace", grad = { self = "zeros_like(grad)" },
    cases = { "(2,3)g, 1.5", "(2,3)tg, 2", "()g, 3" },
    doc = "Sets every element to the value.", example = "torch.zeros(2):fill_(3)" }
op{ "fill.Tensor(Tensor self, Tensor value) -> Tensor", variants = "function inplace",
    grad = { self = "zeros_like(grad)", value = "sum_to_size(grad, value.shape)" }, cases = { "(2,3), ()" },
    doc = "Sets every element to the value of a 0-d tensor.", example = "torch.zeros(2):fill_(torch.tensor(3))" }
op{ "zero(Tensor self) -> Tensor", variants = "inplace", grad = { self = "zeros_like(grad)" },
    cases = { "(2,3)g", "(2,3)tg" }, doc = "Sets every element to zero.", example = "torch.ones(2):zero_()" }
op{ "resize(Tensor self, int[] size, *, memory_format? memory_format=nil) -> Tensor", variants = "inplace",
    grad = "none", doc = "Changes the shape in place; new memory, where it needs more, is uninitialised.",
    example = "torch.zeros(2):resize_(3)" }
op{ "set(Tensor self, Tensor source) -> Tensor", variants = "inplace", grad = "none",
    doc = "Makes self share the memory and the geometry of a tensor of its dtype.",
    example = "torch.zeros(2):set_(torch.ones(3))" }
op{ "is_same_size(Tensor self, Tensor other) -> bool", doc = "Whether both have the same shape.",
    example = "torch.ones(2):is_same_size(torch.zeros(2))" }
op{ "resize_as(Tensor self, Tensor the_template, *, memory_format? memory_format=nil) -> Tensor", variants = "inplace",
    grad = "none", doc = "resize_ to the shape of another tensor.", example = "torch.zeros(2):resize_as_(torch.zeros(3))" }
