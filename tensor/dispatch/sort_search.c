/* Sets, counts and search: unique, bincount, histc, searchsorted, isin. */
#include <math.h>
#include <string.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/count.h"
#include "cpu/reduce.h"
#include "cpu/sort.h"
#include "cpu/tasks.h"
#include "dispatch/index.h"
#include "dispatch/iter.h"
#include "dispatch/reduce.h"
#include "dispatch/scan.h"
#include "impl.h"
#include "lampad/ops.h"

/* The number of a 0-d tensor, which is released; NULL fails. */
static bool take_number(LpTensor *t, LpScalar *number) {
  const bool ok = t && lp_item(t, number);
  lp_tensor_release(t);
  return ok;
}

/* Integers, or bools, that name their bins themselves: `low` is bin 0. */
typedef struct Named {
  const LpTensor *t; /* 1-d */
  LpLoop load;       /* to int64 */
  int64_t low;
} Named;

static void named_bins(const void *ctx, int64_t first, int64_t n, int64_t *bins) {
  const Named *named = ctx;
  const int64_t elem = (int64_t)lp_dtype_size(lp_dtype(named->t)), step = lp_stride(named->t, 0) * elem;
  named->load((char *[]){(char *)bins, (char *)lp_data(named->t) + first * step}, (int64_t[]){8, step}, n, NULL);
  const int64_t low = named->low;
  if (low == 0) return;
  for (int64_t i = 0; i < n; i++) bins[i] -= low;
}

/* --- unique --------------------------------------------------------------------------------------------
 *
 * Integers close to each other are counted, neighbours compared for runs. Other items (elements, or slices of a
 * dim) are given an order and a test of equality with the item before; from these the distinct ones, each item's
 * group and the groups' sizes follow. */

/* order[i]: the item at place i. starts[i]: item order[i] differs from order[i - 1]. */
typedef struct Groups {
  int64_t n, count; /* items, groups */
  int64_t *order;
  uint8_t *starts;
} Groups;

static bool groups_new(Groups *g, int64_t n) {
  g->n = n;
  g->count = 0;
  g->starts = NULL;
  g->order = lp_alloc((size_t)(n + 1) * sizeof *g->order);
  if (g->order) g->starts = lp_alloc((size_t)n + 1);
  return g->starts != NULL;
}
static void groups_free(Groups *g) {
  lp_free(g->order, (size_t)(g->n + 1) * sizeof *g->order);
  lp_free(g->starts, (size_t)g->n + 1);
}

/* The results of a unique op, but for its distinct elements; an unwanted one is an empty tensor. */
static bool new_results(int64_t count, LpInts inverse_shape, bool want_inverse, bool want_counts, LpTensor **results) {
  const int64_t zero = 0;
  results[1] = lp_tensor_new(want_inverse ? inverse_shape : lp_ints(&zero, 1), LP_INT64, lp_cpu());
  results[2] = lp_tensor_new(lp_ints(want_counts ? &count : &zero, 1), LP_INT64, lp_cpu());
  return results[1] && results[2];
}

static bool drop_results(LpTensor **results) {
  for (int i = 0; i < 3; i++) {
    lp_tensor_release(results[i]);
    results[i] = NULL;
  }
  return false;
}

static bool check_real(LpTensor *self) {
  CHECK(!lp_dtype_is_complex(lp_dtype(self)), LP_ERR_TYPE, "self must be real, got %s", lp_dtype_name(lp_dtype(self)));
  return true;
}

/* The first item of each group; each item's group and the groups' sizes into the results. */
static LpTensor *groups_give(const Groups *g, LpInts inverse_shape, bool want_inverse, bool want_counts,
                             LpTensor **results) {
  LpTensor *firsts = lp_tensor_new(lp_ints(&g->count, 1), LP_INT64, lp_cpu());
  if (!firsts || !new_results(g->count, inverse_shape, want_inverse, want_counts, results)) return firsts;
  int64_t *first = lp_data(firsts), *group_of = lp_data(results[1]), *size = lp_data(results[2]), at = -1;
  for (int64_t i = 0; i < g->n; i++) {
    if (g->starts[i]) {
      first[++at] = g->order[i];
      if (want_counts) size[at] = 0;
    }
    if (want_inverse) group_of[g->order[i]] = at;
    if (want_counts) size[at]++;
  }
  return firsts;
}

