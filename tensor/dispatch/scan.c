/* Running sums, products and extremes along a dim, and the walk over rows (dispatch/scan.h).
 * Elements are loaded to double (floats), int64 or two doubles (complex), as in reductions. */
#include "dispatch/scan.h"

#include <complex.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "core/whole.h"
#include "cpu/scan.h"
#include "cpu/tasks.h"
#include "dispatch/iter.h"
#include "dispatch/reduce.h"
#include "impl.h"

/* --- rows ------------------------------------------------------------------------------------------- */

void lp_rows_init(LpRows *r, int64_t dim, LpTensor *const *tensors, int n_tensors) {
  r->n_tensors = n_tensors;
  r->n_outer = 0;
  r->n_rows = 1;
  for (int k = 0; k < n_tensors; k++) {
    const LpTensor *t = tensors[k];
    int64_t elem = (int64_t)lp_dtype_size(lp_dtype(t));
    r->base[k] = lp_data(t);
    r->n[k] = lp_ndim(t) ? lp_size(t, dim) : 1;
    r->step[k] = lp_ndim(t) ? lp_stride(t, dim) * elem : elem;
  }
  for (int64_t d = 0; d < lp_ndim(tensors[0]); d++) {
    const int64_t size = lp_size(tensors[0], d);
    if (d == dim) continue;
    r->n_rows *= size;
    if (size == 1) continue;
    /* A dim that goes on where the one before steps to is part of it. */
    bool goes_on = r->n_outer > 0;
    int64_t strides[LP_ROWS_MAX];
    for (int k = 0; k < n_tensors; k++) {
      strides[k] = lp_stride(tensors[k], d) * (int64_t)lp_dtype_size(lp_dtype(tensors[k]));
      goes_on = goes_on && r->strides[k][r->n_outer - 1] == size * strides[k];
    }
    if (!goes_on) r->sizes[r->n_outer++] = 1;
    r->sizes[r->n_outer - 1] *= size;
    for (int k = 0; k < n_tensors; k++) r->strides[k][r->n_outer - 1] = strides[k];
  }
}

typedef struct RowsRun {
  const LpRows *rows;
  size_t scratch_bytes;
  int64_t check_every;
  void (*body)(void *ctx, const LpRows *rows, char *const *ptrs, void *scratch);
  void *ctx;
  _Atomic bool stopped, no_memory;
} RowsRun;

int64_t lp_rows_find(const LpRows *r, int64_t i, char **ptrs) {
  const int64_t inner = r->n_outer ? r->sizes[r->n_outer - 1] : 1, after = inner - i % inner;
  memcpy(ptrs, r->base, sizeof r->base);
  for (int d = r->n_outer - 1; d >= 0; d--) {
    int64_t at = i % r->sizes[d];
    i /= r->sizes[d];
    for (int k = 0; k < r->n_tensors; k++) ptrs[k] += at * r->strides[k][d];
  }
  return after;
}

static void run_rows(void *ctx, int64_t begin, int64_t end) {
  RowsRun *run = ctx;
  const LpRows *r = run->rows;
  void *scratch = NULL;
  size_t capacity = 0;
  if (run->scratch_bytes && !(scratch = lp_block_alloc(run->scratch_bytes, &capacity))) {
    atomic_store_explicit(&run->no_memory, true, memory_order_relaxed);
    return;
  }
  int64_t left = run->check_every;
  for (int64_t i = begin; i < end; i++) {
    char *ptrs[LP_ROWS_MAX];
    lp_rows_find(r, i, ptrs);
    run->body(run->ctx, r, ptrs, scratch);
    if (--left > 0) continue;
    left = run->check_every;
    if (lp_interrupt_pending()) atomic_store_explicit(&run->stopped, true, memory_order_relaxed);
    if (atomic_load_explicit(&run->stopped, memory_order_relaxed)) break;
  }
  if (scratch) lp_block_free(scratch, capacity);
}

bool lp_rows_run(const LpRows *rows, int64_t work_elems, size_t scratch_bytes,
                 void (*body)(void *ctx, const LpRows *rows, char *const *ptrs, void *scratch), void *ctx) {
  int64_t grain = LP_GRAIN / (work_elems > 0 ? work_elems : 1);
  if (grain < 1) grain = 1;
  RowsRun run = {.rows = rows, .scratch_bytes = scratch_bytes, .check_every = grain, .body = body, .ctx = ctx};
  lp_parallel_for(rows->n_rows, grain, run_rows, &run);
  CHECK(!run.no_memory, LP_ERR_MEMORY, "out of memory: %zu bytes of scratch space", scratch_bytes);
  if (!run.stopped) return true;
  lp_interrupt_take();
  return lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt");
}

