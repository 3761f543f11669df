/* Moving and repeating elements: flip, roll, rot90, tile, repeat, repeat_interleave,
 * sum_to_size. */
#include <string.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "core/whole.h"
#include "cpu/copy.h"
#include "cpu/tasks.h"
#include "dispatch/iter.h"
#include "dispatch/rows.h"
#include "dispatch/shape.h"
#include "impl.h"
#include "lampad/ops.h"

#define L(x) ((long long)(x))
#define INTS_TEXT(ints) lp_format_ints(ints, (char[256]){0}, 256)

/* dims as a set; false with the error recorded when one is out of range or stands twice.
 */
static bool dim_set(LpInts dims, int64_t ndim, uint64_t *set) {
  *set = 0;
  for (int64_t i = 0; i < dims.count; i++) {
    int64_t d;
    TRY(lp_wrap_dim(dims.data[i], ndim, &d));
    CHECK(!(*set >> d & 1), LP_ERR_ARGUMENT, "dim %lld appears multiple times in %s",
          L(d), INTS_TEXT(dims));
    *set |= (uint64_t)1 << d;
  }
  return true;
}

/* --- flip
 * -------------------------------------------------------------------------------------
 */

/* Rows of the contiguous result. Dims outermost first; those flipped are walked from
 * their end with a negative step. A block is an element, or what lies together beside a
 * flipped dim. */
typedef struct Flip {
  const char *src;
  char *dst;
  LpLoop copy; /* of elements; NULL: each row is of blocks in reverse order */
  int ndim;    /* of the dims before the row */
  int64_t sizes[LP_MAX_DIMS], steps[LP_MAX_DIMS]; /* steps in bytes */
  int64_t row, step, block;                       /* blocks of a row; bytes */
  int64_t piece, pieces;                          /* how a row is cut into tasks */
} Flip;

static void flip_piece(void *ctx, int64_t task) {
  const Flip *f = ctx;
  int64_t row = task / f->pieces, first = task % f->pieces * f->piece, rest = row;
  int64_t n = f->row - first < f->piece ? f->row - first : f->piece;
  const char *src = f->src + first * f->step;
  char *dst = f->dst + (row * f->row + first) * f->block;
  for (int d = f->ndim - 1; d >= 0; d--) {
    src += rest % f->sizes[d] * f->steps[d];
    rest /= f->sizes[d];
  }
  if (f->copy)
    f->copy((char *[2]){dst, (char *)src}, (int64_t[2]){f->block, f->step}, n, NULL);
  else
    lp_copy_kernels()->reverse(dst, src, n, f->block);
}

/* The dims of the walk, neighbours joined where one step serves both. */
static void flip_dims(Flip *f, const LpTensor *t, uint64_t set) {
  int64_t elem = (int64_t)lp_dtype_size((LpDtype)t->dtype);
  f->src = lp_data(t);
  for (int d = 0; d < t->ndim; d++) {
    int64_t size = t->sizes[d], step = t->strides[d] * elem, last = f->ndim - 1;
    if (size == 1) continue;
    if (set >> d & 1) {
      f->src += (size - 1) * step;
      step = -step;
    }
    if (last >= 0 && f->steps[last] == step * size) {
      f->sizes[last] *= size;
      f->steps[last] = step;
    } else {
      f->sizes[f->ndim] = size;
      f->steps[f->ndim++] = step;
    }
  }
}

/* Takes the innermost dim, or a flipped one with the block beside it, for the row. */
static void flip_row(Flip *f, LpDtype dtype) {
  f->block = (int64_t)lp_dtype_size(dtype);
  f->row = 1;
  if (f->ndim > 0) {
    f->row = f->sizes[--f->ndim];
    f->step = f->steps[f->ndim];
  }
  const int64_t whole = f->row * f->block;
  if (f->ndim > 0 && f->step == f->block && f->steps[f->ndim - 1] == -whole) {
    f->block = whole;
    f->row = f->sizes[--f->ndim];
    f->step = -whole;
  }
  if (f->step != -f->block) f->copy = lp_cast_loop(dtype, dtype);
}