/* Ends a unique op: results[0] from the groups' first slices. Takes the groups over. */
static bool unique_finish(Groups *g, bool ok, LpTensor *source, int64_t dim, LpInts inverse_shape, bool want_inverse,
                          bool want_counts, LpTensor **results) {
  LpTensor *firsts = ok ? groups_give(g, inverse_shape, want_inverse, want_counts, results) : NULL;
  if (firsts && results[1] && results[2]) results[0] = lp_impl_index_select(NULL, source, dim, firsts);
  lp_tensor_release(firsts);
  groups_free(g);
  return results[0] || drop_results(results);
}

/* The bins of integers (1-d) that lie close enough for counting to be faster than sorting; else *n_bins is 0. */
static bool close_range(LpTensor *t, int64_t *low, int64_t *n_bins) {
  const LpDtype dtype = lp_dtype(t);
  *low = *n_bins = 0;
  if (!lp_dtype_is_integral(dtype, true) || lp_numel(t) == 0) return true;
  if (lp_dtype_size(dtype) == 1) {
    *low = dtype == LP_INT8 ? INT8_MIN : 0;
    *n_bins = 256;
    return true;
  }
  LpScalar least, most;
  TRY(take_number(lp_impl_min(t), &least) && take_number(lp_impl_max(t), &most));
  const uint64_t width = (uint64_t)most.v.i - (uint64_t)least.v.i;
  *low = least.v.i;
  if (width < 2 * (uint64_t)lp_numel(t)) *n_bins = (int64_t)width + 1;
  return true;
}

typedef struct Ranks {
  Named named;
  const int64_t *rank; /* of each bin */
  int64_t *out;
} Ranks;

static void rank_elements(void *ctx, int64_t begin, int64_t end) {
  const Ranks *r = ctx;
  named_bins(&r->named, begin, end - begin, r->out + begin);
  for (int64_t i = begin; i < end; i++) r->out[i] = r->rank[r->out[i]];
}

/* Distinct elements of a 1-d tensor of integers from `low` on, by counting. */
static bool unique_counted(LpTensor *t, int64_t low, int64_t n_bins, LpInts inverse_shape, bool want_inverse,
                           bool want_counts, LpTensor **results) {
  const Named named = {t, lp_cast_loop(LP_INT64, lp_dtype(t)), low};
  size_t capacity;
  int64_t *counts = lp_block_alloc((size_t)n_bins * sizeof(int64_t), &capacity), groups = 0;
  bool ok = counts && lp_count(counts, n_bins, lp_numel(t), named_bins, &named);
  for (int64_t b = 0; ok && b < n_bins; b++) groups += counts[b] > 0;
  LpTensor *values = ok ? lp_tensor_new(lp_ints(&groups, 1), LP_INT64, lp_cpu()) : NULL;
  ok = values && new_results(groups, inverse_shape, want_inverse, want_counts, results);
  if (ok) {
    int64_t *value = lp_data(values), *size = lp_data(results[2]), at = 0;
    for (int64_t b = 0; b < n_bins; b++) {
      if (counts[b] == 0) continue;
      value[at] = low + b;
      if (want_counts) size[at] = counts[b];
      counts[b] = at++;
    }
    Ranks r = {named, counts, lp_data(results[1])};
    if (want_inverse) lp_parallel_for(lp_numel(t), LP_GRAIN, rank_elements, &r);
    results[0] = lp_dense(values, lp_dtype(t));
  }
  lp_tensor_release(values);
  if (counts) lp_block_free(counts, capacity);
  return results[0] || drop_results(results);
}

/* Runs of a 1-d tensor: which elements differ from the one before, and each element's run. */
typedef struct Runs {
  const LpTensor *t;
  uint8_t *starts;
  const int64_t *firsts; /* where runs begin */
  int64_t count, *inverse;
  char *values;          /* of the runs */
} Runs;

#define RUN_BLOCK 1024

