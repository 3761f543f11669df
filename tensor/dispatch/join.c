/* Joining tensors: cat, stack and their kin. */
#include <string.h>
#include "core/alloc.h"
#include "core/move.h"
#include "core/parallel.h"
#include "core/whole.h"
#include "cpu/copy.h"
#include "cpu/tasks.h"
#include "dispatch/iter.h"
#include "dispatch/layout.h"
#include "dispatch/shape.h"
#include "impl.h"
#include "vmap/vmap.h"
#include "lampad/ops.h"

#define L(x) ((long long)(x))

/* The tensors of one joining call, converted and reshaped: owned. */
typedef struct Parts {
  LpTensor **data;
  int64_t count, capacity;
} Parts;

static bool parts_new(Parts *p, int64_t capacity) {
  p->count = 0;
  p->capacity = capacity;
  p->data = lp_alloc((size_t)capacity * sizeof *p->data);
  return p->data != NULL;
}

static bool parts_add(Parts *p, LpTensor *owned) {
  if (!owned) return false;
  p->data[p->count++] = owned;
  return true;
}

static void parts_free(Parts *p) {
  for (int64_t i = 0; i < p->count; i++) lp_tensor_release(p->data[i]);
  lp_free(p->data, (size_t)p->capacity * sizeof *p->data);
}

static LpTensors parts_span(const Parts *p) {
  return (LpTensors){p->data, p->count};
}

static bool check_list(LpTensors tensors) {
  CHECK(tensors.count > 0, LP_ERR_ARGUMENT, "expected a non-empty list of tensors");
  for (int64_t i = 0; i < tensors.count; i++)
    CHECK(tensors.data[i], LP_ERR_ARGUMENT, "tensor %lld of the list is nil", L(i));
  return true;
}

static bool is_same_dtype(LpTensors tensors) {
  for (int64_t i = 1; i < tensors.count; i++)
    if (tensors.data[i]->dtype != tensors.data[0]->dtype) return false;
  return true;
}

/* t in the dtype, tracked. */
static LpTensor *cast_to(LpTensor *t, LpDtype dtype) {
  if (t->dtype == dtype) return lp_tensor_retain(t);
  return lp_to_copy(t, dtype, (LpDevice){LP_DEVICE_NONE, 0}, LP_FORMAT_NONE);
}

static LpDtype joined_dtype(LpTensors tensors) {
  return is_same_dtype(tensors) ? (LpDtype)tensors.data[0]->dtype
                                : lp_result_type(tensors.data, (int)tensors.count);
}

/* --- cat
 * --------------------------------------------------------------------------------------
 */

/* PyTorch of old had no other empty tensor than the one of shape (0,): it joins with
 * anything. */
static bool is_legacy_empty(const LpTensor *t) {
  return t->ndim == 1 && t->sizes[0] == 0;
}

LpTensor *lp_composite_cat(LpTensors tensors, int64_t dim) {
  TRY(check_list(tensors));
  for (int64_t i = 0; i < tensors.count; i++)
    CHECK(tensors.data[i]->ndim > 0, LP_ERR_ARGUMENT,
          "0-d tensors cannot be concatenated (tensor %lld); use stack()", L(i));
  LpDtype dtype = joined_dtype(tensors);
  int64_t ndim = 1;
  bool plain = is_same_dtype(tensors);
  for (int64_t i = 0; i < tensors.count; i++) {
    if (is_legacy_empty(tensors.data[i]))
      plain = false;
    else
      ndim = tensors.data[i]->ndim;
  }
  TRY(lp_wrap_dim(dim, ndim, &dim));
  if (plain) return lp_cat_same(tensors, dim);
  Parts parts;
  TRY(parts_new(&parts, tensors.count));
  LpTensor *result = NULL;
  for (int64_t i = 0; i < tensors.count; i++) {
    if (is_legacy_empty(tensors.data[i]) &&
        (ndim > 1 || i + 1 < tensors.count || parts.count > 0))
      continue;
    if (!parts_add(&parts, cast_to(tensors.data[i], dtype))) goto done;
  }
  if (parts.count == 0 && !parts_add(&parts, cast_to(tensors.data[0], dtype))) goto done;
  result = lp_cat_same(parts_span(&parts), dim);
done:
  parts_free(&parts);
  return result;
}