/* Many short rows at a time; a block, too, is a row. */
static bool flip_short(const Flip *f, int64_t size) {
  int64_t shape[LP_MAX_DIMS], from[LP_MAX_DIMS];
  int n = 0;
  if (f->block > size) shape[n] = f->block / size, from[n++] = size;
  shape[n] = f->row, from[n++] = f->step;
  for (int d = f->ndim - 1; d >= 0; d--) shape[n] = f->sizes[d], from[n++] = f->steps[d];
  if (n == 1) shape[n] = 1, from[n++] = 0;
  return lp_move_all(&(LpMove){n, size, shape, NULL, from}, f->dst, f->src);
}

#define SHORT_BLOCKS 512 /* bytes; what has more in a row has a kernel of its own */
#define FLIP_PIECE 16384 /* elements of a task, about */

LpTensor *lp_impl_flip(LpTensor *self, LpInts dims) {
  uint64_t set;
  TRY(dim_set(dims, self->ndim, &set));
  LpTensor *out =
      lp_tensor_new(lp_sizes(self), (LpDtype)self->dtype, self->storage->device);
  if (!out || out->numel == 0) return out;
  Flip f = {.dst = lp_data(out)};
  flip_dims(&f, self, set);
  flip_row(&f, (LpDtype)self->dtype);
  const int64_t size = (int64_t)lp_dtype_size((LpDtype)self->dtype);
  int64_t elems = f.block / size;
  int64_t rows = self->numel / (f.row * elems);
  f.piece = lp_ratio_up(FLIP_PIECE, elems);
  f.pieces = lp_ratio_up(f.row, f.piece);
  const bool is_short =
      f.row * f.block <= (f.block > size ? SHORT_BLOCKS : LP_SHORT_ROW_BYTES);
  if (is_short ? flip_short(&f, size)
               : lp_run_tasks(rows * f.pieces, elems * (f.pieces > 1 ? f.piece : f.row),
                              flip_piece, &f))
    return out;
  lp_tensor_release(out);
  return NULL;
}

LpTensor *lp_composite_fliplr(LpTensor *self) {
  CHECK(self->ndim >= 2, LP_ERR_ARGUMENT, "input must have at least 2 dims, got shape %s",
        SHAPE_TEXT(self));
  return lp_flip(self, lp_ints((int64_t[]){1}, 1));
}

LpTensor *lp_composite_flipud(LpTensor *self) {
  CHECK(self->ndim >= 1, LP_ERR_ARGUMENT,
        "input must have at least 1 dim, got a 0-d tensor");
  return lp_flip(self, lp_ints((int64_t[]){0}, 1));
}

LpTensor *lp_composite_rot90(LpTensor *self, int64_t k, LpInts dims) {
  CHECK(dims.count == 2, LP_ERR_ARGUMENT, "expected two rotation dims, got %s",
        INTS_TEXT(dims));
  CHECK(self->ndim >= 2, LP_ERR_ARGUMENT, "input must have at least 2 dims, got shape %s",
        SHAPE_TEXT(self));
  int64_t a, b;
  TRY(lp_wrap_dim(dims.data[0], self->ndim, &a));
  TRY(lp_wrap_dim(dims.data[1], self->ndim, &b));
  CHECK(a != b, LP_ERR_ARGUMENT, "rotation dims must differ, got %s", INTS_TEXT(dims));
  k = (k % 4 + 4) % 4;
  if (k == 0) return lp_clone(self, LP_CONTIGUOUS);
  if (k == 2) return lp_flip(self, lp_ints((int64_t[]){a, b}, 2));
  LpTensor *flipped = lp_flip(self, lp_ints(k == 1 ? &b : &a, 1));
  LpTensor *result = flipped ? lp_transpose(flipped, a, b) : NULL;
  lp_tensor_release(flipped);
  return result;
}

/* --- roll
 * -------------------------------------------------------------------------------------
 */