static void find_starts(void *ctx, int64_t begin, int64_t end) {
  const Runs *r = ctx;
  const int64_t elem = (int64_t)lp_dtype_size(lp_dtype(r->t));
  const bool floating = lp_dtype_is_floating(lp_dtype(r->t));
  uint64_t keys[RUN_BLOCK + 1];
  for (int64_t at = begin; at < end; at += RUN_BLOCK) {
    const int64_t n = end - at < RUN_BLOCK ? end - at : RUN_BLOCK, before = at > 0;
    const char *from = (const char *)lp_data(r->t) + (at - before) * elem;
    lp_sort_keys(keys + 1 - before, from, elem, lp_dtype(r->t), n + before, false);
    for (int64_t i = 1; i <= n; i++)
      r->starts[at + i - 1] = (keys[i] != keys[i - 1]) | (floating & (keys[i] == LP_KEY_NAN));
    if (at == 0) r->starts[0] = 1;
  }
}

static void number_runs(void *ctx, int64_t begin, int64_t end) {
  const Runs *r = ctx;
  int64_t low = 0, high = r->count; /* the runs that begin before `begin` */
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (r->firsts[middle] < begin) low = middle + 1;
    else high = middle;
  }
  for (int64_t i = begin, run = low - 1; i < end; i++) r->inverse[i] = run += r->starts[i];
}

/* The first element of each run. */
static void gather_firsts(void *ctx, int64_t begin, int64_t end) {
  const Runs *r = ctx;
  const int64_t elem = (int64_t)lp_dtype_size(lp_dtype(r->t));
  lp_index_table()->get[lp_size_class(elem)](&(LpIndexRow){.t = lp_data(r->t),
                                                           .idx = r->firsts + begin,
                                                           .idx_step = 1,
                                                           .scale = elem,
                                                           .v = r->values + begin * elem,
                                                           .v_step = elem,
                                                           .n = end - begin});
}

/* The runs of equal elements of a 1-d dense tensor, each as one. NaN equals nothing. */
static bool unique_runs(LpTensor *t, LpInts inverse_shape, bool want_inverse, bool want_counts, LpTensor **results) {
  const int64_t n = lp_numel(t);
  LpTensor *starts = lp_tensor_new(lp_ints(&n, 1), LP_BOOL, lp_cpu()), *firsts = NULL;
  Runs r = {.t = t};
  if (starts) {
    r.starts = lp_data(starts);
    lp_parallel_for(n, LP_GRAIN / 2, find_starts, &r);
    firsts = lp_true_places(starts);
  }
  r.count = firsts ? lp_numel(firsts) : 0;
  if (firsts && new_results(r.count, inverse_shape, want_inverse, want_counts, results)) {
    r.firsts = lp_data(firsts);
    r.inverse = lp_data(results[1]);
    int64_t *size = lp_data(results[2]);
    for (int64_t i = 0; want_counts && i < r.count; i++)
      size[i] = (i + 1 < r.count ? r.firsts[i + 1] : n) - r.firsts[i];
    if (want_inverse) lp_parallel_for(n, LP_GRAIN, number_runs, &r);
    results[0] = lp_tensor_new(lp_ints(&r.count, 1), lp_dtype(t), lp_cpu());
  }
  if (results[0]) {
    r.values = lp_data(results[0]);
    lp_parallel_for(r.count, LP_GRAIN, gather_firsts, &r);
  }
  lp_tensor_release(starts);
  lp_tensor_release(firsts);
  return results[0] || drop_results(results);
}

typedef struct Scatter {
  const int64_t *order, *from; /* to[order[i]] = from[i] */
  int64_t *to;
} Scatter;

static void scatter_range(void *ctx, int64_t begin, int64_t end) {
  const Scatter *s = ctx;
  for (int64_t i = begin; i < end; i++) s->to[s->order[i]] = s->from[i];
}

/* Distinct elements of a 1-d dense tensor in their order: its runs once it is sorted. NaN equals nothing. */
static bool unique_sorted(LpTensor *t, LpInts inverse_shape, bool want_inverse, bool want_counts, LpTensor **results) {
  const int64_t n = lp_numel(t);
  LpTensor *sorted[2] = {NULL, NULL};
  TRY(lp_impl_sort(NULL, t, 0, false, sorted));
  bool ok = unique_runs(sorted[0], lp_ints(&n, 1), want_inverse, want_counts, results);
  if (ok && want_inverse) {
    LpTensor *inverse = lp_tensor_new(inverse_shape, LP_INT64, lp_cpu());
    if (inverse) {
      Scatter s = {lp_data(sorted[1]), lp_data(results[1]), lp_data(inverse)};
      lp_parallel_for(n, LP_GRAIN, scatter_range, &s);
    }
    lp_tensor_release(results[1]);
    results[1] = inverse;
    ok = inverse || drop_results(results);
  }
  lp_tensor_release(sorted[0]);
  lp_tensor_release(sorted[1]);
  return ok;
}

