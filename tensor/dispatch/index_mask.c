/* Nonzero positions and masks: nonzero, masked_scatter, one_hot. */
#include <string.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/reduce.h"
#include "cpu/tasks.h"
#include "dispatch/index.h"
#include "dispatch/iter.h"
#include "dispatch/reduce.h"
#include "impl.h"

#define PIECE 32768 /* elements of a task */
#define CHUNK 1024  /* elements whose places are held at once */

/* --- positions -------------------------------------------------------------------------------------- */

typedef struct Scan {
  const LpTensor *t; /* dense */
  LpLoad load;       /* to bytes: element != 0; NULL: the elements are such bytes */
  int64_t *counts;   /* true elements per piece, then where each piece's results begin */
  int64_t *result, dim_stride, step;
} Scan;

/* n <= CHUNK elements as bytes, read into `buffer` unless they are bytes already. */
static const uint8_t *truth_of(const Scan *s, int64_t first, int64_t n, uint8_t *buffer) {
  const int64_t elem = (int64_t)lp_dtype_size(lp_dtype(s->t));
  const char *x = (const char *)lp_data(s->t) + first * elem;
  if (!s->load) return (const uint8_t *)x;
  s->load(buffer, x, elem, n);
  return buffer;
}

static int64_t end_of_piece(const Scan *s, int64_t piece) {
  const int64_t end = (piece + 1) * PIECE, n = lp_numel(s->t);
  return end < n ? end : n;
}

static void count_piece(void *ctx, int64_t piece) {
  Scan *s = ctx;
  uint8_t buffer[CHUNK];
  int64_t total = 0;
  for (int64_t at = piece * PIECE, end = end_of_piece(s, piece); at < end; at += CHUNK) {
    const int64_t n = end - at < CHUNK ? end - at : CHUNK;
    total += lp_index_table()->count_true(truth_of(s, at, n, buffer), n);
  }
  s->counts[piece] = total;
}

/* The line along the last dim in which the walk stands: the place of its first element, and its position in
 * the dims before. */
typedef struct Line {
  int64_t first, length, index[LP_MAX_DIMS];
} Line;

static void line_init(Line *line, const LpTensor *t, int64_t at) {
  int64_t ndim = lp_ndim(t), rest = at / lp_size(t, ndim - 1);
  line->length = lp_size(t, ndim - 1);
  line->first = rest * line->length;
  for (int64_t d = ndim - 2; d >= 0; d--) {
    line->index[d] = rest % lp_size(t, d);
    rest /= lp_size(t, d);
  }
}

/* To the line that holds `place`, which does not lie before this one. */
static void line_seek(Line *line, const LpTensor *t, int64_t place) {
  while (place - line->first >= line->length) {
    line->first += line->length;
    for (int64_t d = lp_ndim(t) - 2; d >= 0 && ++line->index[d] == lp_size(t, d); d--) line->index[d] = 0;
  }
}

#define SHORT_LINE 16 /* below it a place is divided for less than the walk from line to line takes */

/* Places in rising order, which are lost, become positions; where the next one goes is returned. */
static int64_t *spread(const Scan *s, Line *line, int64_t *places, int64_t n, int64_t *out) {
  const int64_t outer = lp_ndim(s->t) - 1, dim_stride = s->dim_stride, step = s->step;
  if (outer > 0 && line->length < SHORT_LINE) {
    for (int64_t d = outer; d > 0; d--)
      lp_index_table()->split_places(places, n, lp_size(s->t, d), out + d * dim_stride, step);
    for (int64_t j = 0; j < n; j++) out[j * step] = places[j];
    return out + n * step;
  }
  if (outer == 0 && step == 1) {
    memcpy(out, places, (size_t)n * sizeof *out);
    return out + n;
  }
  for (int64_t i = 0; i < n;) {
    line_seek(line, s->t, places[i]);
    const int64_t from = i, first = line->first, end = first + line->length;
    int64_t *last = out + outer * dim_stride;
    for (; i < n && places[i] < end; i++) last[(i - from) * step] = places[i] - first;
    for (int64_t d = 0; d < outer; d++) {
      const int64_t at = line->index[d];
      for (int64_t j = 0; j < i - from; j++) out[d * dim_stride + j * step] = at;
    }
    out += (i - from) * step;
  }
  return out;
}

static void fill_piece(void *ctx, int64_t piece) {
  Scan *s = ctx;
  uint8_t buffer[CHUNK];
  int64_t places[CHUNK + 7], *out = s->result + s->counts[piece] * s->step;
  Line line;
  line_init(&line, s->t, piece * PIECE);
  for (int64_t at = piece * PIECE, end = end_of_piece(s, piece); at < end; at += CHUNK) {
    const int64_t n = end - at < CHUNK ? end - at : CHUNK;
    const uint8_t *truth = truth_of(s, at, n, buffer);
    out = spread(s, &line, places, lp_index_table()->true_places(truth, n, at, places), out);
  }
}