static LpTensor *roll_dim(LpTensor *self, int64_t shift, int64_t dim) {
  int64_t size = self->sizes[dim];
  if (size == 0) return lp_clone(self, LP_CONTIGUOUS);
  int64_t start = (size - shift % size) % size;
  if (start == 0) return lp_clone(self, LP_CONTIGUOUS);
  LpTensor *parts[2] = {
      lp_slice(self, dim, (LpOptInt){true, start}, (LpOptInt){false, 0}, 1), NULL};
  if (parts[0])
    parts[1] = lp_slice(self, dim, (LpOptInt){true, 0}, (LpOptInt){true, start}, 1);
  LpTensor *result = parts[1] ? lp_cat((LpTensors){parts, 2}, dim) : NULL;
  lp_tensor_release(parts[0]);
  lp_tensor_release(parts[1]);
  return result;
}

LpTensor *lp_composite_roll(LpTensor *self, LpInts shifts, LpInts dims) {
  if (dims.count == 0) {
    CHECK(shifts.count == 1, LP_ERR_ARGUMENT,
          "shifts and dims must have as many entries, got %s and %s", INTS_TEXT(shifts),
          INTS_TEXT(dims));
    LpTensor *flat = lp_reshape(self, lp_ints((int64_t[]){-1 + (self->numel == 0)}, 1));
    LpTensor *rolled = flat ? roll_dim(flat, shifts.data[0], 0) : NULL;
    LpTensor *result = rolled ? lp_view(rolled, lp_sizes(self)) : NULL;
    lp_tensor_release(flat);
    lp_tensor_release(rolled);
    return result;
  }
  CHECK(shifts.count == dims.count, LP_ERR_ARGUMENT,
        "shifts and dims must have as many entries, got %s and %s", INTS_TEXT(shifts),
        INTS_TEXT(dims));
  CHECK(self->ndim > 0, LP_ERR_INDEX, "a 0-d tensor has no dim to roll; leave dims out");
  LpTensor *result = lp_tensor_retain(self);
  for (int64_t i = 0; i < dims.count && result; i++) {
    int64_t dim;
    LpTensor *next = lp_wrap_dim(dims.data[i], self->ndim, &dim)
                         ? roll_dim(result, shifts.data[i], dim)
                         : NULL;
    lp_tensor_release(result);
    result = next;
  }
  return result;
}

/* --- repeat
 * ----------------------------------------------------------------------------------- */

LpTensor *lp_composite_rep(LpTensor *self, LpInts repeats) {
  CHECK(repeats.count >= self->ndim, LP_ERR_ARGUMENT,
        "number of repeats (%s) can not be smaller than the number of dims of the tensor "
        "(shape %s)",
        INTS_TEXT(repeats), SHAPE_TEXT(self));
  CHECK(repeats.count <= LP_MAX_DIMS, LP_ERR_ARGUMENT, "a tensor has at most %d dims",
        LP_MAX_DIMS);
  int64_t final[LP_MAX_DIMS], split[LP_MAX_DIMS], wide[LP_MAX_DIMS],
      lead = repeats.count - self->ndim, n = 0;
  for (int64_t i = 0; i < repeats.count; i++) {
    int64_t times = repeats.data[i], size = i < lead ? 1 : self->sizes[i - lead];
    CHECK(times >= 0, LP_ERR_ARGUMENT, "repeats must not be negative, got %s",
          INTS_TEXT(repeats));
    CHECK(!__builtin_mul_overflow(size, times, &final[i]), LP_ERR_MEMORY,
          "the repeated tensor is too large");
    /* A dim to repeat becomes (1, size), expanded to (times, size). */
    if (times != 1 && size != 1) {
      CHECK(n + 2 <= LP_MAX_DIMS, LP_ERR_ARGUMENT, "too many dims to repeat: %s",
            INTS_TEXT(repeats));
      split[n] = 1, wide[n++] = times;
      split[n] = size, wide[n++] = size;
    } else {
      CHECK(n + 1 <= LP_MAX_DIMS, LP_ERR_ARGUMENT, "too many dims to repeat: %s",
            INTS_TEXT(repeats));
      split[n] = size, wide[n++] = size == 1 ? times : size;
    }
  }
  LpTensor *narrow = lp_reshape(self, lp_ints(split, n));
  LpTensor *expanded = narrow ? lp_expand(narrow, lp_ints(wide, n)) : NULL;
  LpTensor *copy = expanded ? lp_clone(expanded, LP_CONTIGUOUS) : NULL;
  LpTensor *result = copy ? lp_unsafe_view(copy, lp_ints(final, repeats.count)) : NULL;
  lp_tensor_release(narrow);
  lp_tensor_release(expanded);
  lp_tensor_release(copy);
  return result;
}