/* --- running sums and products ----------------------------------------------------------------------- */

typedef enum ScanOp { SCAN_SUM, SCAN_PROD, SCAN_LOGSUMEXP, SCAN_MAX, SCAN_MIN } ScanOp;

/* The running results of n elements of `fours` times four rows, in_room and out_room elements apart; out may be in.
 * Each four begins with the carries of `start`; the last one's go to `end`. */
typedef void (*Four)(void *out, int64_t out_room, const void *in, int64_t in_room, int64_t n, int64_t fours,
                     const double *start, double *end);

typedef struct Scan {
  ScanOp op;
  LpCompute compute;
  LpLoad load;
  LpLoop store; /* compute type to the result's dtype */
  LpDtype native; /* of both self and the result, for which there are loops over memory; or none */
  bool wide; /* the elements have fewer digits than the double they are summed in */
  int64_t in_bytes, out_bytes; /* of an element */
  int64_t width, in_step, out_step; /* neighbouring rows that are walked together; bytes between them */
  Four four, direct; /* of rows in buffers, or as they lie */
  int64_t in_room, out_room; /* direct: elements between rows */
  double start[8];           /* the four's carries */
} Scan;

#define BLOCK 512 /* elements loaded at a time */

static inline double log_add_exp(double a, double b) {
  double high = a > b || isnan(a) ? a : b, low = a > b || isnan(a) ? b : a;
  if (isinf(high) && high == low) return high;
  return high + log1p(exp(low - high));
}

/* The same of complex numbers, into a: a NaN part makes the sum NaN; the larger operand stays
 * when one is infinite, a when both are -inf, as in PyTorch. */
static void log_add_exp_complex(double *a, const double *b) {
  if (isnan(a[0]) || isnan(a[1]) || isnan(b[0]) || isnan(b[1])) {
    a[0] = a[1] = NAN;
    return;
  }
  if (a[0] == -INFINITY && b[0] == -INFINITY) return;
  const bool first = a[0] > b[0];
  const double high[2] = {first ? a[0] : b[0], first ? a[1] : b[1]};
  const double low[2] = {first ? b[0] : a[0], first ? b[1] : a[1]};
  if (low[0] == INFINITY) {
    double _Complex sum = clog(cexp(CMPLX(a[0], a[1])) + cexp(CMPLX(b[0], b[1])));
    a[0] = creal(sum);
    a[1] = cimag(sum);
    return;
  }
  if (low[0] == -INFINITY || high[0] == INFINITY) {
    memcpy(a, high, sizeof high);
    return;
  }
  double size = exp(low[0] - high[0]), angle = low[1] - high[1]; /* log(1 + size e^(i angle)) */
  double re = size * cos(angle), im = size * sin(angle), square = re * (2 + re) + im * im;
  a[0] = high[0] + (square > -0.5 ? 0.5 * log1p(square) : log(hypot(1 + re, im)));
  a[1] = high[1] + atan2(im, 1 + re);
}

static void store(const Scan *s, char *dst, int64_t step, void *values, int64_t n) {
  char *ptrs[2] = {dst, values};
  int64_t strides[2] = {step, lp_compute_bytes(s->compute)};
  s->store(ptrs, strides, n, NULL);
}

/* carry op= x, and x = carry, for n lanes. */
static void step_lanes(const Scan *s, double *carry, double *x, int64_t n) {
  int64_t *ci = (int64_t *)carry, *xi = (int64_t *)x;
  switch (s->op) {
    case SCAN_SUM:
      if (s->compute == LP_AS_I64)
        for (int64_t j = 0; j < n; j++) ci[j] = (int64_t)((uint64_t)ci[j] + (uint64_t)xi[j]);
      else
        for (int64_t j = 0; j < (s->compute == LP_AS_C128 ? 2 * n : n); j++) carry[j] += x[j];
      break;
    case SCAN_PROD:
      if (s->compute == LP_AS_I64)
        for (int64_t j = 0; j < n; j++) ci[j] = (int64_t)((uint64_t)ci[j] * (uint64_t)xi[j]);
      else if (s->compute == LP_AS_F64)
        for (int64_t j = 0; j < n; j++) carry[j] *= x[j];
      else
        for (int64_t j = 0; j < 2 * n; j += 2) {
          double re = carry[j] * x[j] - carry[j + 1] * x[j + 1];
          carry[j + 1] = carry[j] * x[j + 1] + carry[j + 1] * x[j];
          carry[j] = re;
        }
      break;
    default:
      if (s->compute == LP_AS_C128)
        for (int64_t j = 0; j < 2 * n; j += 2) log_add_exp_complex(carry + j, x + j);
      else
        lp_scan_table()->log_add_exp(carry, x, n);
  }
}

