/* Sorting, selection, sets and search. */
#include <math.h>
#include <stdlib.h>
#include "lampad/memory.h"
#include "values.h"

TEST(sort_values_and_positions) {
  LpTensor *x = TENSOR(LP_FLOAT32, INTS(2, 3), 3, NAN, -1, 0, -0.0, 0), *r[2];
  EXPECT(lp_sort(x, -1, false, r));
  EXPECT_TENSOR(r[0], LP_FLOAT32, INTS(2, 3), 0, -1, 3, NAN, 0, 0, 0);
  EXPECT_TENSOR(r[1], LP_INT64, INTS(2, 3), 0, 2, 0, 1, 0, 1, 2);
  EXPECT(lp_sort(x, 1, true, r));
  EXPECT_TENSOR(r[0], LP_FLOAT32, INTS(2, 3), 0, NAN, 3, -1, 0, 0, 0);
  EXPECT_TENSOR(r[1], LP_INT64, INTS(2, 3), 0, 1, 0, 2, 0, 1, 2);
  x = strided(x);
  EXPECT_TENSOR(lp_argsort(x, 0, false), LP_INT64, INTS(2, 3), 0, 1, 1, 0, 0, 0, 1);
  EXPECT_FAILS(lp_sort(x, 2, false, r), LP_ERR_INDEX, "range");
  lp_tensor_release(x);
}

/* Every size class of the sort, for narrow and wide keys, against the definition. */
TEST(sort_sizes_and_dtypes) {
  const LpDtype dtypes[] = {LP_UINT8, LP_INT8, LP_INT16, LP_INT32, LP_INT64, LP_FLOAT16, LP_BFLOAT16, LP_FLOAT32, LP_FLOAT64};
  const int64_t sizes[] = {1, 2, 17, 24, 25, 100, 768, 769, 3000};
  uint32_t state = 7;
  for (size_t k = 0; k < sizeof dtypes / sizeof *dtypes; k++) {
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
      int64_t n = sizes[s];
      LpTensor *x = lp_tensor_new(INTS(n), dtypes[k], lp_cpu()), *r[2] = {NULL, NULL};
      for (int64_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        put_number(x, i, (double)(state >> 24) - (dtypes[k] == LP_UINT8 ? 0 : 128));
      }
      bool ok = lp_sort(x, 0, s % 2, r);
      double before = 0, before_at = 0;
      for (int64_t i = 0; i < n && ok; i++) {
        double v = number_at(r[0], i), at = number_at(r[1], i);
        ok = number_at(x, (int64_t)at) == v;
        if (i > 0) ok = ok && ((s % 2 ? v < before : v > before) || (v == before && at > before_at));
        before = v;
        before_at = at;
      }
      if (!ok) test_failure(__FILE__, __LINE__, "%s of %lld", lp_dtype_name(dtypes[k]), (long long)n);
      lp_tensor_release(x);
      lp_tensor_release(r[0]);
      lp_tensor_release(r[1]);
    }
  }
}

/* Is r = {values, positions} the stable order of x? */
static bool is_sorted(LpTensor *x, LpTensor **r, bool descending) {
  const int64_t n = lp_numel(x), *at = lp_data(r[1]);
  uint8_t *seen = calloc((size_t)n, 1);
  bool ok = seen != NULL;
  for (int64_t i = 0; i < n && ok; i++) {
    ok = at[i] >= 0 && at[i] < n && !seen[at[i]];
    if (!ok) break;
    seen[at[i]] = 1;
    const double v = number_at(r[0], i), source = number_at(x, at[i]);
    ok = v == source || (isnan(v) && isnan(source));
    if (i == 0 || !ok) continue;
    const double before = number_at(r[0], i - 1), low = descending ? v : before, high = descending ? before : v;
    const bool equal = v == before || (isnan(v) && isnan(before));
    ok = equal ? at[i - 1] < at[i] : isnan(high) || low < high;
  }
  free(seen);
  return ok;
}