LpTensor *lp_composite_tile(LpTensor *self, LpInts dims) {
  if (dims.count >= self->ndim) return lp_rep(self, dims);
  int64_t repeats[LP_MAX_DIMS], lead = self->ndim - dims.count;
  for (int64_t i = 0; i < self->ndim; i++)
    repeats[i] = i < lead ? 1 : dims.data[i - lead];
  return lp_rep(self, lp_ints(repeats, self->ndim));
}

static bool check_output_size(LpOptInt output_size, int64_t total) {
  CHECK(!output_size.has || output_size.value == total, LP_ERR_ARGUMENT,
        "output_size must be the sum of the repeats, %lld, got %lld", L(total),
        L(output_size.value));
  return true;
}

LpTensor *lp_composite_repeat_interleave_self_int(LpTensor *self, int64_t repeats,
                                                  LpOptInt dim, LpOptInt output_size) {
  CHECK(repeats >= 0, LP_ERR_ARGUMENT, "repeats must not be negative, got %lld",
        L(repeats));
  LpTensor *input =
      dim.has && self->ndim > 0 ? lp_tensor_retain(self) : lp_flatten(self, 0, -1);
  if (!input) return NULL;
  int64_t at = 0, sizes[LP_MAX_DIMS + 1];
  LpTensor *result = NULL, *column = NULL, *wide = NULL, *copy = NULL;
  if (dim.has && !lp_wrap_dim(dim.value, input->ndim, &at)) goto done;
  if (!(column = lp_unsqueeze(input, at + 1))) goto done;
  memcpy(sizes, column->sizes, (size_t)column->ndim * sizeof *sizes);
  sizes[at + 1] = repeats;
  if (!(wide = lp_expand(column, lp_ints(sizes, column->ndim))) ||
      !(copy = lp_clone(wide, LP_CONTIGUOUS)))
    goto done;
  memcpy(sizes, input->sizes, (size_t)input->ndim * sizeof *sizes);
  if (__builtin_mul_overflow(sizes[at], repeats, &sizes[at])) {
    lp_fail(LP_ERR_MEMORY, "the repeated tensor is too large");
    goto done;
  }
  if (!check_output_size(output_size, sizes[at])) goto done;
  result = lp_unsafe_view(copy, lp_ints(sizes, input->ndim));
done:
  lp_tensor_release(input);
  lp_tensor_release(column);
  lp_tensor_release(wide);
  lp_tensor_release(copy);
  return result;
}