/* All inputs channels-last: the result too. */
static LpMemoryFormat joined_format(LpTensors tensors) {
  LpMemoryFormat formats[] = {LP_CHANNELS_LAST, LP_CHANNELS_LAST_3D};
  for (int k = 0; k < 2; k++) {
    bool all = true;
    for (int64_t i = 0; i < tensors.count && all; i++)
      all = !tensors.data[i]->is_contiguous &&
            lp_is_contiguous(tensors.data[i], formats[k]);
    if (all) return formats[k];
  }
  return LP_CONTIGUOUS;
}

/* All inputs hidden (layout.h): the result too. */
static bool all_hidden(LpTensors tensors) {
  for (int64_t i = 0; i < tensors.count; i++)
    if (!lp_is_hidden_view(tensors.data[i])) return false;
  return true;
}

/* Contiguous tensors that are small together are blocks of memory, one behind the other
 * for each index before dim. False: take the general way. */
#define FEW_ROWS 32
#define MIN_BLOCK_BYTES 64
static bool join_blocks(LpTensor *out, LpTensors tensors, int64_t dim) {
  if (!out->is_contiguous || out->numel > LP_GRAIN || lp_is_hidden(out)) return false;
  for (int64_t i = 0; i < tensors.count; i++)
    if (!tensors.data[i]->is_contiguous) return false;
  if (out->numel == 0) return true;
  int64_t rows = 1, size = (int64_t)lp_dtype_size((LpDtype)out->dtype);
  for (int64_t d = 0; d < dim; d++) rows *= out->sizes[d];
  if (rows > FEW_ROWS && out->numel * size < rows * tensors.count * MIN_BLOCK_BYTES)
    return false;
  char *at = lp_data(out);
  for (int64_t row = 0; row < rows; row++)
    for (int64_t i = 0; i < tensors.count; i++) {
      const LpTensor *t = tensors.data[i];
      if (t->numel == 0) continue;
      const int64_t bytes = t->numel / rows * size;
      lp_move(at, (const char *)lp_data(t) + row * bytes, (size_t)bytes);
      at += bytes;
    }
  return true;
}

/* Short rows: those of all tensors are moved in chunks, so that what is written passes
 * through the cache once. */
#define CHUNK_BYTES 16384

typedef struct JoinPart {
  LpRowSteps rows; /* a row: what lies together of a tensor for each index before dim */
  char *to;
  const char *from;
} JoinPart;

typedef struct Join {
  JoinPart *parts;
  int64_t count, rows, chunk; /* rows of a chunk */
  LpTransposeTile mix; /* the parts are the rows of a matrix to be transposed; NULL */
} Join;

static void join_chunk(void *ctx, int64_t i) {
  const Join *j = ctx;
  const JoinPart *first = j->parts;
  const int64_t row = i * j->chunk, left = j->rows - row;
  const int64_t n = left < j->chunk ? left : j->chunk;
  if (j->mix) {
    const int64_t size = first->rows.size;
    j->mix(first->to + row * first->rows.to_row, j->count, first->from + row * size,
           (first[1].from - first->from) / size, j->count, n);
    return;
  }
  for (const JoinPart *p = first; p < first + j->count; p++)
    lp_copy_kernels()->move(&p->rows, p->to + row * p->rows.to_row,
                            p->from + row * p->rows.from_row, n);
}

/* Is t one row of dense elements for each index before dim, and are the rows as far apart
 * from each other? */
static bool as_rows(const LpTensor *t, int64_t dim, LpRowSteps *r) {
  int64_t step = 0, next = 0;
  bool first = true; /* a step of 0 is one, too */
  r->n = 1;
  for (int64_t d = t->ndim - 1; d >= 0; d--) {
    if (t->sizes[d] == 1) continue;
    if (d >= dim) {
      if (t->strides[d] != r->n) return false;
      r->n *= t->sizes[d];
    } else {
      if (first) step = next = t->strides[d];
      first = false;
      if (t->strides[d] != next) return false;
      next *= t->sizes[d];
    }
  }
  r->to_step = r->from_step = r->size = (int64_t)lp_dtype_size((LpDtype)t->dtype);
  r->from_row = step * r->size;
  return true;
}