/* Rows that are dealt out to buckets: even ones, one bucket with nearly all, a chain of such. */
TEST(sort_long_rows) {
  const LpDtype dtypes[] = {LP_INT64, LP_INT32, LP_INT16, LP_BFLOAT16, LP_FLOAT32, LP_FLOAT64};
  const int64_t n = 150001;
  uint32_t state = 3;
  for (size_t k = 0; k < sizeof dtypes / sizeof *dtypes; k++) {
    for (int kind = 0; kind < 6; kind++) {
      LpTensor *x = lp_tensor_new(INTS(n), dtypes[k], lp_cpu()), *r[2] = {NULL, NULL};
      for (int64_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        const double any = (double)(int32_t)state / (dtypes[k] == LP_INT16 ? 65536 : 1), few = (double)(state >> 28);
        double v = kind == 0   ? any
                   : kind == 1 ? few
                   : kind == 2 ? (i == n / 2 ? -30000 : few)                       /* one far from the others */
                   : kind == 3 ? (i % 1000 == 7 ? any : i % 3 == 0 ? 300 : few)    /* some */
                   : kind == 4 ? (double)(n - i) / 8                               /* in order, backwards */
                               : 5;
        if (kind == 3 && i % 5000 == 0 && lp_dtype_is_floating(dtypes[k])) v = i % 10000 ? NAN : -INFINITY;
        put_number(x, i, v);
      }
      for (int descending = 0; descending < 2; descending++) {
        bool ok = lp_sort(x, 0, descending, r) && is_sorted(x, r, descending);
        if (!ok) test_failure(__FILE__, __LINE__, "%s, kind %d", lp_dtype_name(dtypes[k]), kind);
        lp_tensor_release(r[0]);
        lp_tensor_release(r[1]);
      }
      lp_tensor_release(x);
    }
  }
}

/* Rows of up to 17 elements with ties and NaN, along each dim of a dense tensor and of one with gaps. */
TEST(sort_short_rows) {
  const LpDtype dtypes[] = {LP_UINT8, LP_BFLOAT16, LP_INT32, LP_FLOAT32, LP_FLOAT64};
  uint32_t state = 5;
  for (int64_t n = 1; n <= 17; n++)
    for (size_t k = 0; k < sizeof dtypes / sizeof *dtypes; k++)
      for (int dim = 0; dim < 3; dim++)
        for (int form = 0; form < 4; form++) {
          const bool descending = form & 1, by_topk = form & 2;
          int64_t sizes[3] = {form ? 7 : 30, 6, 11}, steps[3];
          sizes[dim] = n;
          const int64_t count = sizes[0] * sizes[1] * sizes[2], kept = by_topk ? (n + 1) / 2 : n;
          LpTensor *x = lp_tensor_new(lp_ints(sizes, 3), dtypes[k], lp_cpu()), *r[2] = {NULL, NULL};
          for (int64_t i = 0; i < count; i++) {
            state = state * 1664525u + 1013904223u;
            const bool nan = state >> 27 == 3 && lp_dtype_is_floating(dtypes[k]);
            put_number(x, i, nan ? NAN : (double)(state >> 29));
          }
          x = form == 3 ? strided(x) : x;
          bool ok = by_topk ? lp_topk(x, kept, dim, descending, true, r) : lp_sort(x, dim, descending, r);
          LpTensor *dense = lp_contiguous(x, LP_CONTIGUOUS);
          steps[2] = 1, steps[1] = sizes[2], steps[0] = sizes[1] * sizes[2];
          const int64_t rows = count / n, *at = ok ? lp_data(r[1]) : NULL;
          for (int64_t row = 0; row < rows && ok; row++) {
            const int64_t inner = steps[dim], from = row / inner * inner * n + row % inner,
                          to = row / inner * inner * kept + row % inner;
            for (int64_t i = 0; i < kept && ok; i++) {
              int64_t before = 0; /* how many of the row come before this one */
              const int64_t own = at[to + i * inner];
              const double v = number_at(dense, from + own * inner), given = number_at(r[0], to + i * inner);
              for (int64_t j = 0; j < n; j++) {
                const double w = number_at(dense, from + j * inner);
                const bool less = isnan(v) ? !isnan(w) : w < v, more = isnan(w) ? !isnan(v) : w > v;
                before += (descending ? more : less) || (!less && !more && j < own);
              }
              ok = before == i && (v == given || (isnan(v) && isnan(given)));
            }
          }
          if (!ok)
            test_failure(__FILE__, __LINE__, "%s, %d elements, dim %d, form %d", lp_dtype_name(dtypes[k]), (int)n, dim, form);
          lp_tensor_release(dense);
          lp_tensor_release(x);
          lp_tensor_release(r[0]);
          lp_tensor_release(r[1]);
        }
}