/* Distinct elements of the flattened tensor; in order, or as runs. */
static bool unique_flat(LpTensor *self, bool consecutive, bool want_inverse, bool want_counts, LpTensor **results) {
  results[0] = results[1] = results[2] = NULL;
  TRY(check_real(self));
  LpTensor *dense = lp_dense(self, lp_dtype(self));
  TRY(dense);
  int64_t n = lp_numel(dense), one = 1, low, n_bins;
  LpTensor *flat = lp_tensor_alias(dense, lp_ints(&n, 1), lp_ints(&one, 1), dense->offset_elems);
  const LpInts shape = lp_sizes(self);
  bool ok = false;
  if (flat && consecutive)
    ok = unique_runs(flat, shape, want_inverse, want_counts, results);
  else if (flat && close_range(flat, &low, &n_bins))
    ok = n_bins ? unique_counted(flat, low, n_bins, shape, want_inverse, want_counts, results)
                : unique_sorted(flat, shape, want_inverse, want_counts, results);
  lp_tensor_release(flat);
  lp_tensor_release(dense);
  return ok;
}

/* Slices of a dim compared element by element, in the order of their keys. */
typedef struct Slices {
  const uint64_t *keys;
  int64_t length;
} Slices;

static int compare_slices(const Slices *s, int64_t a, int64_t b) {
  const uint64_t *x = s->keys + a * s->length, *y = s->keys + b * s->length;
  for (int64_t i = 0; i < s->length; i++)
    if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
  return 0;
}

/* A stable merge sort of order[] by slice. */
static void sort_slices(const Slices *s, int64_t *order, int64_t *tmp, int64_t n) {
  int64_t *from = order, *to = tmp;
  for (int64_t run = 1; run < n; run *= 2) {
    for (int64_t i = 0; i < n; i += 2 * run) {
      int64_t middle = i + run < n ? i + run : n, end = i + 2 * run < n ? i + 2 * run : n, a = i, b = middle;
      for (int64_t k = i; k < end; k++) {
        bool left = a < middle && (b >= end || compare_slices(s, from[a], from[b]) <= 0);
        to[k] = left ? from[a++] : from[b++];
      }
    }
    int64_t *swap = from;
    from = to;
    to = swap;
  }
  if (from != order) memcpy(order, from, (size_t)n * sizeof *order);
}

static bool unique_slices(LpTensor *self, int64_t dim, bool consecutive, bool want_inverse, bool want_counts,
                          LpTensor **results) {
  results[0] = results[1] = results[2] = NULL;
  TRY(check_real(self));
  TRY(lp_wrap_dim(dim, lp_ndim(self), &dim));
  CHECK(lp_ndim(self) > 0, LP_ERR_ARGUMENT, "self must have at least 1 dim for unique along a dim");
  int64_t n = lp_size(self, dim), length = 1, at = 0;
  for (int64_t d = 0; d < lp_ndim(self); d++) length *= d == dim ? 1 : lp_size(self, d);
  CHECK(n == 0 || length > 0, LP_ERR_ARGUMENT, "slices of dim %lld are empty (shape %s)", (long long)dim,
        SHAPE_TEXT(self));
  size_t key_bytes = (size_t)(n * length + 1) * sizeof(uint64_t), pair_bytes = (size_t)(n + 1) * sizeof(LpPair);
  Groups g = {0};
  uint64_t *keys = lp_alloc(key_bytes);
  LpPair *pairs = lp_alloc(pair_bytes);
  bool ok = groups_new(&g, n) && keys && pairs;
  if (ok && n > 0) {
    LpRows rows;
    lp_rows_init(&rows, dim, &self, 1);
    for (int64_t row = 0; row < rows.n_rows; row++, at++) {
      int64_t rest = row;
      char *src = rows.base[0];
      for (int d = rows.n_outer - 1; d >= 0; d--) {
        src += rest % rows.sizes[d] * rows.strides[0][d];
        rest /= rows.sizes[d];
      }
      lp_sort_load(pairs, src, rows.step[0], lp_dtype(self), n, false);
      for (int64_t i = 0; i < n; i++) keys[i * length + at] = pairs[i].key;
    }
    Slices s = {keys, length};
    for (int64_t i = 0; i < n; i++) g.order[i] = i;
    if (!consecutive) sort_slices(&s, g.order, (int64_t *)pairs, n);
    for (int64_t i = 0; i < n; i++) {
      g.starts[i] = i == 0 || compare_slices(&s, g.order[i - 1], g.order[i]) != 0;
      g.count += g.starts[i];
    }
  }
  lp_free(keys, key_bytes);
  lp_free(pairs, pair_bytes);
  return unique_finish(&g, ok, self, dim, lp_ints(&n, 1), want_inverse, want_counts, results);
}

