/* pad in all its modes, as one map from result elements to input elements in each dim,
 * and its adjoint, which adds along the same map. The dims are taken in the order of
 * memory, row-major or channels last. */
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/copy.h"
#include "cpu/rows.h"
#include "dispatch/nn_util.h"
#include "impl.h"

/* Neighbours in the result and in the input; from -1: outside. */
typedef struct PadRun {
  int64_t to, from, n;
} PadRun;

typedef struct PadDim {
  char mode; /* the first letter, but 'e' for the edge; 0: all as they are */
  int64_t before, low, left; /* where the input begins in the result; of a circular one:
                                what is kept of the input begins at low and has left */
} PadDim;

typedef struct PadMap {
  int64_t ndim, in[LP_MAX_DIMS], out[LP_MAX_DIMS];
  PadDim by[LP_MAX_DIMS];
  int64_t unit; /* elements of an entry of the last dim */
  PadRun *runs; /* along the last dim */
  int64_t n_runs;
  size_t runs_bytes;
  int64_t *users[LP_MAX_DIMS]; /* the adjoint's: in[d] + 1 places in what follows, the
                                  result indices that take each input index */
  int64_t *users_block;
  size_t users_bytes;
} PadMap;

static bool parse_mode(const char *mode, char *result) {
  if (!strcmp(mode, "constant"))
    *result = 'c';
  else if (!strcmp(mode, "reflect"))
    *result = 'r';
  else if (!strcmp(mode, "replicate"))
    *result = 'e';
  else if (!strcmp(mode, "circular"))
    *result = 'w'; /* it wraps */
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
  *m = (PadMap){.ndim = sizes.count, .unit = 1};
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
              !__builtin_add_overflow(
                  total, m->out[d] < 0 || (!before && !after) ? 0 : m->out[d], &total) &&
              total < PTRDIFF_MAX / (int64_t)sizeof(int64_t),
          LP_ERR_MEMORY,
          "padding (%lld, %lld) makes dim %lld of %s larger than any memory",
          (long long)before, (long long)after, (long long)d, text);
    CHECK(m->out[d] >= 0, LP_ERR_ARGUMENT,
          "padding (%lld, %lld) would leave a negative size in dim %lld of %s",
          (long long)before, (long long)after, (long long)d, text);
    int64_t left = n + (before < 0 ? before : 0) + (after < 0 ? after : 0);
    CHECK(mode != 'w' || left > 0 || m->out[d] == 0, LP_ERR_ARGUMENT,
          "circular padding (%lld, %lld) leaves nothing to repeat in dim %lld of %s",
          (long long)before, (long long)after, (long long)d, text);
  }
  int64_t numel;
  TRY(lp_numel_of(lp_ints(m->out, m->ndim), &numel));
  for (int64_t d = 0; d < sizes.count; d++) {
    int64_t at = 2 * (sizes.count - 1 - d), before = at < pad.count ? pad.data[at] : 0,
            after = at < pad.count ? pad.data[at + 1] : 0;
    if (!before && !after) continue;
    const int64_t low = before < 0 ? -before : 0;
    m->by[d] = (PadDim){.mode = mode,
                        .before = before,
                        .low = low,
                        .left = m->in[d] - low - (after < 0 ? -after : 0)};
  }
  return true;
}

static void map_free(PadMap *m) {
  lp_free(m->users_block, m->users_bytes);
  lp_free(m->runs, m->runs_bytes);
}

/* Puts dim 1 last, where memory has it so, and joins neighbours that are not padded. */
static void map_order(PadMap *m, bool last) {
  const int64_t in = m->in[1], out = m->out[1];
  const PadDim by = m->by[1];
  int64_t n = 0;
  if (last) {
    for (int64_t d = 1; d + 1 < m->ndim; d++) {
      m->in[d] = m->in[d + 1];
      m->out[d] = m->out[d + 1];
      m->by[d] = m->by[d + 1];
    }
    m->in[m->ndim - 1] = in;
    m->out[m->ndim - 1] = out;
    m->by[m->ndim - 1] = by;
  }
  for (int64_t d = 1; d < m->ndim; d++) {
    if (!m->by[n].mode && !m->by[d].mode) {
      m->in[n] = m->out[n] *= m->in[d];
    } else {
      n++;
      m->in[n] = m->in[d];
      m->out[n] = m->out[d];
      m->by[n] = m->by[d];
    }
  }
  if (n > 0 && !m->by[n].mode) m->unit = m->in[n--];
  m->ndim = n + 1;
}

