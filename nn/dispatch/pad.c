/* pad in all its modes, as one map from result elements to input elements in each dim,
 * and its adjoint, which adds along the same map. */
#include <complex.h>
#include "core/alloc.h"
#include "dispatch/nn_util.h"
#include "impl.h"

typedef struct PadMap {
  int64_t ndim, in[LP_MAX_DIMS], out[LP_MAX_DIMS];
  int64_t *from[LP_MAX_DIMS]; /* out[d] entries: the input index, -1 outside */
  int64_t *block;
  size_t block_bytes;
} PadMap;

static int64_t source(int64_t i, int64_t n, char mode) {
  if (i >= 0 && i < n) return i;
  switch (mode) {
  case 'r': return i < 0 ? -i : 2 * (n - 1) - i; /* reflect */
  case 'e': return i < 0 ? 0 : n - 1;            /* replicate: the edge */
  default: return -1;
  }
}

static bool parse_mode(const char *mode, char *result) {
  if (!strcmp(mode, "constant"))
    *result = 'c';
  else if (!strcmp(mode, "reflect"))
    *result = 'r';
  else if (!strcmp(mode, "replicate"))
    *result = 'e';
  else if (!strcmp(mode, "circular"))
    *result = 'w';
  else
    return lp_fail(LP_ERR_ARGUMENT,
                   "expected 'mode' to be 'constant', 'reflect', 'replicate' or "
                   "'circular', got '%s'",
                   mode);
  return true;
}

/* The map for an input of these sizes; free with map_free. */
static bool map_init(PadMap *m, LpInts sizes, LpInts pad, const char *mode_name) {
  char mode = 'c', text[256];
  *m = (PadMap){.ndim = sizes.count};
  TRY(parse_mode(mode_name, &mode));
  lp_format_ints(sizes, text, sizeof text);
  CHECK(pad.count % 2 == 0 && pad.count / 2 <= sizes.count, LP_ERR_ARGUMENT,
        "expected 'pad' to hold two numbers for each of at most %lld dims, got %lld",
        (long long)sizes.count, (long long)pad.count);
  int64_t total = 0;
  for (int64_t d = 0; d < sizes.count; d++) {
    int64_t at = 2 * (sizes.count - 1 - d), n = sizes.data[d];
    int64_t before = at < pad.count ? pad.data[at] : 0,
            after = at < pad.count ? pad.data[at + 1] : 0;
    int64_t most = before > after ? before : after;
    CHECK(mode != 'r' || most < n || most <= 0, LP_ERR_ARGUMENT,
          "reflect padding must be smaller than the dim: got %lld for dim %lld of %s",
          (long long)most, (long long)d, text);
    CHECK(mode != 'w' || most <= n, LP_ERR_ARGUMENT,
          "circular padding must not be larger than the dim: got %lld for dim %lld of %s",
          (long long)most, (long long)d, text);
    CHECK(mode != 'e' || n > 0 || most <= 0, LP_ERR_ARGUMENT,
          "replicate padding needs elements in dim %lld of %s", (long long)d, text);
    m->in[d] = n;
    CHECK(!__builtin_add_overflow(before, after, &m->out[d]) &&
              !__builtin_add_overflow(m->out[d], n, &m->out[d]) &&
              !__builtin_add_overflow(total, m->out[d] < 0 ? 0 : m->out[d], &total) &&
              total < PTRDIFF_MAX / (int64_t)sizeof(int64_t),
          LP_ERR_MEMORY, "padding (%lld, %lld) makes dim %lld of %s larger than any memory",
          (long long)before, (long long)after, (long long)d, text);
    CHECK(m->out[d] >= 0, LP_ERR_ARGUMENT,
          "padding (%lld, %lld) would leave a negative size in dim %lld of %s",
          (long long)before, (long long)after, (long long)d, text);
    int64_t left = n + (before < 0 ? before : 0) + (after < 0 ? after : 0);
    CHECK(mode != 'w' || left > 0 || m->out[d] == 0, LP_ERR_ARGUMENT,
          "circular padding (%lld, %lld) leaves nothing to repeat in dim %lld of %s",
          (long long)before, (long long)after, (long long)d, text);
  }
  int64_t numel; /* before time goes into the maps */
  TRY(lp_numel_of(lp_ints(m->out, m->ndim), &numel));
  m->block_bytes = (size_t)(total + 1) * sizeof(int64_t);
  m->block = lp_alloc(m->block_bytes);
  TRY(m->block);
  int64_t *next = m->block;
  for (int64_t d = 0; d < sizes.count; d++) {
    int64_t at = 2 * (sizes.count - 1 - d), before = at < pad.count ? pad.data[at] : 0;
    m->from[d] = next;
    if (mode == 'w') { /* wraps within what negative numbers leave */
      int64_t after = at < pad.count ? pad.data[at + 1] : 0,
              low = before < 0 ? -before : 0;
      int64_t left = m->in[d] - low - (after < 0 ? -after : 0),
              shift = before > 0 ? before : 0;
      for (int64_t i = 0; i < m->out[d]; i++)
        *next++ = low + ((i - shift) % left + left) % left;
      continue;
    }
    for (int64_t i = 0; i < m->out[d]; i++) *next++ = source(i - before, m->in[d], mode);
  }
  return true;
}