bool lp_impl__unique2(LpTensor *self, bool sorted, bool return_inverse, bool return_counts, LpTensor **results) {
  return unique_flat(self, false, return_inverse, return_counts, results);
}
bool lp_impl_unique_dim(LpTensor *self, int64_t dim, bool sorted, bool return_inverse, bool return_counts,
                        LpTensor **results) {
  return unique_slices(self, dim, false, return_inverse, return_counts, results);
}
bool lp_impl__unique_consecutive(LpTensor *self, bool return_inverse, bool return_counts, LpOptInt dim,
                                 LpTensor **results) {
  if (dim.has) return unique_slices(self, dim.value, true, return_inverse, return_counts, results);
  return unique_flat(self, true, return_inverse, return_counts, results);
}

/* --- counting -------------------------------------------------------------------------------------------- */

#define BIN_BLOCK ((int64_t)1 << 16)

/* `count` elements of a 1-d tensor from `begin` on, dense in the dtype; converted ones are few enough to stay in
 * the cache. */
static LpTensor *block_of(LpTensor *t, int64_t begin, int64_t count, LpDtype dtype) {
  int64_t stride = lp_stride(t, 0);
  LpTensor *part = lp_tensor_alias(t, lp_ints(&count, 1), lp_ints(&stride, 1), t->offset_elems + begin * stride);
  LpTensor *block = part ? lp_dense(part, dtype) : NULL;
  lp_tensor_release(part);
  return block;
}

/* The smallest (at most 0) and the largest (at least -1) element of an integral tensor. */
static bool bin_range(LpTensor *t, int64_t *lowest, int64_t *highest) {
  LpScalar least = lp_scalar_int(0), most = lp_scalar_int(-1);
  if (lp_numel(t) > 0) TRY(take_number(lp_impl_min(t), &least) && take_number(lp_impl_max(t), &most));
  *lowest = least.v.i < 0 ? least.v.i : 0;
  *highest = most.v.i > -1 ? most.v.i : -1;
  return true;
}

/* Adds the weights to the bins that t's elements name. */
static bool add_weights(LpTensor *t, LpTensor *weights, double *totals) {
  for (int64_t at = 0, n = lp_numel(t); at < n; at += BIN_BLOCK) {
    const int64_t count = n - at < BIN_BLOCK ? n - at : BIN_BLOCK;
    LpTensor *block = block_of(t, at, count, LP_INT64);
    LpTensor *w = block ? block_of(weights, at, count, LP_FLOAT64) : NULL;
    const int64_t *v = w ? lp_data(block) : NULL;
    const double *weight = w ? lp_data(w) : NULL;
    for (int64_t i = 0; w && i < count; i++) totals[v[i]] += weight[i];
    const bool ok = w != NULL;
    lp_tensor_release(block);
    lp_tensor_release(w);
    TRY(ok);
    if (lp_interrupt_pending()) return lp_fail(LP_ERR_INTERRUPT, "interrupted");
  }
  return true;
}

