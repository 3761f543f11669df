-- Views as copies, and splits whose parts autograd does not take for views.

-- A copy in row-major memory of its own, whatever self's order.
op{ "row_major_copy(Tensor self) -> Tensor", variants = "internal", kind = "composite" }

local function copied(signature, expression, cases, doc, example, variants)
  op{ signature .. " -> Tensor", variants = variants or "function out", composite = expression, cases = cases, doc = doc,
      example = example }
end

copied("alias_copy(Tensor self)", "row_major_copy(self)", { "(2,3)", "(2,3)t", "()" }, "A copy of the tensor.",
  "torch.alias_copy(torch.ones(2))")
copied("detach_copy(Tensor self)", "row_major_copy(detach(self))", { "(2,3)" }, "A copy without history.",
  "torch.detach_copy(torch.ones(2))")
copied("as_strided_copy(Tensor self, int[] size, int[] stride, int? storage_offset=nil)",
  "row_major_copy(as_strided(self, size, stride, storage_offset))", nil, "as_strided as a copy.",
  "torch.as_strided_copy(torch.arange(6), {2, 2}, {3, 1})")
copied("diagonal_copy(Tensor self, int offset=0, int dim1=0, int dim2=1)",
  "row_major_copy(diagonal(self, offset, dim1, dim2))", { "(3,4)", "(2,3,4), 1, 1, 2" }, "diagonal as a copy.",
  "torch.diagonal_copy(torch.eye(3))")
copied("expand_copy(Tensor self, int[] size, *, bool implicit=false)", "row_major_copy(expand(self, size))",
  { "(3,1), [3, 4]", "(), [2]" }, "expand as a copy.", "torch.expand_copy(torch.ones(3, 1), {3, 2})")
copied("narrow_copy(Tensor self, int dim, int start, int length)", "row_major_copy(narrow(self, dim, start, length))",
  { "(5,4), 0, 1, 3", "(5,4), 1, -2, 2" }, "narrow as a copy.", "torch.arange(5):narrow_copy(0, 1, 3)",
  "function method out")
copied("permute_copy(Tensor self, int[] dims)", "row_major_copy(permute(self, dims))", { "(2,3,4), [2, 0, 1]" },
  "permute as a copy.", "torch.permute_copy(torch.ones(2, 3), {1, 0})")
copied("select_copy(Tensor self, int dim, int index)", "row_major_copy(select(self, dim, index))",
  { "(3,4), 0, 1", "(3,4), -1, -1" }, "select as a copy.", "torch.select_copy(torch.eye(2), 0, 1)")
copied("slice_copy(Tensor self, int dim=0, int? start=nil, int? end=nil, int step=1)",
  "row_major_copy(slice(self, dim, start, end, step))", { "(5,4), 0, 1, 4, 2", "(5,4), 1, -3" },
  "The slice start:end:step of a dim as a copy.", "torch.slice_copy(torch.arange(6), 0, 1, 5, 2)")
copied("squeeze_copy(Tensor self)", "row_major_copy(squeeze(self))", { "(1,3,1)" }, "squeeze as a copy.",
  "torch.squeeze_copy(torch.ones(1, 3, 1))")
copied("squeeze_copy.dim(Tensor self, int dim)", "row_major_copy(squeeze_dim(self, dim))", { "(1,3,1), 0", "(1,3), 1" },
  "squeeze of one dim as a copy.", "torch.squeeze_copy(torch.ones(1, 3, 1), 0)")
copied("squeeze_copy.dims(Tensor self, int[] dim)", "row_major_copy(squeeze_dims(self, dim))", { "(1,3,1), [0, 2]" },
  "squeeze of several dims as a copy.", "torch.squeeze_copy(torch.ones(1, 3, 1), {0, 2})")
copied("t_copy(Tensor self)", "row_major_copy(t(self))", { "(2,3)", "(3)" }, "t as a copy.",
  "torch.t_copy(torch.ones(2, 3))")
copied("transpose_copy(Tensor self, int dim0, int dim1)", "row_major_copy(transpose(self, dim0, dim1))",
  { "(2,3,4), 0, 2" }, "transpose as a copy.", "torch.transpose_copy(torch.ones(2, 3), 0, 1)")
copied("unfold_copy(Tensor self, int dimension, int size, int step)",
  "row_major_copy(unfold(self, dimension, size, step))", { "(7), 0, 3, 2", "(4,7), 1, 3, 1" }, "unfold as a copy.",
  "torch.unfold_copy(torch.arange(5), 0, 3, 2)")
copied("unsqueeze_copy(Tensor self, int dim)", "row_major_copy(unsqueeze(self, dim))", { "(2,3), 0", "(2,3), -1" },
  "unsqueeze as a copy.", "torch.unsqueeze_copy(torch.ones(3), 0)")
copied("view_copy(Tensor self, int[] size)", "row_major_copy(view(self, size))", { "(2,6), [3, 4]", "(2,6), [-1]" },
  "view as a copy.", "torch.view_copy(torch.arange(6), {2, 3})")
copied("view_copy.dtype(Tensor self, dtype dtype)", "row_major_copy(view_dtype(self, dtype))", nil,
  "view as another dtype, as a copy.", "torch.view_copy(torch.ones(2), torch.int32)")
copied("view_as_real_copy(Tensor self)", "row_major_copy(view_as_real(self))", nil, "view_as_real as a copy.",
  "torch.view_as_real_copy(torch.zeros(2, {dtype = torch.complex64}))")
copied("view_as_complex_copy(Tensor self)", "row_major_copy(view_as_complex(self))", nil, "view_as_complex as a copy.",
  "torch.view_as_complex_copy(torch.ones(3, 2))")