/* Single elements of tensors that lie as far apart from each other, as any two do, are
 * the rows of a matrix. */
static bool is_matrix(const Join *j) {
  const JoinPart *p = j->parts;
  if (j->count < 2 || j->count > 4) return false;
  for (int64_t i = 0; i < j->count; i++)
    if (p[i].rows.n != 1 || p[i].rows.from_row != p->rows.size ||
        p[i].from - p->from != i * (p[1].from - p->from))
      return false;
  return (p[1].from - p->from) % p->rows.size == 0;
}

/* *done: it was the case for it. */
static bool join_short(LpTensor *out, LpTensors tensors, int64_t dim, bool *done) {
  *done = false;
  if (!out->is_contiguous || out->numel == 0 || lp_is_hidden(out)) return true;
  Join j = {.rows = 1};
  for (int64_t d = 0; d < dim; d++) j.rows *= out->sizes[d];
  const int64_t size = (int64_t)lp_dtype_size((LpDtype)out->dtype),
                row = out->numel / j.rows;
  if (j.rows == 1 || row * size > CHUNK_BYTES) return true;
  j.chunk = CHUNK_BYTES / (row * size);
  const size_t bytes = (size_t)tensors.count * sizeof *j.parts;
  TRY(j.parts = lp_alloc(bytes));
  char *to = lp_data(out);
  bool fits = true, ok = true;
  for (int64_t i = 0; i < tensors.count && fits; i++) {
    const LpTensor *t = tensors.data[i];
    JoinPart *p = &j.parts[j.count];
    if (t->numel == 0) continue;
    fits = !lp_lies_channels_last(t->storage) && as_rows(t, dim, &p->rows);
    if (!fits) break;
    p->rows.to_row = row * size;
    p->from = lp_data(t);
    p->to = to;
    to += p->rows.n * size;
    j.count++;
  }
  if (fits) {
    if (is_matrix(&j)) j.mix = lp_copy_kernels()->transpose[__builtin_ctzll(size)];
    ok = lp_run_tasks(lp_ratio_up(j.rows, j.chunk), j.chunk * row, join_chunk, &j);
  }
  lp_free(j.parts, bytes);
  *done = fits;
  return ok;
}

/* Writes the tensors into `out` one after the other along dim. */
static bool fill_joined(LpTensor *out, LpTensors tensors, int64_t dim) {
  if (join_blocks(out, tensors, dim)) return true;
  bool done;
  TRY(join_short(out, tensors, dim, &done));
  if (done) return true;
  int64_t sizes[LP_MAX_DIMS], offset = out->offset_elems;
  memcpy(sizes, out->sizes, (size_t)out->ndim * sizeof *sizes);
  for (int64_t i = 0; i < tensors.count; i++) {
    LpTensor *t = tensors.data[i];
    sizes[dim] = t->sizes[dim];
    LpTensor *part =
        lp_tensor_alias(out, lp_ints(sizes, out->ndim), lp_strides(out), offset);
    bool ok = part && lp_copy_into(part, t);
    lp_tensor_release(part);
    TRY(ok);
    offset += sizes[dim] * out->strides[dim];
  }
  return true;
}