LpTensor *lp_impl_bincount(LpTensor *self, LpTensor *weights, int64_t minlength) {
  CHECK(lp_ndim(self) == 1 && lp_dtype_is_integral(lp_dtype(self), false), LP_ERR_ARGUMENT,
        "self must be 1-d and of an integer dtype, got shape %s and %s", SHAPE_TEXT(self), lp_dtype_name(lp_dtype(self)));
  CHECK(minlength >= 0, LP_ERR_ARGUMENT, "minlength must not be negative, got %lld", (long long)minlength);
  CHECK(!weights || (lp_ndim(weights) == 1 && lp_size(weights, 0) == lp_size(self, 0)), LP_ERR_ARGUMENT,
        "weights must have self's shape %s, got %s", SHAPE_TEXT(self), SHAPE_TEXT(weights));
  int64_t lowest, highest;
  TRY(bin_range(self, &lowest, &highest));
  CHECK(lowest >= 0, LP_ERR_ARGUMENT, "self must hold no negative numbers, got %lld", (long long)lowest);
  CHECK(highest < INT64_MAX, LP_ERR_MEMORY, "the bins up to %lld are more than any memory holds", (long long)highest);
  const int64_t bins = highest + 1 > minlength ? highest + 1 : minlength;
  if (lp_numel(self) == 0) weights = NULL; /* as PyTorch: counts, whatever the weights */
  LpTensor *sums = lp_tensor_new(lp_ints(&bins, 1), weights ? LP_FLOAT64 : LP_INT64, lp_device(self)), *result = NULL;
  if (sums) {
    const Named named = {self, lp_cast_loop(LP_INT64, lp_dtype(self)), 0};
    bool ok;
    if (weights) {
      memset(lp_data(sums), 0, (size_t)bins * 8);
      ok = add_weights(self, weights, lp_data(sums));
    } else {
      ok = lp_count(lp_data(sums), bins, lp_numel(self), named_bins, &named);
    }
    const LpDtype dtype = !weights ? LP_INT64 : lp_dtype(weights) == LP_FLOAT32 ? LP_FLOAT32 : LP_FLOAT64;
    if (ok) result = lp_dense(sums, dtype);
  }
  lp_tensor_release(sums);
  return result;
}

/* Numbers in equal bins; float32's arithmetic decides for float32 and the half dtypes. */
typedef struct EqualBins {
  const LpTensor *t; /* dense */
  LpLoop load;       /* of half dtypes, to float32 */
  double min, max;
  int64_t n_bins;
} EqualBins;

static void equal_bins(const void *ctx, int64_t first, int64_t n, int64_t *bins) {
  const EqualBins *e = ctx;
  const int64_t elem = (int64_t)lp_dtype_size(lp_dtype(e->t));
  char *x = (char *)lp_data(e->t) + first * elem;
  if (lp_dtype(e->t) == LP_FLOAT64) {
    lp_count_kernels()->bins_f64(bins, (double *)x, n, e->min, e->max, e->n_bins);
    return;
  }
  float wide[LP_COUNT_BLOCK];
  if (lp_dtype(e->t) != LP_FLOAT32) {
    e->load((char *[]){(char *)wide, x}, (int64_t[]){sizeof *wide, elem}, n, NULL);
    x = (char *)wide;
  }
  lp_count_kernels()->bins_f32(bins, (float *)x, n, (float)e->min, (float)e->max, e->n_bins);
}

static LpTensor *count_equal_bins(LpTensor *dense, int64_t bins, double min, double max) {
  const LpDtype dtype = lp_dtype(dense);
  LpScalar least = lp_scalar_float(min), most = lp_scalar_float(max);
  if (min == max && lp_numel(dense) > 0) {
    TRY(take_number(lp_impl_min(dense), &least) && take_number(lp_impl_max(dense), &most));
    min = lp_scalar_to_double(least);
    max = lp_scalar_to_double(most);
  }
  if (min == max) {
    min -= 1;
    max += 1;
  }
  CHECK(isfinite(min) && isfinite(max), LP_ERR_ARGUMENT, "the range [%g, %g] of the bins must be finite", min, max);
  CHECK(max >= min, LP_ERR_ARGUMENT, "max must not be smaller than min, got %g and %g", max, min);
  TRY(take_number(lp_tensor_from_scalar(lp_scalar_float(min), dtype), &least) &&
      take_number(lp_tensor_from_scalar(lp_scalar_float(max), dtype), &most));
  LpTensor *counts = lp_tensor_new(lp_ints(&bins, 1), LP_INT64, lp_device(dense)), *result = NULL;
  const EqualBins e = {dense, lp_cast_loop(LP_FLOAT32, dtype),
                       lp_scalar_to_double(least), lp_scalar_to_double(most), bins};
  if (counts && lp_count(lp_data(counts), bins, lp_numel(dense), equal_bins, &e)) result = lp_dense(counts, dtype);
  lp_tensor_release(counts);
  return result;
}