/* The input's index, or -1 outside. */
static int64_t source_of(const PadMap *m, int64_t d, int64_t i) {
  const PadDim *by = &m->by[d];
  const int64_t n = m->in[d], at = i - by->before;
  if (at >= 0 && at < n && by->mode != 'w') return at;
  switch (by->mode) {
  case 'r': return at < 0 ? -at : 2 * (n - 1) - at;
  case 'e': return at < 0 ? 0 : n - 1;
  case 'w': { /* within what negative numbers leave */
    const int64_t turn = (at - by->low) % by->left;
    return by->low + (turn < 0 ? turn + by->left : turn);
  }
  default: return by->mode ? -1 : i;
  }
}

/* Results from i on whose sources follow each other, or that all have none. */
static int64_t run_length(const PadMap *m, int64_t d, int64_t i) {
  const PadDim *by = &m->by[d];
  const int64_t n = m->out[d], at = source_of(m, d, i);
  const int64_t inside = m->in[d] - (i - by->before); /* to the input's end */
  if (!by->mode) return n - i;
  if (at < 0) return i < by->before && by->before < n ? by->before - i : n - i;
  int64_t end = i + 1;
  if (i >= by->before && inside > 0 && by->mode != 'w') end = i + inside;
  if (by->mode == 'w') end = i + by->low + by->left - at;
  return (end < n ? end : n) - i;
}

/* The last dim in runs of neighbours. */
static bool map_runs(PadMap *m) {
  const int64_t d = m->ndim - 1, n = m->out[d];
  for (int pass = 0; pass < 2; pass++) {
    PadRun run = {0};
    m->n_runs = 0;
    for (int64_t i = 0; i < n; i += run.n) {
      run = (PadRun){i, source_of(m, d, i), run_length(m, d, i)};
      if (pass) m->runs[m->n_runs] = run;
      m->n_runs++;
    }
    if (pass) break;
    m->runs_bytes = (size_t)(m->n_runs + 1) * sizeof(PadRun);
    m->runs = lp_alloc(m->runs_bytes);
    TRY(m->runs);
  }
  return true;
}

/* Who takes each input index, along the dims before the last. */
static bool map_users(PadMap *m) {
  int64_t total = 1;
  for (int64_t d = 0; d + 1 < m->ndim; d++)
    if (m->by[d].mode) total += m->in[d] + 1 + m->out[d];
  m->users_bytes = (size_t)total * sizeof(int64_t);
  m->users_block = lp_calloc(m->users_bytes);
  TRY(m->users_block);
  int64_t *next = m->users_block;
  for (int64_t d = 0; d + 1 < m->ndim; d++) {
    if (!m->by[d].mode) continue;
    int64_t *start = m->users[d] = next, *list = next + m->in[d] + 1;
    for (int64_t o = 0; o < m->out[d]; o++)
      if (source_of(m, d, o) >= 0) start[source_of(m, d, o)]++;
    for (int64_t i = 0; i < m->in[d]; i++) start[i + 1] += start[i];
    for (int64_t o = m->out[d]; o-- > 0;) /* each count falls from its end to its start */
      if (source_of(m, d, o) >= 0) list[--start[source_of(m, d, o)]] = o;
    next = list + m->out[d];
  }
  return true;
}

static int64_t rows_of(const PadMap *m, const int64_t *sizes) {
  int64_t rows = 1;
  for (int64_t d = 0; d + 1 < m->ndim; d++) rows *= sizes[d];
  return rows;
}

static int64_t row_grain(const PadMap *m) {
  const int64_t d = m->ndim - 1;
  return LP_GRAIN / ((m->in[d] + m->out[d]) * m->unit + 1) + 1;
}

typedef struct PadCopy {
  const PadMap *m;
  const char *x, *value;
  char *y;
  size_t elem_bytes;
  bool fills; /* is there a result that has no source? */
} PadCopy;