static void start_lanes(const Scan *s, double *carry, int64_t n) {
  for (int64_t j = 0; j < n; j++) {
    if (s->compute == LP_AS_I64) ((int64_t *)carry)[j] = s->op == SCAN_PROD;
    else if (s->compute == LP_AS_C128) {
      carry[2 * j] = s->op == SCAN_PROD ? 1 : s->op == SCAN_SUM ? 0 : -INFINITY;
      carry[2 * j + 1] = 0;
    } else carry[j] = s->op == SCAN_PROD ? 1 : s->op == SCAN_SUM ? 0 : -INFINITY;
  }
}

/* The running sum of n contiguous elements. Doubles are added one by one: groups might overflow where the
 * sequence does not. */
static void sum_native(LpDtype dtype, void *out, const void *in, int64_t n) {
  double carry = 0;
  int64_t carry_int = 0;
  if (dtype == LP_FLOAT32) {
    lp_scan_table()->sum_f32(out, in, n, &carry);
  } else if (dtype == LP_INT64) {
    lp_scan_table()->sum_i64(out, in, n, &carry_int);
  } else {
    double total = 0;
    for (int64_t i = 0; i < n; i++) ((double *)out)[i] = total += ((const double *)in)[i];
  }
}

/* Are the row and its result contiguous elements of the native dtype? */
static bool is_native(const Scan *s, const LpRows *r) {
  return s->native != LP_DTYPE_NONE && r->step[0] == r->step[1] && r->step[0] == (int64_t)lp_dtype_size(s->native);
}

/* One row, block by block. */
static void scan_row(void *ctx, const LpRows *r, char *const *ptrs, void *scratch) {
  const Scan *s = ctx;
  double buffer[2 * BLOCK], carry[2];
  int lane = lp_compute_bytes(s->compute) / 8;
  start_lanes(s, carry, 1);
  if (s->op == SCAN_SUM && s->compute != LP_AS_C128 && is_native(s, r)) {
    sum_native(s->native, ptrs[1], ptrs[0], r->n[0]);
    return;
  }
  for (int64_t i = 0; i < r->n[0]; i += BLOCK) {
    int64_t n = r->n[0] - i < BLOCK ? r->n[0] - i : BLOCK;
    s->load(buffer, ptrs[0] + i * r->step[0], r->step[0], n);
    if (s->op == SCAN_SUM && s->compute == LP_AS_I64) {
      lp_scan_table()->sum_i64((int64_t *)buffer, (int64_t *)buffer, n, (int64_t *)carry);
    } else if (s->op == SCAN_SUM && s->wide) {
      lp_scan_table()->sum_wide(buffer, buffer, n, carry);
    } else if (s->op == SCAN_SUM && s->compute == LP_AS_F64) {
      double total = carry[0];
      for (int64_t j = 0; j < n; j++) buffer[j] = total += buffer[j];
      carry[0] = total;
    } else if (s->op == SCAN_PROD && s->compute == LP_AS_F64) {
      double total = carry[0];
      for (int64_t j = 0; j < n; j++) buffer[j] = total *= buffer[j];
      carry[0] = total;
    } else if (s->op == SCAN_LOGSUMEXP && s->compute == LP_AS_F64) {
      for (int64_t j = 0; j < n; j++) buffer[j] = carry[0] = log_add_exp(carry[0], buffer[j]);
    } else {
      for (int64_t j = 0; j < n; j++) {
        step_lanes(s, carry, buffer + j * lane, 1);
        memcpy(buffer + j * lane, carry, (size_t)lane * 8);
      }
    }
    store(s, ptrs[1] + i * r->step[1], r->step[1], buffer, n);
  }
}

/* Neighbouring rows side by side: the walk goes along dim with a tile of carries. */
typedef struct Tiles {
  const Scan *scan;
  LpRows rows; /* but for the dim of the neighbours */
  int64_t count, tile; /* tiles of neighbours, and the widest one's width */
  LpScanDown direct;   /* over memory, or NULL */
  LpScanDown blocks;   /* over blocks of whole rows, loaded as one, or NULL */
} Tiles;