static LpTensor *histc(LpTensor *self, int64_t bins, double min, double max) {
  CHECK(lp_dtype_is_floating(lp_dtype(self)), LP_ERR_TYPE, "self must be floating, got %s", lp_dtype_name(lp_dtype(self)));
  CHECK(bins > 0, LP_ERR_ARGUMENT, "bins must be positive, got %lld", (long long)bins);
  LpTensor *dense = lp_dense(self, lp_dtype(self));
  LpTensor *result = dense ? count_equal_bins(dense, bins, min, max) : NULL;
  lp_tensor_release(dense);
  return result;
}

LpTensor *lp_impl_histc(LpTensor *out, LpTensor *self, int64_t bins, LpScalar min, LpScalar max) {
  return lp_give(out, histc(self, bins, lp_scalar_to_double(min), lp_scalar_to_double(max)));
}

/* --- search ---------------------------------------------------------------------------------------------- */

typedef struct Search {
  LpPair *pairs; /* keys of the sequences, all rows, in sorted order */
  int64_t length, rows;
  bool right, one_row;
  const LpPair *wanted;
  int64_t per_row;
  int64_t *out;
} Search;

/* Task: one wanted value. */
static void search_task(void *ctx, int64_t i) {
  const Search *s = ctx;
  const LpPair *row = s->pairs + (s->one_row ? 0 : i / s->per_row * s->length);
  uint64_t key = s->wanted[i].key;
  int64_t low = 0, high = s->length;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    bool before = s->right ? row[middle].key <= key : row[middle].key < key;
    if (before) low = middle + 1;
    else high = middle;
  }
  s->out[i] = low;
}

LpTensor *lp_impl_searchsorted_tensor(LpTensor *out, LpTensor *sorted_sequence, LpTensor *self, bool out_int32,
                                      bool right, const char *side, LpTensor *sorter) {
  CHECK(!side || !strcmp(side, "left") || !strcmp(side, "right"), LP_ERR_ARGUMENT,
        "side must be 'left' or 'right', got '%s'", side);
  CHECK(!(side && right && !strcmp(side, "left")), LP_ERR_ARGUMENT, "side = 'left' contradicts right = true");
  if (side && !strcmp(side, "right")) right = true;
  int64_t ndim = lp_ndim(sorted_sequence);
  CHECK(ndim >= 1, LP_ERR_ARGUMENT, "sorted_sequence must have at least 1 dim");
  bool fits = ndim == 1 || lp_ndim(self) == ndim;
  for (int64_t d = 0; fits && ndim > 1 && d < ndim - 1; d++) fits = lp_size(sorted_sequence, d) == lp_size(self, d);
  CHECK(fits, LP_ERR_ARGUMENT,
        "sorted_sequence must be 1-d, or have the shape of the values but for the last dim: got %s and %s",
        SHAPE_TEXT(sorted_sequence), SHAPE_TEXT(self));
  LpDtype dtype = self->flags & LP_FLAG_WRAPPED_NUMBER || lp_dtype(self) == lp_dtype(sorted_sequence)
                      ? lp_promote_types(lp_dtype(sorted_sequence), lp_dtype(self))
                      : LP_DTYPE_NONE;
  CHECK(dtype != LP_DTYPE_NONE, LP_ERR_TYPE, "sorted_sequence and the values must have one dtype, got %s and %s",
        lp_dtype_name(lp_dtype(sorted_sequence)), lp_dtype_name(lp_dtype(self)));
  CHECK(!lp_dtype_is_complex(dtype), LP_ERR_TYPE, "sorted_sequence must be real, got %s", lp_dtype_name(dtype));
  CHECK(!sorter || (lp_dtype(sorter) == LP_INT64 && lp_numel(sorter) == lp_numel(sorted_sequence)), LP_ERR_ARGUMENT,
        "sorter must be int64 and of sorted_sequence's shape");
  LpTensor *sequence = lp_dense(sorted_sequence, dtype), *values = lp_dense(self, dtype), *result = NULL;
  LpTensor *order = sorter ? lp_dense(sorter, LP_INT64) : NULL;
  if (sequence && order) { /* the sequence in the order the sorter gives */
    LpTensor *sorted = lp_impl_gather(NULL, sequence, ndim - 1, order, false);
    lp_tensor_release(sequence);
    sequence = sorted;
  }
  int64_t n = sequence ? lp_numel(sequence) : 0, m = values ? lp_numel(values) : 0;
  int64_t elem = (int64_t)lp_dtype_size(dtype);
  size_t bytes = (size_t)(n + m + 1) * sizeof(LpPair), capacity;
  LpPair *pairs = sequence && values && (!sorter || order) ? lp_block_alloc(bytes, &capacity) : NULL;
  if (pairs && (result = lp_tensor_new(lp_sizes(self), LP_INT64, lp_device(self)))) {
    lp_sort_load(pairs, lp_data(sequence), elem, dtype, n, false);
    lp_sort_load(pairs + n, lp_data(values), elem, dtype, m, false);
    Search s = {.pairs = pairs, .length = lp_size(sequence, ndim - 1), .right = right, .one_row = ndim == 1,
                .wanted = pairs + n, .per_row = lp_ndim(self) ? lp_size(self, lp_ndim(self) - 1) : 1,
                .out = lp_data(result)};
    if (!lp_run_tasks(m, 32, search_task, &s)) {
      lp_tensor_release(result);
      result = NULL;
    }
  }
  if (pairs) lp_block_free(pairs, capacity);
  lp_tensor_release(sequence);
  lp_tensor_release(values);
  lp_tensor_release(order);
  if (result && out_int32) {
    LpTensor *narrow = lp_dense(result, LP_INT32);
    lp_tensor_release(result);
    result = narrow;
  }
  return lp_give(out, result);
}