TEST(sort_selection) {
  LpTensor *x = TENSOR(LP_INT32, INTS(2, 5), 3, 1, 4, 1, 5, 9, 2, 6, 5, 3), *r[2];
  EXPECT(lp_topk(x, 2, -1, true, true, r));
  EXPECT_TENSOR(r[0], LP_INT32, INTS(2, 2), 0, 5, 4, 9, 6);
  EXPECT_TENSOR(r[1], LP_INT64, INTS(2, 2), 0, 4, 2, 0, 2);
  EXPECT(lp_topk(x, 1, 0, false, true, r));
  EXPECT_TENSOR(r[0], LP_INT32, INTS(1, 5), 0, 3, 1, 4, 1, 3);
  EXPECT_TENSOR(r[1], LP_INT64, INTS(1, 5), 0, 0, 0, 0, 0, 1);
  EXPECT(lp_kthvalue(x, 3, 1, true, r));
  EXPECT_TENSOR(r[0], LP_INT32, INTS(2, 1), 0, 3, 5);
  EXPECT_TENSOR(r[1], LP_INT64, INTS(2, 1), 0, 0, 3);
  EXPECT(lp_mode(x, 1, false, r));
  EXPECT_TENSOR(r[0], LP_INT32, INTS(2), 0, 1, 2);
  EXPECT_TENSOR(r[1], LP_INT64, INTS(2), 0, 3, 1);
  EXPECT_FAILS(lp_topk(x, 6, 1, true, true, r), LP_ERR_ARGUMENT, "[0, 5]");
  EXPECT_FAILS(lp_kthvalue(x, 0, 1, false, r), LP_ERR_ARGUMENT, "[1, 5]");
  LpTensor *f = VECTOR(LP_FLOAT64, 4, NAN, 1, 3), *q = VECTOR(LP_FLOAT64, 0.25, 0.5), *even = VECTOR(LP_FLOAT64, 4, 2, 1, 3);
  LpOptInt all_dims = {.has = false};
  EXPECT_TENSOR(lp_median(f), LP_FLOAT64, SCALAR_SHAPE, 0, NAN);
  EXPECT_TENSOR(lp_nanmedian(f), LP_FLOAT64, SCALAR_SHAPE, 0, 3);
  EXPECT_TENSOR(lp_median(even), LP_FLOAT64, SCALAR_SHAPE, 0, 2);
  EXPECT_TENSOR(lp_quantile(even, q, all_dims, false, "linear"), LP_FLOAT64, INTS(2), 1e-12, 1.75, 2.5);
  EXPECT_TENSOR(lp_quantile_scalar(even, 0.25, all_dims, true, "higher"), LP_FLOAT64, INTS(1), 0, 2);
  EXPECT_TENSOR(lp_nanquantile_scalar(f, 0.5, all_dims, false, "linear"), LP_FLOAT64, SCALAR_SHAPE, 0, 3);
  EXPECT_FAILS(lp_quantile_scalar(even, 1.5, all_dims, false, "linear"), LP_ERR_ARGUMENT, "[0, 1]");
  EXPECT_FAILS(lp_quantile_scalar(even, 0.5, all_dims, false, "cubic"), LP_ERR_ARGUMENT, "'midpoint'");
  LpTensor *all[] = {x, f, q, even};
  for (int i = 0; i < 4; i++) lp_tensor_release(all[i]);
}