/* Tensors of one dtype and number of dims; dim wrapped. */
LpTensor *lp_impl_cat_same(LpTensors tensors, int64_t dim) {
  const LpTensor *first = tensors.data[0];
  int64_t sizes[LP_MAX_DIMS];
  memcpy(sizes, first->sizes, (size_t)first->ndim * sizeof *sizes);
  sizes[dim] = 0;
  for (int64_t i = 0; i < tensors.count; i++) {
    const LpTensor *t = tensors.data[i];
    CHECK(
        t->ndim == first->ndim, LP_ERR_ARGUMENT,
        "tensors must have the same number of dims: got %d (shape %s) and %d (shape %s)",
        first->ndim, SHAPE_TEXT(first), t->ndim, SHAPE_TEXT(t));
    for (int64_t d = 0; d < t->ndim; d++)
      CHECK(d == dim || t->sizes[d] == first->sizes[d], LP_ERR_ARGUMENT,
            "sizes of tensors must match except in dim %lld: expected size %lld but got "
            "size %lld in dim %lld of tensor %lld "
            "(shapes %s and %s)",
            L(dim), L(first->sizes[d]), L(t->sizes[d]), L(d), L(i), SHAPE_TEXT(first),
            SHAPE_TEXT(t));
    CHECK(!__builtin_add_overflow(sizes[dim], t->sizes[dim], &sizes[dim]), LP_ERR_MEMORY,
          "dim %lld gets too large", L(dim));
  }
  const LpInts shape = lp_ints(sizes, first->ndim);
  const LpDtype dtype = (LpDtype)first->dtype;
  LpTensor *out = all_hidden(tensors)
                      ? lp_tensor_new_hidden(shape, dtype)
                      : lp_tensor_new_format(shape, dtype, first->storage->device,
                                             joined_format(tensors), NULL);
  if (out && !fill_joined(out, tensors, dim)) {
    lp_tensor_release(out);
    return NULL;
  }
  return out;
}

/* --- stack
 * ------------------------------------------------------------------------------------ */

LpTensor *lp_composite_stack(LpTensors tensors, int64_t dim) {
  TRY(check_list(tensors));
  const LpTensor *first = tensors.data[0];
  TRY(lp_wrap_dim(dim, first->ndim + 1, &dim));
  for (int64_t i = 1; i < tensors.count; i++) {
    const LpTensor *t = tensors.data[i];
    CHECK(t->ndim == first->ndim &&
              memcmp(t->sizes, first->sizes, (size_t)t->ndim * sizeof *t->sizes) == 0,
          LP_ERR_ARGUMENT,
          "expects each tensor to be of equal size, but got %s at entry 0 and %s at "
          "entry %lld",
          SHAPE_TEXT(first), SHAPE_TEXT(t), L(i));
  }
  if (is_same_dtype(tensors)) return lp_stack_same(tensors, dim);
  LpDtype dtype = joined_dtype(tensors);
  Parts parts;
  TRY(parts_new(&parts, tensors.count));
  LpTensor *result = NULL;
  for (int64_t i = 0; i < tensors.count; i++)
    if (!parts_add(&parts, cast_to(tensors.data[i], dtype))) goto done;
  result = lp_stack_same(parts_span(&parts), dim);
done:
  parts_free(&parts);
  return result;
}

/* Tensors of one dtype and shape; dim wrapped. */
LpTensor *lp_impl_stack_same(LpTensors tensors, int64_t dim) {
  LpTensor *first = tensors.data[0];
  CHECK(first->ndim < LP_MAX_DIMS, LP_ERR_ARGUMENT, "a tensor has at most %d dims",
        LP_MAX_DIMS);
  int64_t sizes[LP_MAX_DIMS], strides[LP_MAX_DIMS], n = 0;
  for (int64_t i = 0; i <= first->ndim; i++)
    sizes[i] = i == dim ? tensors.count : first->sizes[n++];
  LpTensor *out = lp_tensor_new(lp_ints(sizes, first->ndim + 1), (LpDtype)first->dtype,
                                first->storage->device);
  if (!out || join_blocks(out, tensors, dim)) return out;
  bool done, ok = join_short(out, tensors, dim, &done);
  n = 0;
  for (int64_t i = 0; i <= first->ndim; i++)
    if (i != dim) strides[n++] = out->strides[i];
  for (int64_t i = 0; i < tensors.count && ok && !done; i++) {
    LpTensor *part =
        lp_tensor_alias(out, lp_sizes(first), lp_ints(strides, n), i * out->strides[dim]);
    ok = part && lp_copy_into(part, tensors.data[i]);
    lp_tensor_release(part);
  }
  if (!ok) lp_drop(&out);
  return out;
}

/* --- kin
 * --------------------------------------------------------------------------------------
 */