typedef struct Membership {
  const LpPair *wanted, *tests; /* tests in order */
  int64_t m;
  bool floating, invert;
  uint8_t *flags;
} Membership;

static void test_range(void *ctx, int64_t begin, int64_t end) {
  const Membership *s = ctx;
  for (int64_t i = begin; i < end; i++) {
    uint64_t key = s->wanted[i].key;
    int64_t low = 0, high = s->m;
    while (low < high) {
      int64_t middle = low + (high - low) / 2;
      if (s->tests[middle].key < key) low = middle + 1;
      else high = middle;
    }
    bool found = low < s->m && s->tests[low].key == key && !(s->floating && key == LP_KEY_NAN);
    s->flags[i] = found != s->invert;
  }
}

LpTensor *lp_impl_isin_tensor_tensor(LpTensor *out, LpTensor *elements, LpTensor *test_elements, bool assume_unique,
                                     bool invert) {
  LpDtype dtype = lp_promote_types(lp_dtype(elements), lp_dtype(test_elements));
  CHECK(!lp_dtype_is_complex(dtype), LP_ERR_TYPE, "elements must be real, got %s", lp_dtype_name(dtype));
  LpTensor *a = lp_dense(elements, dtype), *b = lp_dense(test_elements, dtype), *result = NULL;
  int64_t n = lp_numel(elements), m = lp_numel(test_elements), elem = (int64_t)lp_dtype_size(dtype);
  size_t bytes = (size_t)(n + 2 * m + 1) * sizeof(LpPair), capacity;
  LpPair *pairs = a && b ? lp_block_alloc(bytes, &capacity) : NULL;
  if (pairs && (result = lp_tensor_new(lp_sizes(elements), LP_BOOL, lp_device(elements)))) {
    LpPair *tests = pairs + n;
    lp_sort_load(pairs, lp_data(a), elem, dtype, n, false);
    lp_sort_load(tests, lp_data(b), elem, dtype, m, false);
    lp_sort_pairs(tests, tests + m, m);
    Membership s = {pairs, tests, m, lp_dtype_is_floating(dtype), invert, lp_data(result)};
    lp_parallel_for(n, LP_GRAIN / 16, test_range, &s);
  }
  if (pairs) lp_block_free(pairs, capacity);
  lp_tensor_release(a);
  lp_tensor_release(b);
  return lp_give(out, result);
}
