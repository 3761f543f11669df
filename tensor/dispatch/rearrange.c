/* Moving and repeating elements: flip, roll, rot90, tile, repeat, repeat_interleave,
 * sum_to_size. */
#include <string.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "dispatch/iter.h"
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

/* Rows of the contiguous result, each read forwards or backwards from self. */
typedef struct Flip {
  const LpTensor *self;
  char *out;
  uint64_t set;
  LpLoop copy;
  int64_t row;
} Flip;

static void flip_rows(void *ctx, int64_t begin, int64_t end) {
  const Flip *f = ctx;
  const LpTensor *t = f->self;
  int64_t size = (int64_t)lp_dtype_size((LpDtype)t->dtype);
  int last = t->ndim - 1;
  for (int64_t r = begin; r < end; r++) {
    if ((r & 255) == 0 && lp_interrupt_pending()) return;
    int64_t rest = r, at = 0;
    for (int d = last - 1; d >= 0; d--) {
      int64_t i = rest % t->sizes[d];
      rest /= t->sizes[d];
      at += (f->set >> d & 1 ? t->sizes[d] - 1 - i : i) * t->strides[d];
    }
    int64_t step = t->strides[last];
    if (f->set >> last & 1) {
      at += (t->sizes[last] - 1) * step;
      step = -step;
    }
    char *ptrs[2] = {f->out + r * f->row * size, (char *)lp_data(t) + at * size};
    f->copy(ptrs, (int64_t[2]){size, step * size}, f->row, NULL);
  }
}

LpTensor *lp_impl_flip(LpTensor *self, LpInts dims) {
  uint64_t set;
  TRY(dim_set(dims, self->ndim, &set));
  LpTensor *out =
      lp_tensor_new(lp_sizes(self), (LpDtype)self->dtype, self->storage->device);
  if (!out) return NULL;
  if (self->ndim == 0 || self->numel == 0) {
    if (self->numel && !lp_copy_into(out, self)) {
      lp_tensor_release(out);
      return NULL;
    }
    return out;
  }
  int64_t row = self->sizes[self->ndim - 1];
  Flip f = {self, lp_data(out), set,
            lp_cast_loop((LpDtype)self->dtype, (LpDtype)self->dtype), row};
  lp_parallel_for(self->numel / row, LP_GRAIN / row + 1, flip_rows, &f);
  if (lp_interrupt_take()) {
    lp_tensor_release(out);
    lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt");
    return NULL;
  }
  return out;
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
                                                     LpOptInt dim,
                                                     LpOptInt output_size) {
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
  if ((index = lp_repeat_interleave(each, output_size))) result = lp_index_select(input, at, index);
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
    return lp_sum(self, LP_DTYPE_NONE); /* int64, even when there is nothing to sum over */
  if (n == 0 && same) return lp_tensor_retain(self);
  LpTensor *sum = n == 0 ? lp_tensor_retain(self)
                         : lp_sum_dim(self, lp_ints(dims, n), true, LP_DTYPE_NONE);
  if (!sum || same) return sum;
  LpTensor *result = lp_view(sum, size);
  lp_tensor_release(sum);
  return result;
}