static void scan_tile(void *ctx, int64_t task) {
  const Tiles *t = ctx;
  const Scan *s = t->scan;
  const LpRows *r = &t->rows;
  const int64_t first = task % t->count * t->tile, rest = s->width - first, w = rest < t->tile ? rest : t->tile;
  double x[4 * BLOCK + 128], *carry = x + 2 * BLOCK + 128; /* not whole pages apart */
  char *ptrs[LP_ROWS_MAX];
  lp_rows_find(r, task / t->count, ptrs);
  start_lanes(s, carry, w);
  if (t->direct) {
    t->direct(ptrs[1] + first * s->out_bytes, r->step[1] / s->out_bytes, ptrs[0] + first * s->in_bytes,
              r->step[0] / s->in_bytes, w, r->n[0], carry);
    return;
  }
  for (int64_t i = 0, n = BLOCK / w; i < r->n[0] && t->blocks; i += n) {
    if (n > r->n[0] - i) n = r->n[0] - i;
    s->load(x, ptrs[0] + i * r->step[0], s->in_bytes, n * w);
    t->blocks(x + BLOCK, w, x, w, w, n, carry);
    store(s, ptrs[1] + i * r->step[1], s->out_bytes, x + BLOCK, n * w);
  }
  /* Functions take whole vectors at the price of an element. */
  const int64_t lanes = s->op == SCAN_LOGSUMEXP && s->compute == LP_AS_F64 ? (w + 7) & -8 : w;
  if (lanes > w) {
    memset(x + w, 0, (size_t)(lanes - w) * sizeof *x);
    memset(carry + w, 0, (size_t)(lanes - w) * sizeof *carry);
  }
  for (int64_t i = 0; i < r->n[0] && !t->blocks; i++) {
    s->load(x, ptrs[0] + i * r->step[0] + first * s->in_step, s->in_step, w);
    step_lanes(s, carry, x, lanes);
    store(s, ptrs[1] + i * r->step[1] + first * s->out_step, s->out_step, carry, w);
  }
}

/* Wide tiles, but some for every thread. */
static void tiles_init(Tiles *tiles, Scan *s, const LpRows *rows) {
  Tiles t = {.scan = s, .rows = *rows};
  const int last = --t.rows.n_outer;
  s->width = rows->sizes[last];
  s->in_step = rows->strides[0][last];
  s->out_step = rows->strides[1][last];
  t.rows.n_rows /= s->width;
  t.count = lp_ratio_up(2 * lp_num_threads(), t.rows.n_rows);
  if (t.count * BLOCK < s->width) t.count = lp_ratio_up(s->width, BLOCK);
  t.tile = (lp_ratio_up(s->width, t.count) + 15) & -16;
  if (t.tile < 64) t.tile = 64;
  t.count = lp_ratio_up(s->width, t.tile);
  *tiles = t;
}

static bool run_tiles(Scan *s, const LpRows *rows) {
  Tiles t;
  tiles_init(&t, s, rows);
  const LpScanTable *table = lp_scan_table();
  if (s->op <= SCAN_PROD && s->in_step == s->in_bytes && s->out_step == s->out_bytes) {
    const bool dense = t.count == 1 && t.rows.step[0] == s->width * s->in_bytes && t.rows.step[1] == s->width * s->out_bytes;
    if (s->native == LP_FLOAT32) t.direct = table->down_f32[s->op];
    else if (s->native == LP_FLOAT64) t.direct = table->down_f64[s->op];
    else if (s->native == LP_INT64) t.direct = table->down_i64[s->op];
    else if (dense && s->compute != LP_AS_C128)
      t.blocks = s->compute == LP_AS_I64 ? table->down_i64[s->op] : table->down_f64[s->op];
  }
  return lp_run_tasks(t.rows.n_rows * t.count, rows->n[0] * t.tile, scan_tile, &t);
}

/* Each has the room of a pair: neighbours gcc would bring into one vector, whose parts are then taken apart
 * for every element. */
#define CARRY(A, carries, k) (*(A *)((carries) + 2 * (k)))