static bool scan(LpTensor *t, Scan *s, int64_t *count) {
  int64_t pieces = (lp_numel(t) + PIECE - 1) / PIECE;
  size_t bytes = (size_t)(pieces + 1) * sizeof(int64_t);
  s->t = t;
  s->load = lp_dtype_size(lp_dtype(t)) == 1 ? NULL : lp_reduce_table()->load[LP_AS_BOOL][lp_dtype(t)];
  TRY(s->counts = lp_calloc(bytes));
  bool ok = lp_run_tasks(pieces, PIECE, count_piece, s);
  *count = 0;
  for (int64_t i = 0; i < pieces; i++) {
    int64_t n = s->counts[i];
    s->counts[i] = *count;
    *count += n;
  }
  if (ok && s->result) ok = lp_run_tasks(pieces, PIECE, fill_piece, s);
  lp_free(s->counts, bytes);
  return ok;
}

bool lp_count_true(LpTensor *t, int64_t *count) {
  Scan s = {0};
  return scan(t, &s, count);
}

bool lp_fill_positions(LpTensor *t, int64_t *result, int64_t dim_stride, int64_t step, int64_t count) {
  Scan s = {.result = result, .dim_stride = dim_stride, .step = step};
  return count == 0 || lp_ndim(t) == 0 || scan(t, &s, &count);
}

/* A dense tensor in one dim. */
static LpTensor *flattened(LpTensor *t) {
  int64_t n = lp_numel(t), one = 1;
  return lp_tensor_alias(t, lp_ints(&n, 1), lp_ints(&one, 1), t->offset_elems);
}

LpTensor *lp_true_places(LpTensor *t) {
  LpTensor *dense = lp_dense(t, lp_dtype(t)), *flat = dense ? flattened(dense) : NULL, *places = NULL;
  int64_t count;
  if (flat && lp_count_true(flat, &count) &&
      (places = lp_tensor_new(lp_ints(&count, 1), LP_INT64, lp_device(t))) &&
      !lp_fill_positions(flat, lp_data(places), 1, 1, count)) {
    lp_tensor_release(places);
    places = NULL;
  }
  lp_tensor_release(flat);
  lp_tensor_release(dense);
  return places;
}

bool lp_true_columns(LpTensor *t, LpTensor **results) {
  LpTensor *dense = lp_dense(t, lp_dtype(t));
  int64_t count = 0, n = 0, ndim = lp_ndim(t);
  bool ok = dense && lp_count_true(dense, &count);
  LpTensor *all = ok ? lp_tensor_new(lp_ints((int64_t[]){ndim, count}, 2), LP_INT64, lp_device(t)) : NULL;
  ok = all && lp_fill_positions(dense, lp_data(all), count, 1, count);
  for (; ok && n < ndim; n++) {
    int64_t one = 1;
    results[n] = lp_tensor_alias(all, lp_ints(&count, 1), lp_ints(&one, 1), n * count);
    if (!results[n]) ok = false;
  }
  while (!ok && n > 0) {
    lp_tensor_release(results[--n]);
    results[n] = NULL;
  }
  lp_tensor_release(all);
  lp_tensor_release(dense);
  return ok;
}

LpTensor *lp_impl_nonzero(LpTensor *out, LpTensor *self) {
  LpTensor *dense = lp_dense(self, lp_dtype(self)), *result = NULL;
  int64_t count, ndim = lp_ndim(self);
  if (dense && lp_count_true(dense, &count) &&
      (result = lp_tensor_new(lp_ints((int64_t[]){count, ndim}, 2), LP_INT64, lp_device(self))) && ndim > 0 &&
      !lp_fill_positions(dense, lp_data(result), 1, ndim, count)) {
    lp_tensor_release(result);
    result = NULL;
  }
  lp_tensor_release(dense);
  return lp_give(out, result);
}

bool lp_impl_nonzero_numpy(LpTensor *self, LpTensorVec *results) {
  /* A 0-d tensor counts as one of one element. */
  int64_t ndim = lp_ndim(self), one = 1;
  LpTensor *t = ndim ? lp_tensor_retain(self)
                     : lp_tensor_alias(self, lp_ints(&one, 1), lp_ints(&one, 1), self->offset_elems);
  if (!t) return false;
  if (!ndim) ndim = 1;
  results->count = ndim;
  results->data = lp_calloc((size_t)ndim * sizeof *results->data);
  bool ok = results->data && lp_true_columns(t, results->data);
  lp_tensor_release(t);
  if (!ok) lp_tensor_vec_free(results);
  return ok;
}

