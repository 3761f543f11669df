/* Sorting and order statistics along a dim: sort, argsort, topk, kthvalue, median, mode. Each row is
 * mapped to pairs of key and position (cpu/sort.h); results are copied from the row by position. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include "core/parallel.h"
#include "cpu/index.h"
#include "cpu/sort.h"
#include "dispatch/index.h"
#include "dispatch/reduce.h"
#include "dispatch/scan.h"
#include "impl.h"

typedef struct Task {
  LpDtype dtype;
  size_t elem;
  bool descending, sorted, skip_nan;
  int64_t k;
} Task;

/* rows: 0 the input, 1 the values, 2 the positions. */
static inline void give(const Task *t, const LpRows *r, char *const *ptrs, int64_t i, int64_t at) {
  memcpy(ptrs[1] + i * r->step[1], ptrs[0] + at * r->step[0], t->elem);
  *(int64_t *)(ptrs[2] + i * r->step[2]) = at;
}

typedef struct Giving {
  const LpRows *rows;
  char *const *ptrs;
  const LpPair *pairs;
  size_t elem;
} Giving;

static void give_range(void *ctx, int64_t begin, int64_t end) {
  const Giving *g = ctx;
  const LpRows *r = g->rows;
  char *values = g->ptrs[1] + begin * r->step[1], *places = g->ptrs[2] + begin * r->step[2];
  for (int64_t i = 0; i < end - begin; i++) *(int64_t *)(places + i * r->step[2]) = g->pairs[begin + i].at;
  lp_index_table()->get[lp_size_class((int64_t)g->elem)](&(LpIndexRow){.t = g->ptrs[0],
                                                                       .idx = (const int64_t *)places,
                                                                       .idx_step = r->step[2] / 8,
                                                                       .scale = r->step[0],
                                                                       .v = values,
                                                                       .v_step = r->step[1],
                                                                       .n = end - begin});
}

/* All of n places, and the elements there. */
static void give_all(const Task *t, const LpRows *r, char *const *ptrs, const LpPair *pairs, int64_t n) {
  Giving g = {r, ptrs, pairs, t->elem};
  lp_parallel_for(n, LP_GRAIN, give_range, &g);
}

static void sort_row(void *ctx, const LpRows *r, char *const *ptrs, void *scratch) {
  const Task *t = ctx;
  int64_t n = r->n[0];
  LpPair *pairs = scratch;
  lp_sort_load(pairs, ptrs[0], r->step[0], t->dtype, n, t->descending);
  lp_sort_pairs(pairs, pairs + n, n);
  give_all(t, r, ptrs, pairs, n);
}

static inline bool after(LpPair a, LpPair b) { return a.key > b.key || (a.key == b.key && a.at > b.at); }

#define KEYS 128    /* elements looked at together */
#define GLANCE 16   /* and where most are passed over */
#define LIST_MAX 16 /* up to here a list beats a heap */

/* Can one of the GLANCE contiguous elements come before `worst`, an element of the row that stands before
 * them? Where a NaN is among them, perhaps. */
#define GLANCE_AT(type)                                                                                     \
  static bool glance_##type(const type *x, type worst, bool descending) {                                   \
    int found = 0;                                                                                          \
    if (descending)                                                                                         \
      for (int i = 0; i < GLANCE; i++) found |= !(x[i] <= worst);                                           \
    else                                                                                                    \
      for (int i = 0; i < GLANCE; i++) found |= !(x[i] >= worst);                                       \
    return found;                                                                                           \
  }
GLANCE_AT(float)
GLANCE_AT(double)

static inline bool glancing(const Task *t, int64_t step) {
  return (t->dtype == LP_FLOAT32 || t->dtype == LP_FLOAT64) && step == (int64_t)t->elem;
}