/* Four rows at once: while one waits for its last result the others go on. */
#define FOUR_ROWS(name, T, A, next)                                                                                \
  static void name(void *out, int64_t out_room, const void *in, int64_t in_room, int64_t n, int64_t fours,         \
                   const double *start, double *end) {                                                             \
    for (int64_t f = 0; f < fours; f++) {                                                                          \
      const T *x = (const T *)in + 4 * f * in_room, *x1 = x + in_room, *x2 = x1 + in_room, *x3 = x2 + in_room;     \
      T *y = (T *)out + 4 * f * out_room, *y1 = y + out_room, *y2 = y1 + out_room, *y3 = y2 + out_room;            \
      A a = CARRY(const A, start, 0), b = CARRY(const A, start, 1);                                                \
      A c = CARRY(const A, start, 2), d = CARRY(const A, start, 3);                                                \
      for (int64_t i = 0; i < n; i++) {                                                                            \
        a = next(a, x[i]);                                                                                         \
        b = next(b, x1[i]);                                                                                        \
        c = next(c, x2[i]);                                                                                        \
        d = next(d, x3[i]);                                                                                        \
        y[i] = (T)a;                                                                                               \
        y1[i] = (T)b;                                                                                              \
        y2[i] = (T)c;                                                                                              \
        y3[i] = (T)d;                                                                                              \
      }                                                                                                            \
      if (f + 1 < fours) continue;                                                                                 \
      CARRY(A, end, 0) = a;                                                                                        \
      CARRY(A, end, 1) = b;                                                                                        \
      CARRY(A, end, 2) = c;                                                                                        \
      CARRY(A, end, 3) = d;                                                                                        \
    }                                                                                                              \
  }

typedef struct Pair {
  double re, im;
} Pair;