/* Short rows whose sources follow each other are taken together, up to so many bytes:
 * what is written passes through the cache once. */
#define CHUNK_BYTES 16384
/* Small images, with rows up to so many bytes, are filled as a whole before the input's
 * rows are put in: fills of what lies around them would be many calls of a few bytes. */
#define FILLED_BYTES 128

/* Rows [begin, end) of the result; `filled`: those outside the input are so already. */
static void copy_chunk(const PadCopy *c, int64_t begin, int64_t end, bool filled) {
  const PadMap *m = c->m;
  const int64_t last = m->ndim - 1, size = (int64_t)c->elem_bytes, entry = m->unit * size;
  const int64_t to_row = m->out[last] * entry, from_row = m->in[last] * entry;
  const int64_t most = CHUNK_BYTES / (to_row + 1) + 1;
  int64_t index[LP_MAX_DIMS], rest = begin;
  for (int64_t d = last - 1; d >= 0; d--) {
    index[d] = rest % m->out[d];
    rest /= m->out[d];
  }
  for (int64_t row = begin, n; row < end; row += n) {
    int64_t in_row = 0;
    for (int64_t d = 0; d < last && in_row >= 0; d++) {
      const int64_t from = source_of(m, d, index[d]);
      in_row = from < 0 ? -1 : in_row * m->in[d] + from;
    }
    n = last > 0 ? run_length(m, last - 1, index[last - 1]) : 1;
    if (n > end - row) n = end - row;
    if (n > most) n = most;
    for (const PadRun *r = m->runs; r < m->runs + m->n_runs; r++) {
      const bool is_fill = in_row < 0 || r->from < 0;
      if (is_fill && filled) continue;
      const LpRowSteps rows = {.size = size,
                               .n = r->n * m->unit,
                               .to_step = size,
                               .from_step = is_fill ? 0 : size,
                               .to_row = to_row,
                               .from_row = is_fill ? 0 : from_row};
      lp_copy_kernels()->move(
          &rows, c->y + row * to_row + r->to * entry,
          is_fill ? c->value : c->x + in_row * from_row + r->from * entry, n);
    }
    for (int64_t d = last - 1, more = n; d >= 0; d--, more = 1) {
      index[d] += more;
      if (index[d] < m->out[d]) break;
      index[d] = 0;
    }
  }
}

