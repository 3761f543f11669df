/* What the files of indexing share: checked offset tables and the plan of blocks. Used by
 * index.c (index tuples, flat indices), index_dim.c, index_mask.c. Must not include autograd. */
#ifndef LP_DISPATCH_INDEX_H
#define LP_DISPATCH_INDEX_H

#include "core/tensor.h"
#include "cpu/index.h"

/* Fails unless every element of an int64 tensor lies in [0, size). */
bool lp_check_index_range(LpTensor *index, int64_t size, int64_t dim);
/* Adds index[i] * scale to offsets[i]; index is dense int64 and may be negative; fails out of range. */
bool lp_add_offsets(const LpTensor *index, int64_t size, int64_t scale, int64_t dim, int64_t *offsets);
/* Row-major positions of nonzero elements, as `ndim` columns: result[d * stride + i * step]. The count
 * comes from lp_count_true. t is dense. */
bool lp_count_true(LpTensor *t, int64_t *count);
bool lp_fill_positions(LpTensor *t, int64_t *result, int64_t dim_stride, int64_t step, int64_t count);
/* One int64 tensor of n positions per dim of t; results holds lp_ndim(t) entries, owned. */
bool lp_true_columns(LpTensor *t, LpTensor **results);
/* The row-major places of t's nonzero elements, as one int64 tensor. */
LpTensor *lp_true_places(LpTensor *t);
/* put for indices none of which comes twice. */
LpTensor *lp_put_distinct(LpTensor *out, LpTensor *self, LpTensor *index, LpTensor *source);
/* A new tensor holding self's values, or `out` retained when the op runs in place on it; for an `out`
 * apart from self, self is copied there first. */
LpTensor *lp_begin_write(LpTensor *out, LpTensor *self);
/* `read` (retained), or a copy of it when it might share memory with `written` (NULL: nothing is written to);
 * fails when they surely do. Ask before lp_begin_write. */
LpTensor *lp_apart(const LpTensor *written, LpTensor *read, const char *name);
/* Fails when a dim of stride 0 lets several elements of a tensor to be written to share their memory. */
bool lp_check_single(const LpTensor *written);
/* Every tensor has self's dtype, else an error that names the argument. */
bool lp_check_same_dtype(LpTensor *self, LpTensor *other, const char *name);
/* An int32 or int64 index tensor as dense int64. */
LpTensor *lp_index_tensor(LpTensor *index, const char *name);

#endif