static inline Pair add_pairs(Pair a, Pair b) { return (Pair){a.re + b.re, a.im + b.im}; }
static inline Pair multiply_pairs(Pair a, Pair b) {
  return (Pair){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
#define PLUS(a, b) ((a) + (b))
#define TIMES(a, b) ((a) * (b))
FOUR_ROWS(sum_four_f32, float, double, PLUS)
FOUR_ROWS(sum_four_f64, double, double, PLUS)
FOUR_ROWS(sum_four_pairs, Pair, Pair, add_pairs)
FOUR_ROWS(prod_four_f32, float, double, TIMES)
FOUR_ROWS(prod_four_f64, double, double, TIMES)
FOUR_ROWS(prod_four_i64, uint64_t, uint64_t, TIMES)
FOUR_ROWS(prod_four_pairs, Pair, Pair, multiply_pairs)

/* For a compute type, or float32 as it lies. */
static Four four_of(const Scan *s, bool float32) {
  const bool sum = s->op == SCAN_SUM;
  if (s->compute == LP_AS_C128) return sum ? sum_four_pairs : prod_four_pairs;
  if (s->compute == LP_AS_I64) return sum ? NULL : prod_four_i64;
  if (float32) return sum ? sum_four_f32 : prod_four_f32;
  return sum ? sum_four_f64 : prod_four_f64;
}

#define ROOM 256 /* elements of each row that are loaded at a time */

typedef struct Fours {
  const Scan *scan;
  char *in, *out;
  int64_t n, fours, piece;
} Fours;

static void scan_four(void *ctx, const LpRows *r, char *const *ptrs, void *scratch) {
  const Scan *s = ctx;
  double carry[8];
  memcpy(carry, s->start, sizeof carry);
  if (s->direct) {
    s->direct(ptrs[1], s->out_room, ptrs[0], s->in_room, r->n[0], 1, carry, carry);
    return;
  }
  const int bytes = lp_compute_bytes(s->compute);
  _Alignas(64) char buffer[4 * ROOM * sizeof(Pair)];
  for (int64_t i = 0; i < r->n[0]; i += ROOM) {
    const int64_t n = r->n[0] - i < ROOM ? r->n[0] - i : ROOM;
    for (int k = 0; k < 4; k++)
      s->load(buffer + k * ROOM * bytes, ptrs[0] + k * s->in_step + i * r->step[0], r->step[0], n);
    s->four(buffer, ROOM, buffer, ROOM, n, 1, carry, carry);
    for (int k = 0; k < 4; k++)
      store(s, ptrs[1] + k * s->out_step + i * r->step[1], r->step[1], buffer + k * ROOM * bytes, n);
  }
}

/* Task: some neighbouring fours of short rows, as they lie. */
static void scan_fours(void *ctx, int64_t task) {
  const Fours *t = ctx;
  const Scan *s = t->scan;
  const int64_t first = task * t->piece, left = t->fours - first;
  double end[8];
  s->direct(t->out + first * 4 * s->out_step, s->out_room, t->in + first * 4 * s->in_step, s->in_room, t->n,
            left < t->piece ? left : t->piece, s->start, end);
}

/* Rows four at a time where the outer dim allows it and every thread still has work; the others one by one. Sums
 * of integers have a faster way. */
static bool run_separate(Scan *s, LpRows *rows) {
  int64_t work = rows->n[0];
  s->four = s->op <= SCAN_PROD ? four_of(s, false) : NULL;
  int dim = rows->n_outer - 1;
  while (dim >= 0 && rows->sizes[dim] < 4) dim--;
  if (!s->four || dim < 0 || (rows->n_rows * work > LP_GRAIN && rows->n_rows < 4 * lp_num_threads()))
    return lp_rows_run(rows, work, 0, scan_row, s);
  LpRows left = *rows;
  const int64_t size = rows->sizes[dim], fours = size / 4;
  s->in_step = rows->strides[0][dim];
  s->out_step = rows->strides[1][dim];
  for (int k = 0; k < 4; k++) start_lanes(s, s->start + 2 * k, 1);
  if (is_native(s, rows)) {
    const int64_t elem = (int64_t)lp_dtype_size(s->native);
    s->direct = four_of(s, s->native == LP_FLOAT32);
    s->in_room = s->in_step / elem;
    s->out_room = s->out_step / elem;
  }
  Fours many = {s, rows->base[0], rows->base[1], rows->n[0], fours, lp_ratio_up(LP_GRAIN / 64, work)};
  const bool short_rows = s->direct && rows->n_outer == 1 && work < ROOM;
  rows->sizes[dim] = fours;
  rows->n_rows = rows->n_rows / size * fours;
  left.sizes[dim] = size - 4 * fours;
  left.n_rows = left.n_rows / size * left.sizes[dim];
  for (int k = 0; k < 2; k++) {
    left.base[k] += 4 * fours * left.strides[k][dim];
    rows->strides[k][dim] *= 4;
  }
  return (short_rows ? lp_run_tasks(lp_ratio_up(fours, many.piece), 4 * many.piece * work, scan_fours, &many)
                     : lp_rows_run(rows, 4 * work, 0, scan_four, s)) &&
         (left.n_rows == 0 || lp_rows_run(&left, work, 0, scan_row, s));
}

/* Short rows that follow one another in memory: their sums, many at a time. */
typedef struct Sums {
  const Scan *scan;
  const LpRows *rows;
  LpScanRows direct, blocks; /* over memory, or over blocks of rows that are loaded as one */
  int64_t piece;             /* rows of a task */
} Sums;

static void sum_rows(void *ctx, int64_t task) {
  const Sums *t = ctx;
  const Scan *s = t->scan;
  const LpRows *r = t->rows;
  const int64_t n = r->n[0], first = task * t->piece, left = r->n_rows - first, rows = left < t->piece ? left : t->piece;
  char *in = r->base[0] + first * n * s->in_bytes, *out = r->base[1] + first * n * s->out_bytes;
  if (t->direct) {
    t->direct(out, in, n, rows);
    return;
  }
  double x[BLOCK], y[BLOCK];
  const int64_t most = BLOCK / n;
  for (int64_t i = 0; i < rows; i += most) {
    const int64_t some = rows - i < most ? rows - i : most;
    s->load(x, in + i * n * s->in_bytes, s->in_bytes, some * n);
    t->blocks(y, x, n, some);
    store(s, out + i * n * s->out_bytes, s->out_bytes, y, some * n);
  }
}

/* Sums that may be taken in groups, of rows that a block holds some of. */
static bool has_short_sums(const Scan *s, const LpRows *r) {
  const int64_t n = r->n[0];
  return s->op == SCAN_SUM && (s->wide || s->compute == LP_AS_I64) && n <= BLOCK / 4 && r->n_outer == 1 &&
         r->step[0] == s->in_bytes && r->step[1] == s->out_bytes && r->strides[0][0] == n * s->in_bytes &&
         r->strides[1][0] == n * s->out_bytes;
}

static bool run_short_sums(const Scan *s, const LpRows *r) {
  const LpScanTable *table = lp_scan_table();
  Sums t = {.scan = s, .rows = r, .blocks = s->compute == LP_AS_I64 ? table->rows_i64 : table->rows_wide};
  if (s->native == LP_FLOAT32) t.direct = table->rows_f32;
  if (s->native == LP_INT64) t.direct = table->rows_i64;
  t.piece = lp_ratio_up(LP_GRAIN / 16, r->n[0]);
  return lp_run_tasks(lp_ratio_up(r->n_rows, t.piece), t.piece * r->n[0], sum_rows, &t);
}

static LpTensor *run_scan(LpTensor *self, int64_t dim, LpDtype dtype, ScanOp op) {
  TRY(lp_wrap_dim(dim, lp_ndim(self), &dim));
  LpTensor *result = lp_tensor_new(lp_sizes(self), dtype, lp_device(self));
  if (!result || lp_numel(self) == 0) return result;
  Scan s = {.op = op, .compute = lp_compute_of(dtype), .in_bytes = (int64_t)lp_dtype_size(lp_dtype(self)),
            .out_bytes = (int64_t)lp_dtype_size(dtype)};
  if (s.compute == LP_AS_F32) s.compute = LP_AS_F64;
  s.load = lp_reduce_table()->load[s.compute][lp_dtype(self)];
  bool native = op <= SCAN_PROD && dtype == lp_dtype(self) &&
                (dtype == LP_FLOAT32 || dtype == LP_FLOAT64 || dtype == LP_INT64 || dtype == LP_COMPLEX128);
  s.native = native ? dtype : LP_DTYPE_NONE;
  s.wide = s.compute == LP_AS_F64 && lp_dtype_size(lp_dtype(self)) < sizeof(double);
  s.store = lp_cast_loop(dtype, s.compute == LP_AS_F64 ? LP_FLOAT64 : s.compute == LP_AS_I64 ? LP_INT64 : LP_COMPLEX128);
  LpRows rows;
  lp_rows_init(&rows, dim, (LpTensor *[]){self, result}, 2);
  const int last = rows.n_outer - 1;
  /* Neighbours in memory, or rows that are worth any walk: functions of theirs are taken by vectors. */
  const bool tile = last >= 0 && ((rows.sizes[last] > 1 && rows.strides[0][last] < rows.step[0]) ||
                                  (rows.sizes[last] >= 8 && op == SCAN_LOGSUMEXP && s.compute == LP_AS_F64));
  if (tile                        ? run_tiles(&s, &rows)
      : has_short_sums(&s, &rows) ? run_short_sums(&s, &rows)
                                  : run_separate(&s, &rows))
    return result;
  lp_tensor_release(result);
  return NULL;
}

static LpDtype scan_dtype(LpTensor *out, LpTensor *self, LpDtype dtype) {
  if (dtype != LP_DTYPE_NONE) return dtype;
  if (out && out != self) return lp_dtype(out);
  if (out == self) return lp_dtype(self);
  return lp_dtype_is_integral(lp_dtype(self), true) ? LP_INT64 : lp_dtype(self);
}

LpTensor *lp_impl_cumsum(LpTensor *out, LpTensor *self, int64_t dim, LpDtype dtype) {
  return lp_give(out, run_scan(self, dim, scan_dtype(out, self, dtype), SCAN_SUM));
}
LpTensor *lp_impl_cumprod(LpTensor *out, LpTensor *self, int64_t dim, LpDtype dtype) {
  return lp_give(out, run_scan(self, dim, scan_dtype(out, self, dtype), SCAN_PROD));
}
LpTensor *lp_impl_logcumsumexp(LpTensor *out, LpTensor *self, int64_t dim) {
  CHECK(!lp_dtype_is_integral(lp_dtype(self), true), LP_ERR_TYPE, "self must be floating or complex, got %s",
        lp_dtype_name(lp_dtype(self)));
  return lp_give(out, run_scan(self, dim, lp_dtype(self), SCAN_LOGSUMEXP));
}

/* --- running extremes --------------------------------------------------------------------------------- */

/* The best so far of a row, and where it stands. */
typedef struct Best {
  double number;
  int64_t whole, at;
} Best;

/* Over n elements, the row's from number `first` on; the next of equals wins, and NaN. One that loses is one
 * comparison, which is foreseen: in most rows few win. */
#define BEST_OF(name, T, field, WINS)                                                                    \
  static void name(T *v, int64_t n, int64_t first, char *places, int64_t step, Best *b) {                \
    T best = b->field;                                                                                   \
    int64_t at = b->at;                                                                                  \
    for (int64_t j = 0; j < n; j++) {                                                                    \
      const T x = v[j];                                                                                  \
      if (WINS) {                                                                                        \
        best = x;                                                                                        \
        at = first + j;                                                                                  \
      }                                                                                                  \
      v[j] = best;                                                                                       \
      *(int64_t *)(places + j * step) = at;                                                              \
    }                                                                                                    \
    b->field = best;                                                                                     \
    b->at = at;                                                                                          \
  }
BEST_OF(largest_numbers, double, number, !(x < best) && (x >= best || isnan(x)))
BEST_OF(smallest_numbers, double, number, !(x > best) && (x <= best || isnan(x)))
BEST_OF(largest_wholes, int64_t, whole, x >= best)
BEST_OF(smallest_wholes, int64_t, whole, x <= best)
#undef BEST_OF

static void scan_extreme(void *ctx, const LpRows *r, char *const *ptrs, void *scratch) {
  const Scan *s = ctx;
  const bool max = s->op == SCAN_MAX, ints = s->compute == LP_AS_I64;
  double buffer[BLOCK];
  Best best = {0};
  for (int64_t i = 0; i < r->n[0]; i += BLOCK) {
    int64_t n = r->n[0] - i < BLOCK ? r->n[0] - i : BLOCK, *wholes = (int64_t *)buffer;
    char *places = ptrs[2] + i * r->step[2];
    s->load(buffer, ptrs[0] + i * r->step[0], r->step[0], n);
    if (i == 0) best = (Best){.number = ints ? 0 : buffer[0], .whole = ints ? wholes[0] : 0};
    if (ints) (max ? largest_wholes : smallest_wholes)(wholes, n, i, places, r->step[2], &best);
    else (max ? largest_numbers : smallest_numbers)(buffer, n, i, places, r->step[2], &best);
    store(s, ptrs[1] + i * r->step[1], r->step[1], buffer, n);
  }
}

/* Neighbouring rows side by side, as in scan_tile. */
static void extreme_tile(void *ctx, int64_t task) {
  const Tiles *t = ctx;
  const Scan *s = t->scan;
  const LpRows *r = &t->rows;
  const int64_t first = task % t->count * t->tile, rest = s->width - first, w = rest < t->tile ? rest : t->tile;
  const bool smallest = s->op == SCAN_MIN, ints = s->compute == LP_AS_I64;
  double x[BLOCK], best[BLOCK];
  int64_t at[BLOCK];
  char *ptrs[LP_ROWS_MAX];
  lp_rows_find(r, task / t->count, ptrs);
  for (int64_t i = 0; i < r->n[0]; i++) {
    char *places = ptrs[2] + i * r->step[2] + first * (int64_t)sizeof *at;
    s->load(i ? x : best, ptrs[0] + i * r->step[0] + first * s->in_step, s->in_step, w);
    if (i == 0) memset(at, 0, (size_t)w * sizeof *at);
    else if (ints) lp_scan_table()->extreme_i64[smallest]((int64_t *)best, at, (int64_t *)x, i, w);
    else lp_scan_table()->extreme_f64[smallest](best, at, x, i, w);
    store(s, ptrs[1] + i * r->step[1] + first * s->out_step, s->out_step, best, w);
    memcpy(places, at, (size_t)w * sizeof *at);
  }
}

static bool run_extreme(LpTensor **outs, LpTensor *self, int64_t dim, ScanOp op, LpTensor **results) {
  LpDtype dtype = lp_dtype(self);
  CHECK(!lp_dtype_is_complex(dtype), LP_ERR_TYPE, "self must be real, got %s: complex numbers have no order",
        lp_dtype_name(dtype));
  TRY(lp_wrap_dim(dim, lp_ndim(self), &dim));
  Scan s = {.op = op, .compute = lp_compute_of(dtype) == LP_AS_I64 ? LP_AS_I64 : LP_AS_F64};
  s.load = lp_reduce_table()->load[s.compute][dtype];
  s.store = lp_cast_loop(dtype, s.compute == LP_AS_I64 ? LP_INT64 : LP_FLOAT64);
  results[0] = lp_tensor_new(lp_sizes(self), dtype, lp_device(self));
  results[1] = results[0] ? lp_tensor_new(lp_sizes(self), LP_INT64, lp_device(self)) : NULL;
  bool ok = results[1] != NULL;
  if (ok && lp_numel(self) > 0) {
    LpRows rows;
    lp_rows_init(&rows, dim, (LpTensor *[]){self, results[0], results[1]}, 3);
    const int last = rows.n_outer - 1;
    const bool tile = last >= 0 && rows.sizes[last] >= 8 && rows.strides[0][last] < rows.step[0] &&
                      rows.strides[2][last] == (int64_t)sizeof(int64_t);
    Tiles t;
    if (tile) tiles_init(&t, &s, &rows);
    ok = tile ? lp_run_tasks(t.rows.n_rows * t.count, rows.n[0] * t.tile, extreme_tile, &t)
              : lp_rows_run(&rows, rows.n[0], 0, scan_extreme, &s);
  }
  if (ok) return lp_give_all(outs, results, 2);
  for (int i = 0; i < 2; i++) {
    lp_tensor_release(results[i]);
    results[i] = NULL;
  }
  return false;
}

bool lp_impl_cummax(LpTensor **outs, LpTensor *self, int64_t dim, LpTensor **results) {
  return run_extreme(outs, self, dim, SCAN_MAX, results);
}
bool lp_impl_cummin(LpTensor **outs, LpTensor *self, int64_t dim, LpTensor **results) {
  return run_extreme(outs, self, dim, SCAN_MIN, results);
}