/* Joins after `prepare` has given each tensor its dims. */
static LpTensor *join_prepared(LpTensors tensors, LpTensor *(*prepare)(LpTensor *t),
                               int64_t dim) {
  TRY(check_list(tensors));
  Parts parts;
  TRY(parts_new(&parts, tensors.count));
  LpTensor *result = NULL;
  for (int64_t i = 0; i < tensors.count; i++)
    if (!parts_add(&parts, prepare(tensors.data[i]))) goto done;
  if (dim < 0) dim = parts.data[0]->ndim == 1 ? 0 : 1; /* hstack */
  result = lp_cat(parts_span(&parts), dim);
done:
  parts_free(&parts);
  return result;
}

static LpTensor *as_column(LpTensor *t) {
  return t->ndim > 1 ? lp_tensor_retain(t)
                     : lp_reshape(t, lp_ints((int64_t[]){t->numel, 1}, 2));
}

LpTensor *lp_composite_hstack(LpTensors tensors) {
  return join_prepared(tensors, lp_atleast_1d, -1);
}
LpTensor *lp_composite_vstack(LpTensors tensors) {
  return join_prepared(tensors, lp_atleast_2d, 0);
}
LpTensor *lp_composite_dstack(LpTensors tensors) {
  return join_prepared(tensors, lp_atleast_3d, 2);
}
LpTensor *lp_composite_column_stack(LpTensors tensors) {
  return join_prepared(tensors, as_column, 1);
}

LpTensor *lp_composite_atleast_1d(LpTensor *self) {
  return self->ndim >= 1 ? lp_tensor_retain(self)
                         : lp_reshape(self, lp_ints((int64_t[]){1}, 1));
}

LpTensor *lp_composite_atleast_2d(LpTensor *self) {
  if (self->ndim >= 2) return lp_tensor_retain(self);
  return self->ndim == 0 ? lp_reshape(self, lp_ints((int64_t[]){1, 1}, 2))
                         : lp_unsqueeze(self, 0);
}

LpTensor *lp_composite_atleast_3d(LpTensor *self) {
  if (self->ndim >= 3) return lp_tensor_retain(self);
  if (self->ndim == 2) return lp_unsqueeze(self, -1);
  int64_t sizes[3] = {1, self->ndim == 0 ? 1 : self->sizes[0], 1};
  return lp_reshape(self, lp_ints(sizes, 3));
}

static bool each_prepared(LpTensors tensors, LpTensor *(*prepare)(LpTensor *t),
                          LpTensorVec *results) {
  TRY(lp_vec_new(results, tensors.count));
  for (int64_t i = 0; i < tensors.count; i++)
    if (!(results->data[i] = prepare(tensors.data[i]))) {
      lp_tensor_vec_free(results);
      return false;
    }
  return true;
}

bool lp_composite_atleast_1d_sequence(LpTensors tensors, LpTensorVec *results) {
  return each_prepared(tensors, lp_atleast_1d, results);
}
bool lp_composite_atleast_2d_sequence(LpTensors tensors, LpTensorVec *results) {
  return each_prepared(tensors, lp_atleast_2d, results);
}
bool lp_composite_atleast_3d_sequence(LpTensors tensors, LpTensorVec *results) {
  return each_prepared(tensors, lp_atleast_3d, results);
}

/* --- matrices of parts, products of sets
 * --------------------------------------------------------- */

LpTensor *lp_composite_block_diag(LpTensors tensors) {
  TRY(check_list(tensors));
  int64_t sizes[2] = {0, 0};
  for (int64_t i = 0; i < tensors.count; i++) {
    const LpTensor *t = tensors.data[i];
    CHECK(t->ndim <= 2, LP_ERR_ARGUMENT,
          "expected tensors of at most 2 dims, but tensor %lld has shape %s", L(i),
          SHAPE_TEXT(t));
    sizes[0] += t->ndim == 2 ? t->sizes[0] : 1;
    sizes[1] += t->ndim == 0 ? 1 : t->sizes[t->ndim - 1];
  }
  LpTensor *out = lp_zeros(lp_ints(sizes, 2), joined_dtype(tensors),
                           tensors.data[0]->storage->device, false);
  for (int64_t i = 0; i < tensors.count; i++) {
    if (!tensors.data[i]->physical) continue;
    out = lp_vmap_writable(out);
    break;
  }
  int64_t row = 0, column = 0;
  for (int64_t i = 0; i < tensors.count && out; i++) {
    LpTensor *block = lp_atleast_2d(tensors.data[i]), *rows = NULL, *place = NULL;
    bool ok = block && (rows = lp_narrow(out, 0, row, block->sizes[0])) &&
              (place = lp_narrow(rows, 1, column, block->sizes[1])) &&
              lp_copy_(place, block, false);
    if (ok) row += block->sizes[0], column += block->sizes[1];
    lp_tensor_release(block);
    lp_tensor_release(rows);
    lp_tensor_release(place);
    if (ok) continue;
    lp_tensor_release(out);
    out = NULL;
  }
  return out;
}