TEST(sort_sets_and_counts) {
  LpTensor *x = VECTOR(LP_INT64, 3, 1, 3, 0, 1, 3), *r[3];
  EXPECT(lp__unique2(x, true, true, true, r));
  EXPECT_TENSOR(r[0], LP_INT64, INTS(3), 0, 0, 1, 3);
  EXPECT_TENSOR(r[1], LP_INT64, INTS(6), 0, 2, 1, 2, 0, 1, 2);
  EXPECT_TENSOR(r[2], LP_INT64, INTS(3), 0, 1, 2, 3);
  LpTensor *m = TENSOR(LP_INT64, INTS(3, 2), 1, 2, 0, 5, 1, 2);
  EXPECT(lp_unique_dim(m, 0, true, true, true, r));
  EXPECT_TENSOR(r[0], LP_INT64, INTS(2, 2), 0, 0, 5, 1, 2);
  EXPECT_TENSOR(r[1], LP_INT64, INTS(3), 0, 1, 0, 1);
  EXPECT_TENSOR(r[2], LP_INT64, INTS(2), 0, 1, 2);
  LpTensor *runs = VECTOR(LP_INT64, 1, 1, 2, 1);
  EXPECT(lp__unique_consecutive(runs, false, true, (LpOptInt){.has = false}, r));
  EXPECT_TENSOR(r[0], LP_INT64, INTS(3), 0, 1, 2, 1);
  EXPECT_EMPTY(r[1], LP_INT64, INTS(0));
  EXPECT_TENSOR(r[2], LP_INT64, INTS(3), 0, 2, 1, 1);
  LpTensor *w = VECTOR(LP_FLOAT32, 1, 2, 3, 4, 5, 6), *negative = VECTOR(LP_INT64, -1);
  EXPECT_TENSOR(lp_bincount(x, NULL, 6), LP_INT64, INTS(6), 0, 1, 2, 0, 3, 0, 0);
  EXPECT_TENSOR(lp_bincount(x, w, 0), LP_FLOAT32, INTS(4), 0, 4, 7, 0, 10);
  EXPECT_FAILS(lp_bincount(negative, NULL, 0), LP_ERR_ARGUMENT, "negative");
  EXPECT_TENSOR(lp_histc(w, 5, lp_scalar_int(0), lp_scalar_int(0)), LP_FLOAT32, INTS(5), 0, 1, 1, 1, 1, 2);
  EXPECT_TENSOR(lp_isin_tensor_tensor(x, runs, false, true), LP_BOOL, INTS(6), 0, 1, 0, 1, 1, 0, 1);
  LpTensor *all[] = {x, m, runs, w, negative};
  for (int i = 0; i < 5; i++) lp_tensor_release(all[i]);
}