static void copy_rows(void *ctx, int64_t begin, int64_t end) {
  const PadCopy *c = ctx;
  const int64_t last = c->m->ndim - 1, size = (int64_t)c->elem_bytes,
                row = c->m->out[last] * c->m->unit;
  const bool around = last > 0 && c->m->in[last - 1] != c->m->out[last - 1];
  if (!c->fills || !around || row * size > FILLED_BYTES) {
    copy_chunk(c, begin, end, false);
    return;
  }
  const int64_t most = CHUNK_BYTES / (row * size + 1) + 1;
  for (int64_t n; begin < end; begin += n) {
    n = end - begin < most ? end - begin : most;
    const LpRowSteps all = {.size = size, .n = n * row, .to_step = size};
    lp_copy_kernels()->move(&all, c->y + begin * row * size, c->value, 1);
    copy_chunk(c, begin, begin + n, true);
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
  const LpDtype dtype = lp_dtype(self);
  const bool last = nn_lies_last(self);
  TRY(map_init(&m, lp_sizes(self), pad, mode));
  LpTensor *x = nn_laid(self, dtype, last), *fill = lp_tensor_from_scalar(value, dtype);
  const LpInts sizes = lp_ints(m.out, m.ndim);
  LpTensor *y = !x                         ? NULL
                : strcmp(mode, "circular") ? nn_new_laid(x, sizes, dtype, last)
                                           : nn_new_hidden(x, sizes, dtype, last);
  map_order(&m, last);
  bool ok = y && fill && map_runs(&m);
  if (ok && lp_numel(y)) {
    PadCopy c = {&m,
                 nn_laid_data(x, last),
                 lp_data(fill),
                 nn_laid_data(y, last),
                 lp_dtype_size(dtype),
                 !strcmp(mode, "constant")};
    lp_parallel_for(rows_of(&m, m.out), row_grain(&m), copy_rows, &c);
  }
  map_free(&m);
  lp_tensor_release(x);
  lp_tensor_release(fill);
  if (!ok) lp_drop(&y);
  return y;
}

typedef struct PadAdd {
  const PadMap *m;
  int type;
  size_t g_bytes, gx_bytes; /* of an entry of the last dim */
  int64_t unit;             /* numbers of one */
  const char *g;
  char *gx;
} PadAdd;

/* to += every row of the result that takes the input's row at index[]; `row`: of the
 * dims before d. */
static void add_users(const PadAdd *a, const int64_t *index, int64_t d, int64_t row,
                      char *to) {
  const PadMap *m = a->m;
  if (d + 1 == m->ndim) {
    const char *g = a->g + (size_t)(row * m->out[d]) * a->g_bytes;
    for (const PadRun *r = m->runs; r < m->runs + m->n_runs; r++)
      if (r->from >= 0)
        lp_row_kernels()->add[a->type](to + (size_t)r->from * a->gx_bytes,
                                       g + (size_t)r->to * a->g_bytes, r->n * a->unit);
    return;
  }
  const int64_t i = index[d];
  if (!m->by[d].mode) {
    add_users(a, index, d + 1, row * m->out[d] + i, to);
    return;
  }
  const int64_t *start = m->users[d], *list = start + m->in[d] + 1;
  for (int64_t k = start[i]; k < start[i + 1]; k++)
    add_users(a, index, d + 1, row * m->out[d] + list[k], to);
}

/* Rows [begin, end) of the input. */
static void add_rows(void *ctx, int64_t begin, int64_t end) {
  const PadAdd *a = ctx;
  const PadMap *m = a->m;
  const int64_t last = m->ndim - 1;
  const size_t bytes = (size_t)m->in[last] * a->gx_bytes;
  for (int64_t row = begin; row < end; row++) {
    int64_t index[LP_MAX_DIMS], rest = row;
    for (int64_t d = last - 1; d >= 0; d--) {
      index[d] = rest % m->in[d];
      rest /= m->in[d];
    }
    char *to = a->gx + (size_t)row * bytes;
    memset(to, 0, bytes);
    add_users(a, index, 0, 0, to);
  }
}

LpTensor *lp_impl_pad_nd_adjoint(LpTensor *grad_output, LpInts size, LpInts pad,
                                 const char *mode) {
  const LpDtype dtype = lp_dtype(grad_output), sum_dtype = nn_compute_dtype(dtype);
  PadMap m;
  if (size.count == 0) return nn_dense(grad_output, dtype);
  const bool last = nn_lies_last(grad_output);
  if (!strcmp(mode, "constant")) { /* each element once: the way back */
    int64_t back[2 * LP_MAX_DIMS];
    for (int64_t i = 0; i < pad.count; i++) back[i] = -pad.data[i];
    return lp_impl_pad_nd(grad_output, lp_ints(back, pad.count), mode, lp_scalar_int(0));
  }
  TRY(map_init(&m, size, pad, mode));
  map_order(&m, last);
  LpTensor *g = nn_laid(grad_output, dtype, last),
           *gx = g ? nn_new_laid(g, size, sum_dtype, last) : NULL;
  bool ok = gx && map_runs(&m) && map_users(&m);
  if (ok && lp_numel(gx)) {
    const int64_t parts = lp_dtype_is_complex(dtype) ? 2 : 1;
    PadAdd a = {.m = &m,
                .type = nn_float_index(lp_dtype_to_real(dtype)),
                .g_bytes = (size_t)m.unit * lp_dtype_size(dtype),
                .gx_bytes = (size_t)m.unit * lp_dtype_size(sum_dtype),
                .unit = m.unit * parts,
                .g = nn_laid_data(g, last),
                .gx = nn_laid_data(gx, last)};
    lp_parallel_for(rows_of(&m, m.in), row_grain(&m), add_rows, &a);
  }
  map_free(&m);
  lp_tensor_release(g);
  if (!ok) lp_drop(&gx);
  return nn_cast_take(gx, dtype);
}
