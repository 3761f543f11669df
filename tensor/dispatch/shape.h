/* What the shape ops share: view geometry, lists of tensors, plain (untracked) copies and
 * fills. Nothing here records history or bumps versions: for use inside op
 * implementations. */
#ifndef LP_DISPATCH_SHAPE_H
#define LP_DISPATCH_SHAPE_H

#include "core/tensor.h"

/* --- geometry (view.c)
 * ----------------------------------------------------------------------- */
/* Copies size to out with its one -1 worked out from numel; false with the error
 * recorded. */
bool lp_infer_size(LpInts size, int64_t numel, int64_t *out);
/* Strides under which t's memory reads as the shape `sizes` (same numel); false (no
 * error) when a copy is needed. */
bool lp_view_strides(const LpTensor *t, LpInts sizes, int64_t *strides);
/* t aliased to the larger shape, broadcast dims with stride 0. */
LpTensor *lp_expand_alias(LpTensor *t, LpInts sizes);

/* --- lists (split.c)
 * -------------------------------------------------------------------------- */
/* Room for count tensors, all NULL. */
bool lp_vec_new(LpTensorVec *vec, int64_t count);

/* --- copies (copy.c)
 * -------------------------------------------------------------------------- */
/* dst[...] = src, broadcasting src, converting its dtype, safe when the two overlap. */
bool lp_copy_into(LpTensor *dst, LpTensor *src);
/* dst[...] = value. */
bool lp_fill_into(LpTensor *dst, LpScalar value);
/* A new tensor of zeros. */
LpTensor *lp_new_zeros_raw(LpInts sizes, LpDtype dtype, LpDevice device);
/* t itself (retained) when it is contiguous, else a contiguous copy; untracked. */
LpTensor *lp_contiguous_raw(LpTensor *t);
/* t itself (retained) when it has the dtype, else a converted copy; untracked. */
LpTensor *lp_cast_raw(LpTensor *t, LpDtype dtype);

#endif