/* [2, 0, 3] -> [0, 0, 2, 2, 2]: the index of the source of each output element. */
LpTensor *lp_impl_repeat_interleave(LpTensor *repeats, LpOptInt output_size) {
  CHECK(repeats->ndim == 1, LP_ERR_ARGUMENT, "repeats must be a 1-d tensor, got shape %s",
        SHAPE_TEXT(repeats));
  CHECK(repeats->dtype == LP_INT64 || repeats->dtype == LP_INT32, LP_ERR_TYPE,
        "repeats must be int64 or int32, got %s", lp_dtype_name((LpDtype)repeats->dtype));
  LpTensor *wide = lp_cast_raw(repeats, LP_INT64),
           *counts = wide ? lp_contiguous_raw(wide) : NULL, *out = NULL;
  lp_tensor_release(wide);
  if (!counts) return NULL;
  const int64_t *count = lp_data(counts);
  int64_t total = 0;
  for (int64_t i = 0; i < counts->numel; i++) {
    if (count[i] < 0 || __builtin_add_overflow(total, count[i], &total)) {
      lp_fail(LP_ERR_ARGUMENT, "repeats must not be negative, got %lld", L(count[i]));
      goto done;
    }
  }
  if (!check_output_size(output_size, total) ||
      !(out = lp_tensor_new(lp_ints(&total, 1), LP_INT64, repeats->storage->device)))
    goto done;
  int64_t *at = lp_data(out);
  for (int64_t i = 0; i < counts->numel; i++)
    for (int64_t k = 0; k < count[i]; k++) *at++ = i;
done:
  lp_tensor_release(counts);
  return out;
}

LpTensor *lp_composite_repeat_interleave_self_tensor(LpTensor *self, LpTensor *repeats,
                                                     LpOptInt dim, LpOptInt output_size) {
  LpTensor *input =
      dim.has && self->ndim > 0 ? lp_tensor_retain(self) : lp_flatten(self, 0, -1);
  if (!input) return NULL;
  int64_t at = 0;
  LpTensor *each = NULL, *index = NULL, *result = NULL;
  if (dim.has && !lp_wrap_dim(dim.value, input->ndim, &at)) goto done;
  if (repeats->ndim == 0 || (repeats->ndim == 1 && repeats->sizes[0] == 1)) {
    LpTensor *flat = lp_reshape(repeats, lp_ints((int64_t[]){1}, 1));
    each = flat ? lp_expand(flat, lp_ints(&input->sizes[at], 1)) : NULL;
    lp_tensor_release(flat);
  } else {
    each = lp_tensor_retain(repeats);
  }
  if (!each) goto done;
  if (each->ndim != 1 || each->sizes[0] != input->sizes[at]) {
    lp_fail(LP_ERR_ARGUMENT,
            "repeats must have the same size as the input along dim %lld (%lld), got "
            "shape %s",
            L(at), L(input->sizes[at]), SHAPE_TEXT(repeats));
    goto done;
  }
  if ((index = lp_repeat_interleave(each, output_size)))
    result = lp_index_select(input, at, index);
done:
  lp_tensor_release(input);
  lp_tensor_release(each);
  lp_tensor_release(index);
  return result;
}

/* --- sum_to_size
 * ------------------------------------------------------------------------------ */

LpTensor *lp_composite_sum_to_size(LpTensor *self, LpInts size) {
  int64_t lead = self->ndim - size.count, dims[LP_MAX_DIMS], n = 0;
  bool same = lead == 0;
  CHECK(lead >= 0, LP_ERR_ARGUMENT, "size %s is not expandable to the tensor's shape %s",
        INTS_TEXT(size), SHAPE_TEXT(self));
  for (int64_t i = 0; i < self->ndim; i++) {
    if (i < lead) {
      dims[n++] = i;
      continue;
    }
    int64_t want = size.data[i - lead];
    CHECK(want == self->sizes[i] || want == 1, LP_ERR_ARGUMENT,
          "size %s is not expandable to the tensor's shape %s", INTS_TEXT(size),
          SHAPE_TEXT(self));
    if (want == 1 && self->sizes[i] != 1) dims[n++] = i;
  }
  if (size.count == 0 && lp_dtype_is_integral((LpDtype)self->dtype, true))
    return lp_sum(self,
                  LP_DTYPE_NONE); /* int64, even when there is nothing to sum over */
  if (n == 0 && same) return lp_tensor_retain(self);
  LpTensor *sum = n == 0 ? lp_tensor_retain(self)
                         : lp_sum_dim(self, lp_ints(dims, n), true, LP_DTYPE_NONE);
  if (!sum || same) return sum;
  LpTensor *result = lp_view(sum, size);
  lp_tensor_release(sum);
  return result;
}