TEST(sort_search) {
  LpTensor *edges = VECTOR(LP_FLOAT32, 1, 3, 3, 7), *v = TENSOR(LP_FLOAT32, INTS(2, 2), 0, 3, 7, 9);
  EXPECT_TENSOR(lp_searchsorted_tensor(edges, v, false, false, NULL, NULL), LP_INT64, INTS(2, 2), 0, 0, 1, 3, 4);
  EXPECT_TENSOR(lp_searchsorted_tensor(edges, v, true, true, NULL, NULL), LP_INT32, INTS(2, 2), 0, 0, 3, 4, 4);
  EXPECT_TENSOR(lp_searchsorted_scalar(edges, lp_scalar_int(5), false, false, "right", NULL), LP_INT64, SCALAR_SHAPE, 0, 3);
  EXPECT_TENSOR(lp_bucketize_tensor(v, edges, false, true), LP_INT64, INTS(2, 2), 0, 0, 3, 4, 4);
  LpTensor *rows = TENSOR(LP_FLOAT32, INTS(2, 3), 1, 2, 3, 5, 6, 7);
  EXPECT_TENSOR(lp_searchsorted_tensor(rows, v, false, false, NULL, NULL), LP_INT64, INTS(2, 2), 0, 0, 2, 2, 3);
  EXPECT_FAILS(lp_searchsorted_tensor(edges, v, false, true, "left", NULL), LP_ERR_ARGUMENT, "contradicts");
  EXPECT_FAILS(lp_bucketize_tensor(v, rows, false, false), LP_ERR_ARGUMENT, "1-d");
  LpTensor *all[] = {edges, v, rows};
  for (int i = 0; i < 3; i++) lp_tensor_release(all[i]);
}

static uint64_t live_storages(void) {
  LpMemoryStats stats;
  lp_memory_stats(lp_cpu(), &stats);
  return stats.live_count;
}

/* Fails every allocation of a call in turn: each time a clean error, success in the end, nothing left behind. */
#define EXPECT_SURVIVES(call, release)                                                   \
  do {                                                                                   \
    int64_t step = 0;                                                                    \
    uint64_t before = live_storages();                                                   \
    for (bool done = false; !done && step < 500; step++) {                               \
      lp_memory_fail_after(step);                                                        \
      done = call;                                                                       \
      lp_memory_fail_after(-1);                                                          \
      if (done) release;                                                                 \
      else EXPECT(lp_last_error()->code == LP_ERR_MEMORY);                               \
    }                                                                                    \
    EXPECT(step < 500 && live_storages() == before);                                     \
  } while (0)

TEST(sort_allocation_failures) {
  LpTensor *x = TENSOR(LP_FLOAT32, INTS(2, 3), 3, 1, 2, 6, 5, 4), *at = VECTOR(LP_INT64, 1, 0), *r[3] = {NULL, NULL, NULL};
  LpTensor *mask = TENSOR(LP_BOOL, INTS(2, 3), 1, 0, 1, 0, 1, 1), *idx = TENSOR(LP_INT64, INTS(2, 1), 0, 2), *t = NULL;
  x = strided(x);
  EXPECT_SURVIVES(lp_sort(x, 1, false, r), (lp_tensor_release(r[0]), lp_tensor_release(r[1])));
  EXPECT_SURVIVES(lp_max_dim(x, 0, false, r), (lp_tensor_release(r[0]), lp_tensor_release(r[1])));
  EXPECT_SURVIVES(lp__unique2(x, true, true, true, r),
                  (lp_tensor_release(r[0]), lp_tensor_release(r[1]), lp_tensor_release(r[2])));
  EXPECT_SURVIVES((t = lp_index(x, (LpTensors){&at, 1})) != NULL, lp_tensor_release(t));
  EXPECT_SURVIVES((t = lp_index(x, (LpTensors){&mask, 1})) != NULL, lp_tensor_release(t));
  EXPECT_SURVIVES((t = lp_masked_select(x, mask)) != NULL, lp_tensor_release(t));
  EXPECT_SURVIVES((t = lp_scatter_reduce_two(x, 1, idx, x, "mean", false)) != NULL, lp_tensor_release(t));
  EXPECT_SURVIVES((t = lp_quantile_scalar(x, 0.3, (LpOptInt){true, 0}, true, "linear")) != NULL, lp_tensor_release(t));
  EXPECT_SURVIVES((t = lp_cov(x, 1, NULL, NULL)) != NULL, lp_tensor_release(t));
  EXPECT_SURVIVES((t = lp_logsumexp(x, INTS(0), false)) != NULL, lp_tensor_release(t));
  LpTensor *all[] = {x, at, mask, idx};
  for (int i = 0; i < 4; i++) lp_tensor_release(all[i]);
}