/* The first block from `first` on that may hold an element before the one at `worst`. */
#define PASS_OVER(type)                                                                                     \
  for (const type *x = (const type *)src, limit = x[worst]; first + GLANCE <= n; first += GLANCE)           \
    if (glance_##type(x + first, limit, t->descending)) break;
static int64_t pass_over(const Task *t, const char *src, int64_t n, int64_t first, int64_t worst) {
  if (t->dtype == LP_FLOAT32) {
    PASS_OVER(float)
  } else {
    PASS_OVER(double)
  }
  return first;
}

/* Restores the heap (the last pair in order on top) below place i. */
static void sift_down(LpPair *heap, int64_t n, int64_t i) {
  LpPair x = heap[i];
  for (int64_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
    if (child + 1 < n && after(heap[child + 1], heap[child])) child++;
    if (!after(heap[child], x)) break;
    heap[i] = heap[child];
    i = child;
  }
  heap[i] = x;
}

/* The first k pairs of the row's order, by a heap of the best so far: most elements need one comparison. */
static void heap_select(const Task *t, const char *src, int64_t step, int64_t n, LpPair *heap) {
  uint64_t keys[KEYS];
  lp_sort_load(heap, src, step, t->dtype, t->k, t->descending);
  for (int64_t i = t->k / 2 - 1; i >= 0; i--) sift_down(heap, t->k, i);
  const bool glance = glancing(t, step);
  const int64_t block = glance ? GLANCE : KEYS;
  for (int64_t first = t->k; first < n; first += block) {
    if (glance) first = pass_over(t, src, n, first, heap[0].at);
    int64_t m = n - first < block ? n - first : block;
    lp_sort_keys(keys, src + first * step, step, t->dtype, m, t->descending);
    for (int64_t i = 0; i < m; i++) {
      if (keys[i] >= heap[0].key) continue; /* an equal one stands later */
      heap[0] = (LpPair){keys[i], first + i};
      sift_down(heap, t->k, 0);
    }
  }
}

/* The same for few: a list in order, which needs no sorting afterwards. */
static void list_select(const Task *t, const char *src, int64_t step, int64_t n, LpPair *list) {
  uint64_t keys[KEYS];
  int64_t held = 0;
  const bool glance = glancing(t, step);
  const int64_t block = glance ? GLANCE : KEYS;
  for (int64_t first = 0; first < n; first += block) {
    if (glance && held == t->k) first = pass_over(t, src, n, first, list[held - 1].at);
    int64_t m = n - first < block ? n - first : block;
    lp_sort_keys(keys, src + first * step, step, t->dtype, m, t->descending);
    for (int64_t i = 0; i < m; i++) {
      if (held == t->k && keys[i] >= list[held - 1].key) continue; /* an equal one stands later */
      int64_t at = held < t->k ? held++ : held - 1;
      for (; at > 0 && list[at - 1].key > keys[i]; at--) list[at] = list[at - 1];
      list[at] = (LpPair){keys[i], first + i};
    }
  }
}

/* Pairs in any order to the order of (key, at): by position first, then stably by key. */
static void sort_shuffled(LpPair *pairs, LpPair *tmp, int64_t n) {
  for (int pass = 0; pass < 2; pass++) {
    for (int64_t i = 0; i < n; i++) pairs[i] = (LpPair){(uint64_t)pairs[i].at, (int64_t)pairs[i].key};
    if (pass == 0) lp_sort_pairs(pairs, tmp, n);
  }
  lp_sort_pairs(pairs, tmp, n);
}

static void topk_row(void *ctx, const LpRows *r, char *const *ptrs, void *scratch) {
  const Task *t = ctx;
  int64_t n = r->n[0];
  LpPair *pairs = scratch;
  if (t->k == 0) return;
  if (t->k <= LIST_MAX) {
    list_select(t, ptrs[0], r->step[0], n, pairs);
  } else if (t->k * 4 >= n) {
    lp_sort_load(pairs, ptrs[0], r->step[0], t->dtype, n, t->descending);
    lp_sort_pairs(pairs, pairs + n, n);
  } else {
    if (t->k <= 256) {
      heap_select(t, ptrs[0], r->step[0], n, pairs);
    } else {
      lp_sort_load(pairs, ptrs[0], r->step[0], t->dtype, n, t->descending);
      lp_select_pairs(pairs, n, t->k);
    }
    if (t->sorted) sort_shuffled(pairs, pairs + n, t->k);
  }
  give_all(t, r, ptrs, pairs, t->k);
}

static int64_t select_place(const Task *t, const LpRows *r, char *const *ptrs, int64_t k, int64_t *nans,
                            void *scratch) {
  return lp_select_place(ptrs[0], r->step[0], t->dtype, r->n[0], k, nans, scratch);
}

static void kth_row(void *ctx, const LpRows *r, char *const *ptrs, void *scratch) {
  const Task *t = ctx;
  int64_t nans;
  give(t, r, ptrs, 0, select_place(t, r, ptrs, t->k, &nans, scratch));
}

/* Where the median of n elements stands, some of them NaN: their keys are the largest, the first one first. */
static int64_t median_rank(const Task *t, int64_t n, int64_t nans) {
  return nans == 0 ? (n - 1) / 2 : t->skip_nan && nans < n ? (n - nans - 1) / 2 : n - nans;
}

static void median_row(void *ctx, const LpRows *r, char *const *ptrs, void *scratch) {
  const Task *t = ctx;
  int64_t n = r->n[0], nans, at = select_place(t, r, ptrs, median_rank(t, n, 0) + 1, &nans, scratch);
  if (nans > 0) at = select_place(t, r, ptrs, median_rank(t, n, nans) + 1, &nans, scratch);
  give(t, r, ptrs, 0, at);
}

static void mode_row(void *ctx, const LpRows *r, char *const *ptrs, void *scratch) {
  const Task *t = ctx;
  int64_t n = r->n[0], best = 0, best_end = 0;
  LpPair *pairs = scratch;
  lp_sort_load(pairs, ptrs[0], r->step[0], t->dtype, n, false);
  lp_sort_pairs(pairs, pairs + n, n);
  for (int64_t i = 0, run = 0; i < n; i++) {
    run = i > 0 && pairs[i].key == pairs[i - 1].key ? run + 1 : 1;
    if (run <= best) continue;
    best = run;
    best_end = i;
  }
  give(t, r, ptrs, 0, pairs[best_end].at);
}

/* --- short rows: each element to its rank, many rows at a time --- */

typedef struct ShortRows {
  const Task *task;
  const LpRows *rows;
  int64_t first; /* rank of the first result */
  bool median;   /* it is the median's, instead */
  _Atomic bool stopped;
} ShortRows;

#define GIVE_RANKED(type)                                                                                   \
  for (int64_t i = 0; i < n; i++) {                                                                         \
    const int64_t rank = ranks[i * LP_SORT_ROWS] - first;                                                   \
    if (rank < 0 || rank >= k) continue;                                                                    \
    *(type *)(ptrs[1] + rank * r->step[1]) = *(const type *)(ptrs[0] + i * r->step[0]);                     \
    *(int64_t *)(ptrs[2] + rank * r->step[2]) = i;                                                          \
  }                                                                                                         \
  break;

/* Elements from rank `first` on, as many as the results have. */
static void give_ranked(const LpRows *r, size_t elem, char *const *ptrs, const uint8_t *ranks, int64_t first) {
  const int64_t n = r->n[0], k = r->n[1];
  switch (elem) {
  case 1: GIVE_RANKED(uint8_t)
  case 2: GIVE_RANKED(uint16_t)
  case 4: GIVE_RANKED(uint32_t)
  default: GIVE_RANKED(uint64_t)
  }
}

static void short_rows(void *ctx, int64_t begin, int64_t end) {
  ShortRows *s = ctx;
  const LpRows *r = s->rows;
  const int last = r->n_outer - 1;
  const LpSortKernels *kernels = lp_sort_kernels();
  const uint64_t flip = s->task->descending ? UINT64_MAX : 0;
  uint64_t keys[LP_SORT_SHORT * LP_SORT_ROWS] = {0};
  uint8_t ranks[LP_SORT_SHORT * LP_SORT_ROWS];
  char *ptrs[LP_SORT_ROWS][LP_ROWS_MAX];
  for (int64_t row = begin, count; row < end; row += count) {
    count = end - row < LP_SORT_ROWS ? end - row : LP_SORT_ROWS;
    for (int64_t j = 0, run; j < count; j += run) { /* rows with a constant step */
      run = lp_rows_find(r, row + j, ptrs[j]);
      if (run > count - j) run = count - j;
      const int64_t step = last < 0 ? 0 : r->strides[0][last];
      for (int64_t i = 0; i < r->n[0]; i++)
        kernels->keys[s->task->dtype](keys + i * LP_SORT_ROWS + j, ptrs[j][0] + i * r->step[0], step, run, flip);
      for (int64_t x = j + 1; x < j + run; x++)
        for (int t = 0; t < 3; t++) ptrs[x][t] = ptrs[x - 1][t] + r->strides[t][last];
    }
    kernels->row_ranks(keys, r->n[0], ranks);
    for (int64_t j = 0; j < count; j++) {
      int64_t first = s->first, nans = 0;
      for (int64_t i = 0; s->median && i < r->n[0]; i++) nans += keys[i * LP_SORT_ROWS + j] == LP_KEY_NAN;
      if (s->median) first = median_rank(s->task, r->n[0], nans);
      give_ranked(r, s->task->elem, ptrs[j], ranks + j, first);
    }
    if (lp_interrupt_pending()) atomic_store_explicit(&s->stopped, true, memory_order_relaxed);
    if (atomic_load_explicit(&s->stopped, memory_order_relaxed)) return;
  }
}

static bool run_short(const LpRows *rows, const Task *t, int64_t first, bool median) {
  ShortRows s = {.task = t, .rows = rows, .first = first, .median = median};
  lp_parallel_for(rows->n_rows, LP_GRAIN / (8 * rows->n[0]) + 1, short_rows, &s);
  if (!s.stopped) return true;
  lp_interrupt_take();
  return lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt");
}

/* --- the walk ------------------------------------------------------------------------------------------ */

typedef void (*RowBody)(void *ctx, const LpRows *rows, char *const *ptrs, void *scratch);

/* Values and positions with `out_size` elements along dim (wrapped), filled by body. */
static bool run(LpTensor *self, int64_t dim, int64_t out_size, RowBody body, Task *t, LpTensor **results) {
  LpDtype dtype = lp_dtype(self);
  CHECK(!lp_dtype_is_complex(dtype), LP_ERR_TYPE, "self must be real, got %s: complex numbers have no order",
        lp_dtype_name(dtype));
  int64_t sizes[LP_MAX_DIMS];
  for (int64_t d = 0; d < lp_ndim(self); d++) sizes[d] = d == dim ? out_size : lp_size(self, d);
  LpInts shape = lp_ints(sizes, lp_ndim(self));
  results[0] = lp_tensor_new(shape, dtype, lp_device(self));
  results[1] = results[0] ? lp_tensor_new(shape, LP_INT64, lp_device(self)) : NULL;
  bool ok = results[1] != NULL;
  if (ok && lp_numel(results[0]) > 0) {
    LpRows rows;
    t->dtype = dtype;
    t->elem = lp_dtype_size(dtype);
    lp_rows_init(&rows, dim, (LpTensor *[]){self, results[0], results[1]}, 3);
    if (body != mode_row && rows.n[0] <= LP_SORT_SHORT) {
      ok = run_short(&rows, t, body == kth_row ? t->k - 1 : 0, body == median_row);
    } else {
      /* A sort costs a few dozen times a sum. */
      const bool selects = body == kth_row || body == median_row;
      const size_t scratch = selects ? lp_select_scratch(rows.n[0]) : 2 * (size_t)rows.n[0] * sizeof(LpPair);
      ok = lp_rows_run(&rows, 16 * rows.n[0], scratch, body, t);
    }
  }
  for (int i = 0; i < 2 && !ok; i++) {
    lp_tensor_release(results[i]);
    results[i] = NULL;
  }
  return ok;
}

/* Drops dim, of size 1, from both results unless keepdim; then serves outs. */
static bool settle(LpTensor **outs, LpTensor **results, int64_t dim, bool keepdim) {
  for (int i = 0; i < 2 && !keepdim && lp_ndim(results[i]) > 0; i++) {
    int64_t sizes[LP_MAX_DIMS], strides[LP_MAX_DIMS], n = 0;
    for (int64_t d = 0; d < lp_ndim(results[i]); d++)
      if (d != dim) sizes[n++] = lp_size(results[i], d);
    lp_contiguous_strides(lp_ints(sizes, n), strides);
    if (lp_tensor_set_geometry(results[i], lp_ints(sizes, n), lp_ints(strides, n), results[i]->offset_elems)) continue;
    lp_tensor_release(results[0]);
    lp_tensor_release(results[1]);
    results[0] = results[1] = NULL;
    return false;
  }
  return lp_give_all(outs, results, 2);
}

static int64_t size_along(const LpTensor *t, int64_t dim) { return lp_ndim(t) ? lp_size(t, dim) : 1; }

static bool sort(LpTensor **outs, LpTensor *self, int64_t dim, bool descending, LpTensor **results) {
  TRY(lp_wrap_dim(dim, lp_ndim(self), &dim));
  Task t = {.descending = descending};
  TRY(run(self, dim, size_along(self, dim), sort_row, &t, results));
  return lp_give_all(outs, results, 2);
}

/* --- ops ------------------------------------------------------------------------------------------------ */

bool lp_impl_sort(LpTensor **outs, LpTensor *self, int64_t dim, bool descending, LpTensor **results) {
  return sort(outs, self, dim, descending, results);
}
bool lp_impl_sort_stable(LpTensor **outs, LpTensor *self, LpOptBool stable, int64_t dim, bool descending,
                         LpTensor **results) {
  return sort(outs, self, dim, descending, results);
}
LpTensor *lp_impl_argsort(LpTensor *self, int64_t dim, bool descending) {
  LpTensor *results[2] = {NULL, NULL};
  TRY(sort(NULL, self, dim, descending, results));
  lp_tensor_release(results[0]);
  return results[1];
}
LpTensor *lp_impl_argsort_stable(LpTensor *self, bool stable, int64_t dim, bool descending) {
  return lp_impl_argsort(self, dim, descending);
}

bool lp_impl_topk(LpTensor **outs, LpTensor *self, int64_t k, int64_t dim, bool largest, bool sorted,
                  LpTensor **results) {
  TRY(lp_wrap_dim(dim, lp_ndim(self), &dim));
  CHECK(k >= 0 && k <= size_along(self, dim), LP_ERR_ARGUMENT,
        "k must be in [0, %lld], the size of dim %lld, got %lld", (long long)size_along(self, dim), (long long)dim,
        (long long)k);
  if (lp_ndim(self) == 0) k = 1; /* a 0-d result holds its one element */
  Task t = {.descending = largest, .sorted = sorted, .k = k};
  TRY(run(self, dim, k, topk_row, &t, results));
  return lp_give_all(outs, results, 2);
}

bool lp_impl_kthvalue(LpTensor **outs, LpTensor *self, int64_t k, int64_t dim, bool keepdim, LpTensor **results) {
  TRY(lp_wrap_dim(dim, lp_ndim(self), &dim));
  CHECK(k >= 1 && k <= size_along(self, dim), LP_ERR_ARGUMENT,
        "k must be in [1, %lld], the size of dim %lld, got %lld", (long long)size_along(self, dim), (long long)dim,
        (long long)k);
  Task t = {.k = k};
  TRY(run(self, dim, 1, kth_row, &t, results));
  return settle(outs, results, dim, keepdim);
}

static bool choose(LpTensor **outs, LpTensor *self, int64_t dim, bool keepdim, RowBody body, bool skip_nan,
                   LpTensor **results) {
  TRY(lp_wrap_dim(dim, lp_ndim(self), &dim));
  CHECK(size_along(self, dim) > 0 || lp_numel(self) > 0, LP_ERR_INDEX,
        "expected reduction dim %lld to have non-zero size, got shape %s", (long long)dim, SHAPE_TEXT(self));
  Task t = {.skip_nan = skip_nan};
  TRY(run(self, dim, 1, body, &t, results));
  return settle(outs, results, dim, keepdim);
}

bool lp_impl_median_dim(LpTensor **outs, LpTensor *self, int64_t dim, bool keepdim, LpTensor **results) {
  return choose(outs, self, dim, keepdim, median_row, false, results);
}
bool lp_impl_nanmedian_dim(LpTensor **outs, LpTensor *self, int64_t dim, bool keepdim, LpTensor **results) {
  return choose(outs, self, dim, keepdim, median_row, true, results);
}
bool lp_impl_mode(LpTensor **outs, LpTensor *self, int64_t dim, bool keepdim, LpTensor **results) {
  return choose(outs, self, dim, keepdim, mode_row, false, results);
}

/* The median of all elements; of none, NaN (the smallest integer for integers). */
static LpTensor *median(LpTensor *self, bool skip_nan) {
  LpDtype dtype = lp_dtype(self);
  if (lp_numel(self) == 0)
    return lp_tensor_from_scalar(lp_dtype_is_floating(dtype) ? lp_scalar_float(NAN)
                                                             : lp_scalar_int(dtype == LP_INT32 ? INT32_MIN : INT64_MIN),
                                 dtype);
  LpTensor *dense = lp_dense(self, dtype), *results[2] = {NULL, NULL};
  if (!dense) return NULL;
  int64_t n = lp_numel(dense), one = 1;
  LpTensor *flat = lp_tensor_alias(dense, lp_ints(&n, 1), lp_ints(&one, 1), dense->offset_elems);
  if (flat) choose(NULL, flat, 0, false, median_row, skip_nan, results);
  lp_tensor_release(results[1]);
  lp_tensor_release(flat);
  lp_tensor_release(dense);
  return results[0];
}

LpTensor *lp_impl_median(LpTensor *self) { return median(self, false); }
LpTensor *lp_impl_nanmedian(LpTensor *self) { return median(self, true); }