-- --- lists -----------------------------------------------------------------------------------------
op{ "copy_each(Tensor[] tensors) -> Tensor[]", variants = "internal", kind = "composite" }
op{ "unbind_copy(Tensor self, int dim=0) -> Tensor[]", variants = "function", composite = "copy_each(unbind(self, dim))",
    cases = { "(3,4)", "(3,4), -1" }, doc = "unbind with parts that are copies.",
    example = "torch.unbind_copy(torch.eye(2))" }
op{ "split_copy(Tensor self, int split_size, int dim=0) -> Tensor[]", variants = "function",
    composite = "copy_each(split(self, split_size, dim))", cases = { "(7,3), 3", "(7,3), 2, -1" },
    doc = "split with parts that are copies.", example = "torch.split_copy(torch.arange(5), 2)" }
op{ "split_with_sizes_copy(Tensor self, int[] split_sizes, int dim=0) -> Tensor[]", variants = "function",
    composite = "copy_each(split_with_sizes(self, split_sizes, dim))", cases = { "(7,3), [2, 5]", "(7,3), [1, 0, 2], 1" },
    doc = "split_with_sizes with parts that are copies.", example = "torch.split_with_sizes_copy(torch.arange(5), {2, 3})" }

op{ "unsafe_split(Tensor self, int split_size, int dim=0) -> Tensor[]", impl = "lp_impl_split",
    grad = { self = "cat_same(grads, dim < 0 ? dim + self.ndim : dim)" }, cases = { "(7,3), 3", "(7,3), 2, -1" },
    doc = "split whose parts may be changed in place: autograd does not take them for views of self, though they share \z
           its memory.",
    example = "torch.arange(5):unsafe_split(2)" }
op{ "unsafe_split_with_sizes(Tensor self, int[] split_sizes, int dim=0) -> Tensor[]", impl = "lp_impl_split_with_sizes",
    grad = { self = "cat_same(grads, dim < 0 ? dim + self.ndim : dim)" },
    cases = { "(7,3), [2, 5]", "(7,3), [1, 0, 2], 1" },
    doc = "split_with_sizes whose parts autograd does not take for views.",
    example = "torch.arange(5):unsafe_split_with_sizes{2, 3}" }
op{ "unsafe_chunk(Tensor self, int chunks, int dim=0) -> Tensor[]", kind = "composite",
    cases = { "(7,3), 3", "(7,3), 5, 1" }, doc = "chunk whose parts autograd does not take for views.",
    example = "torch.arange(5):unsafe_chunk(2)" }

-- --- memory ----------------------------------------------------------------------------------------
op{ "as_strided_scatter(Tensor self, Tensor src, int[] size, int[] stride, int? storage_offset=nil) -> Tensor",
    variants = "function method out",
    grad = { self = "masked_fill(grad, as_strided_backward(new_ones(grad, src.shape), self.shape, self.strides, \z
                     self.offset, size, stride, storage_offset) != 0, 0)",
             src = "as_strided_gather(grad, self.shape, self.strides, self.offset, size, stride, storage_offset)" },
    cases = { "(3,3)g, (2,2), [2, 2], [3, 1]", "(2,4)g, (3), [3], [2], 1" },
    doc = "A copy of self with the elements that as_strided(size, stride, storage_offset) names replaced by src.",
    example = "torch.as_strided_scatter(torch.zeros(3, 3), torch.ones(2), {2}, {3})" }
op{ "as_strided.inplace(Tensor self, int[] size, int[] stride, int? storage_offset=nil) -> Tensor", variants = "inplace",
    node = "AsStridedBackward0",
    grad = { self = "as_strided_backward(grad, self.shape, self.strides, self.offset, size, stride, storage_offset)" },
    doc = "Gives the tensor itself other sizes and strides over its memory.",
    example = "torch.arange(6):as_strided_({2, 2}, {3, 1})" }
op{ "resize.elements(Tensor self, int[] sizes) -> Tensor", variants = "method", kind = "composite",
    cases = { "(2,6), [3, 4]", "(2,6)t, [12]" },
    doc = "The same elements under another shape, whose number must be the same (an old name of reshape).",
    example = "torch.arange(4):resize(2, 2)" }
op{ "resize_as.elements(Tensor self, Tensor tensor) -> Tensor", variants = "method", composite = "resize_elements(self, tensor.shape)",
    cases = { "(2,6), (3,4)" }, doc = "resize to the shape of another tensor.",
    example = "torch.arange(4):resize_as(torch.ones(2, 2))" }
op{ "set.geometry(Tensor self, Tensor source, int storage_offset, int[] size, int[] stride=[]) -> Tensor",
    variants = "inplace", grad = "none",
    doc = "Makes self share the memory of a tensor of its dtype, with an offset, sizes and strides of its own (row-major \z
           without stride).",
    example = "torch.zeros(2):set_(torch.arange(6.), 1, {2, 2})" }
op{ "empty_permuted(int[] size, int[] physical_layout, *, dtype? dtype=nil, device? device=nil, \z
     bool requires_grad=false) -> Tensor", variants = "function", grad = "none",
    doc = "Uninitialised elements, dense in memory, the dims in the order physical_layout from outermost to innermost.",
    example = "torch.empty_permuted({2, 3, 4}, {0, 2, 1}):stride()" }
op{ "new_empty_strided(Tensor self, int[] size, int[] stride, *, dtype? dtype=nil, device? device=nil, \z
     bool requires_grad=false) -> Tensor", variants = "method", grad = "none",
    doc = "Uninitialised elements of self's dtype laid out by the strides.",
    example = "torch.ones(1):new_empty_strided({2, 3}, {1, 2}):stride()" }