LpTensor *lp_composite_cartesian_prod(LpTensors tensors) {
  TRY(check_list(tensors));
  for (int64_t i = 0; i < tensors.count; i++)
    CHECK(tensors.data[i]->ndim == 1, LP_ERR_ARGUMENT,
          "expected vectors, but tensor %lld has shape %s", L(i),
          SHAPE_TEXT(tensors.data[i]));
  if (tensors.count == 1) return lp_tensor_retain(tensors.data[0]);
  LpTensorVec grids;
  TRY(lp_meshgrid(tensors, "ij", &grids));
  LpTensor *joined = lp_stack((LpTensors){grids.data, grids.count}, -1);
  lp_tensor_vec_free(&grids);
  LpTensor *result =
      joined ? lp_reshape(joined, lp_ints((int64_t[]){-1, tensors.count}, 2)) : NULL;
  lp_tensor_release(joined);
  return result;
}

/* The number of rows of combinations: choose(n, r), or choose(n + r - 1, r) with
 * replacement. */
static bool count_choices(int64_t n, int64_t r, bool with_replacement, int64_t *count) {
  if (with_replacement) n = n == 0 && r > 0 ? 0 : n + r - 1;
  *count = r > n ? 0 : 1;
  for (int64_t k = 1; k <= r && *count;
       k++) { /* exact: the product of k factors in a row divides by k! */
    CHECK(!__builtin_mul_overflow(*count, n - r + k, count), LP_ERR_MEMORY,
          "there are too many combinations");
    *count /= k;
  }
  return true;
}

LpTensor *lp_composite_combinations(LpTensor *self, int64_t r, bool with_replacement) {
  CHECK(self->ndim == 1, LP_ERR_ARGUMENT, "expects a 1-d vector, got shape %s",
        SHAPE_TEXT(self));
  CHECK(r >= 0, LP_ERR_ARGUMENT, "r must be non-negative, got %lld", L(r));
  if (r == 0)
    return lp_empty(lp_ints((int64_t[]){0}, 1), (LpDtype)self->dtype,
                    self->storage->device, LP_FORMAT_NONE, false);
  int64_t count, total;
  CHECK(r < INT32_MAX, LP_ERR_MEMORY, "there are too many combinations of %lld", L(r));
  TRY(count_choices(self->numel, r, with_replacement, &count));
  CHECK(!__builtin_mul_overflow(count, r, &total), LP_ERR_MEMORY,
        "there are too many combinations");
  LpTensor *index = lp_tensor_new(lp_ints(&total, 1), LP_INT64, self->storage->device);
  if (!index) return NULL;
  int64_t *out = lp_data(index);
  for (int64_t k = 0; k < r && count; k++) out[k] = with_replacement ? 0 : k;
  for (int64_t i = 1; i < count; i++) {
    int64_t *row = out + i * r, at = r - 1;
    memcpy(row, row - r, (size_t)r * sizeof *row);
    /* The last place that can still grow grows; those behind it start anew. */
    while (row[at] == self->numel - 1 - (with_replacement ? 0 : r - 1 - at)) at--;
    row[at]++;
    for (int64_t k = at + 1; k < r; k++) row[k] = row[k - 1] + !with_replacement;
  }
  LpTensor *chosen = lp_index_select(self, 0, index);
  LpTensor *result = chosen ? lp_view(chosen, lp_ints((int64_t[]){count, r}, 2)) : NULL;
  lp_tensor_release(index);
  lp_tensor_release(chosen);
  return result;
}