static void map_free(PadMap *m) {
  lp_free(m->block, m->block_bytes);
}

/* Calls the row function for each row of the result: its first element's index, and the
 * input row's
 * (-1 when the row lies outside). */
typedef void (*RowFn)(const PadMap *m, int64_t out_at, int64_t in_at, void *ctx);
static void each_row(const PadMap *m, RowFn fn, void *ctx) {
  int64_t index[LP_MAX_DIMS] = {0}, last = m->ndim - 1, rows = 1;
  for (int64_t d = 0; d < last; d++) rows *= m->out[d];
  for (int64_t r = 0; r < rows; r++) {
    int64_t in_at = 0;
    for (int64_t d = 0; d < last && in_at >= 0; d++) {
      int64_t from = m->from[d][index[d]];
      in_at = from < 0 ? -1 : in_at * m->in[d] + from;
    }
    fn(m, r * m->out[last], in_at < 0 ? -1 : in_at * m->in[last], ctx);
    for (int64_t d = last - 1; d >= 0; d--) {
      if (++index[d] < m->out[d]) break;
      index[d] = 0;
    }
  }
}

typedef struct PadCopy {
  const char *x, *value;
  char *y;
  size_t elem_bytes;
} PadCopy;

static void copy_row(const PadMap *m, int64_t out_at, int64_t in_at, void *ctx) {
  PadCopy *c = ctx;
  size_t e = c->elem_bytes;
  const int64_t *from = m->from[m->ndim - 1];
  char *to = c->y + (size_t)out_at * e;
  int64_t n = m->out[m->ndim - 1];
  for (int64_t i = 0; i < n;) {
    if (in_at < 0 || from[i] < 0) {
      memcpy(to + (size_t)i * e, c->value, e);
      i++;
      continue;
    }
    int64_t run = 1; /* neighbours in the input are copied together */
    while (i + run < n && from[i + run] == from[i] + run) run++;
    memcpy(to + (size_t)i * e, c->x + (size_t)(in_at + from[i]) * e, (size_t)run * e);
    i += run;
  }
}

LpTensor *lp_impl_pad_nd(LpTensor *self, LpInts pad, const char *mode, LpScalar value) {
  PadMap m;
  if (lp_ndim(self) == 0) {
    CHECK(pad.count == 0, LP_ERR_ARGUMENT,
          "expected an empty 'pad' for an input of 0 dims, got %lld numbers",
          (long long)pad.count);
    LpTensor *copy = nn_empty(NULL, 0, lp_dtype(self));
    if (copy && !lp_copy_into(copy, self)) lp_drop(&copy);
    return copy;
  }
  TRY(map_init(&m, lp_sizes(self), pad, mode));
  LpTensor *x = nn_dense(self, lp_dtype(self)),
           *fill = lp_tensor_from_scalar(value, lp_dtype(self));
  LpTensor *y = nn_empty(m.out, m.ndim, lp_dtype(self));
  bool ok = x && fill && y;
  if (ok && lp_numel(y)) {
    PadCopy c = {lp_data(x), lp_data(fill), lp_data(y), lp_dtype_size(lp_dtype(self))};
    each_row(&m, copy_row, &c);
  }
  map_free(&m);
  lp_tensor_release(x);
  lp_tensor_release(fill);
  if (!ok) lp_drop(&y);
  return y;
}

typedef struct PadAdd {
  const void *g;
  void *gx;
  LpDtype dtype;
} PadAdd;

static void add_row(const PadMap *m, int64_t out_at, int64_t in_at, void *ctx) {
  PadAdd *a = ctx;
  if (in_at < 0) return;
  const int64_t *from = m->from[m->ndim - 1];
  for (int64_t i = 0; i < m->out[m->ndim - 1]; i++) {
    if (from[i] < 0) continue;
    int64_t to = in_at + from[i], at = out_at + i;
    switch (a->dtype) {
    case LP_FLOAT32: ((float *)a->gx)[to] += ((const float *)a->g)[at]; break;
    case LP_FLOAT64: ((double *)a->gx)[to] += ((const double *)a->g)[at]; break;
    case LP_COMPLEX64:
      ((float complex *)a->gx)[to] += ((const float complex *)a->g)[at];
      break;
    default: ((double complex *)a->gx)[to] += ((const double complex *)a->g)[at]; break;
    }
  }
}

LpTensor *lp_impl_pad_nd_adjoint(LpTensor *grad_output, LpInts size, LpInts pad,
                                 const char *mode) {
  LpDtype dtype = nn_compute_dtype(lp_dtype(grad_output));
  PadMap m;
  if (size.count == 0) return nn_dense(grad_output, lp_dtype(grad_output));
  TRY(map_init(&m, size, pad, mode));
  LpTensor *g = nn_dense(grad_output, dtype),
           *gx = nn_zeros(size.data, size.count, dtype);
  bool ok = g && gx;
  if (ok && lp_numel(g)) {
    PadAdd a = {lp_data(g), lp_data(gx), dtype};
    each_row(&m, add_row, &a);
  }
  map_free(&m);
  lp_tensor_release(g);
  if (!ok) lp_drop(&gx);
  return nn_cast_take(gx, lp_dtype(grad_output));
}