/* --- masks ------------------------------------------------------------------------------------------ */

/* The mask broadcast to self's shape, as dense bytes of 0 and 1. */
static LpTensor *full_mask(LpTensor *self, LpTensor *mask) {
  CHECK(lp_dtype(mask) == LP_BOOL, LP_ERR_TYPE, "mask must be bool, got %s", lp_dtype_name(lp_dtype(mask)));
  LpTensor *full = lp_tensor_new(lp_sizes(self), LP_BOOL, lp_device(self));
  if (!full || lp_copy_values(full, mask)) return full;
  lp_tensor_release(full);
  return NULL;
}

LpTensor *lp_impl_masked_scatter(LpTensor *out, LpTensor *self, LpTensor *mask, LpTensor *source) {
  TRY(lp_check_same_dtype(self, source, "source"));
  int64_t ndim = lp_ndim(self), shape[LP_MAX_DIMS], shape_ndim;
  TRY(lp_broadcast_shapes((LpInts[]){lp_sizes(self), lp_sizes(mask)}, 2, shape, &shape_ndim));
  LpTensor *base = lp_tensor_retain(self);
  if (!out && (shape_ndim != ndim || memcmp(shape, self->sizes, (size_t)ndim * sizeof *shape))) {
    lp_tensor_release(base); /* out of place, the result has the broadcast shape */
    base = lp_tensor_new(lp_ints(shape, shape_ndim), lp_dtype(self), lp_device(self));
    if (!base || !lp_copy_values(base, self)) {
      lp_tensor_release(base);
      return NULL;
    }
  }
  LpTensor *full = full_mask(base, mask), *at = full ? lp_true_places(full) : NULL;
  LpTensor *values = at ? lp_dense(source, lp_dtype(self)) : NULL, *result = NULL;
  const int64_t count = at ? lp_numel(at) : 0, one = 1;
  if (values && count > lp_numel(source)) {
    lp_fail(LP_ERR_ARGUMENT, "source must have an element for each of the mask's %lld true values, got %lld",
            (long long)count, (long long)lp_numel(source));
  } else if (values) {
    LpTensor *head = lp_tensor_alias(values, lp_ints(&count, 1), lp_ints(&one, 1), values->offset_elems);
    result = head ? lp_put_distinct(out, base, at, head) : NULL;
    lp_tensor_release(head);
  }
  lp_tensor_release(full);
  lp_tensor_release(values);
  lp_tensor_release(at);
  lp_tensor_release(base);
  return result;
}

/* --- one_hot ------------------------------------------------------------------------------------------ */

LpTensor *lp_impl_one_hot(LpTensor *self, int64_t num_classes) {
  CHECK(lp_dtype(self) == LP_INT64, LP_ERR_TYPE, "self must hold int64 class indices, got %s",
        lp_dtype_name(lp_dtype(self)));
  CHECK(lp_ndim(self) < LP_MAX_DIMS, LP_ERR_ARGUMENT, "self has too many dims");
  CHECK(lp_numel(self) > 0 || num_classes > 0, LP_ERR_ARGUMENT,
        "num_classes must be given when there are no class indices");
  LpTensor *dense = lp_dense(self, LP_INT64);
  if (!dense) return NULL;
  int64_t n = lp_numel(dense), largest = -1, smallest = 0, sizes[LP_MAX_DIMS];
  const int64_t *classes = lp_data(dense);
  for (int64_t i = 0; i < n; i++) {
    if (classes[i] > largest) largest = classes[i];
    if (classes[i] < smallest) smallest = classes[i];
  }
  LpTensor *result = NULL;
  if (smallest < 0)
    lp_fail(LP_ERR_ARGUMENT, "class values must be non-negative, got %lld", (long long)smallest);
  else if (num_classes != -1 && largest >= num_classes)
    lp_fail(LP_ERR_ARGUMENT, "class values must be smaller than num_classes = %lld, got %lld",
            (long long)num_classes, (long long)largest);
  else {
    if (num_classes == -1) num_classes = largest + 1;
    for (int64_t d = 0; d < lp_ndim(self); d++) sizes[d] = lp_size(self, d);
    sizes[lp_ndim(self)] = num_classes;
    result = lp_tensor_new(lp_ints(sizes, lp_ndim(self) + 1), LP_INT64, lp_device(self));
  }
  if (result) {
    int64_t *rows = lp_data(result);
    memset(rows, 0, (size_t)(n * num_classes) * sizeof *rows);
    for (int64_t i = 0; i < n; i++) rows[i * num_classes + classes[i]] = 1;
  }
  lp_tensor_release(dense);
  return result;
}
