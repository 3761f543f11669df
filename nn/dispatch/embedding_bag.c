/* Bags of rows: the sum, mean or maximum of the rows of a table at lists of indices, and
 * the gradients. Bags are given by offsets: bag b holds indices [offsets[b], offsets[b +
 * 1]). */
#include "core/parallel.h"
#include "cpu/bag.h"
#include "dispatch/nn_util.h"
#include "impl.h"

typedef enum BagMode { BAG_SUM, BAG_MEAN, BAG_MAX } BagMode;

typedef struct BagJob {
  BagMode mode;
  int type; /* of the table */
  const char *table;
  size_t row_bytes, sum_row_bytes;
  const int64_t *index, *offsets;
  const double *weights; /* of the samples, or NULL */
  const double *factor;  /* backward: what multiplies a sample's share, 0 for padding */
  const int64_t *bag_of;
  int64_t bags, samples, width, padding;
  char *sums;
  int64_t *winners;
  const char *g;
  char *to;
  double *sample_grad;
} BagJob;

static BagMode mode_of(const char *mode) {
  return !strcmp(mode, "sum") ? BAG_SUM : !strcmp(mode, "mean") ? BAG_MEAN : BAG_MAX;
}

static int64_t members(const BagJob *j, int64_t bag) {
  int64_t n = 0;
  for (int64_t i = j->offsets[bag]; i < j->offsets[bag + 1]; i++)
    n += j->index[i] != j->padding;
  return n;
}

static void forward(void *ctx, int64_t begin, int64_t end) {
  BagJob *j = ctx;
  const LpBagKernels *k = lp_bag_kernels();
  for (int64_t b = begin; b < end && !lp_interrupt_pending(); b++) {
    char *sum = j->sums + (size_t)b * j->sum_row_bytes;
    int64_t n = j->mode == BAG_MEAN ? members(j, b) : 1;
    bool first = true;
    for (int64_t i = j->offsets[b]; i < j->offsets[b + 1]; i++) {
      if (j->index[i] == j->padding) continue;
      const char *row = j->table + (size_t)j->index[i] * j->row_bytes;
      if (j->mode == BAG_MAX)
        k->max_row[j->type](sum, j->winners + b * j->width, row, j->index[i], first,
                            j->width);
      else
        k->add_row[j->type](sum, row, (j->weights ? j->weights[i] : 1) / (double)n,
                            j->width);
      first = false;
    }
  }
}

static bool describe(LpTensor *weight, LpTensor *index, LpTensor *offsets,
                     LpTensor *sample_weights, const char *mode, int64_t padding,
                     BagJob *j) {
  *j = (BagJob){.mode = mode_of(mode), .type = nn_float_index(lp_dtype(weight))};
  j->width = lp_size(weight, 1);
  j->row_bytes = (size_t)j->width * lp_dtype_size(lp_dtype(weight));
  j->sum_row_bytes = (size_t)j->width * lp_dtype_size(nn_compute_dtype(lp_dtype(weight)));
  j->table = lp_data(weight);
  j->index = lp_data(index);
  j->offsets = lp_data(offsets);
  j->weights = sample_weights ? lp_data(sample_weights) : NULL;
  j->bags = lp_numel(offsets) - 1;
  j->samples = lp_numel(index);
  j->padding = padding;
  const int64_t rows = lp_size(weight, 0);
  for (int64_t i = 0; i < j->samples; i++)
    CHECK(j->index[i] >= 0 && j->index[i] < rows, LP_ERR_INDEX,
          "index %lld is out of range: weight %s has rows [0, %lld)",
          (long long)j->index[i], SHAPE_TEXT(weight), (long long)rows);
  for (int64_t b = 0; b < j->bags; b++)
    CHECK(
        j->offsets[b] >= 0 && j->offsets[b] <= j->offsets[b + 1] &&
            j->offsets[b + 1] <= j->samples,
        LP_ERR_INDEX,
        "expected 'offsets' that grow from 0 to at most the number of indices, %lld, got "
        "%lld before %lld",
        (long long)j->samples, (long long)j->offsets[b], (long long)j->offsets[b + 1]);
  return true;
}

bool lp_impl_embedding_bag_rows(LpTensor *weight, LpTensor *indices, LpTensor *offsets,
                                LpTensor *per_sample_weights, const char *mode,
                                bool scale_grad_by_freq, int64_t padding_idx,
                                LpTensor **results) {
  (void)scale_grad_by_freq; /* of use to the gradient only */
  LpDtype dtype = lp_dtype(weight);
  LpTensor *w = nn_dense(weight, dtype), *index = nn_dense(indices, LP_INT64),
           *ends = nn_dense(offsets, LP_INT64), *sums = NULL, *winners = NULL;
  LpTensor *s = per_sample_weights ? nn_dense(per_sample_weights, LP_FLOAT64) : NULL;
  BagJob j;
  bool ok = w && index && ends && (s || !per_sample_weights) &&
            describe(w, index, ends, s, mode, padding_idx, &j);
  if (ok) {
    int64_t sizes[2] = {j.bags, j.width}, none[2] = {0, 0};
    ok = (sums = nn_zeros(sizes, 2, nn_compute_dtype(dtype))) != NULL &&
         (winners = nn_empty(j.mode == BAG_MAX ? sizes : none, 2, LP_INT64)) != NULL;
  }
  if (ok && lp_numel(sums)) {
    j.sums = lp_data(sums);
    j.winners = lp_data(winners);
    for (int64_t i = 0; i < lp_numel(winners); i++) j.winners[i] = -1;
    int64_t cost = (j.samples / j.bags + 1) * j.width;
    lp_parallel_for(j.bags, LP_GRAIN / (cost + 1) + 1, forward, &j);
  }
  lp_tensor_release(w);
  lp_tensor_release(index);
  lp_tensor_release(ends);
  lp_tensor_release(s);
  if (ok) ok = (sums = nn_cast_take(sums, dtype)) != NULL;
  if (!ok) {
    lp_drop(&sums);
    lp_drop(&winners);
  }
  results[0] = sums;
  results[1] = winners;
  return ok;
}

/* Threads take columns, so that rows met twice are added by one thread, in order. */
#define COLUMNS_LOOP(T)                                                                  \
  static void columns_##T(const BagJob *j, int64_t begin, int64_t end) {                 \
    const T *g = (const T *)j->g;                                                        \
    T *to = (T *)j->to;                                                                  \
    if (j->mode == BAG_MAX) {                                                            \
      for (int64_t b = 0; b < j->bags; b++)                                              \
        for (int64_t c = begin; c < end; c++) {                                          \
          int64_t row = j->winners[b * j->width + c];                                    \
          if (row >= 0) to[row * j->width + c] += g[b * j->width + c];                   \
        }                                                                                \
      return;                                                                            \
    }                                                                                    \
    for (int64_t i = 0; i < j->samples; i++) {                                           \
      if (j->factor[i] == 0) continue;                                                   \
      const T f = (T)j->factor[i], *from = g + j->bag_of[i] * j->width;                  \
      T *row = to + j->index[i] * j->width;                                              \
      for (int64_t c = begin; c < end; c++) row[c] += f * from[c];                       \
    }                                                                                    \
  }
COLUMNS_LOOP(float)
COLUMNS_LOOP(double)

static void columns(void *ctx, int64_t begin, int64_t end) {
  BagJob *j = ctx;
  if (j->type == 1)
    columns_double(j, begin, end);
  else
    columns_float(j, begin, end);
}

static void sample_grads(void *ctx, int64_t begin, int64_t end) {
  BagJob *j = ctx;
  for (int64_t i = begin; i < end; i++) {
    bool counts = j->bag_of[i] >= 0 && j->index[i] != j->padding;
    j->sample_grad[i] = counts
                            ? lp_bag_kernels()->dot[j->type](
                                  j->g + (size_t)j->bag_of[i] * j->sum_row_bytes,
                                  j->table + (size_t)j->index[i] * j->row_bytes, j->width)
                            : 0;
  }
}

/* bag_of[i] (-1 outside of all bags) and factor[i] for every sample. */
static bool shares(BagJob *j, bool by_freq, int64_t rows, int64_t *bag_of,
                   double *factor) {
  LpTensor *counts = by_freq ? nn_zeros(&rows, 1, LP_INT64) : NULL;
  if (by_freq && !counts) return false;
  int64_t *count = counts ? lp_data(counts) : NULL;
  for (int64_t i = 0; i < j->samples; i++) {
    bag_of[i] = -1;
    factor[i] = 0;
    if (count) count[j->index[i]]++;
  }
  for (int64_t b = 0; b < j->bags; b++) {
    int64_t n = j->mode == BAG_MEAN ? members(j, b) : 1;
    for (int64_t i = j->offsets[b]; i < j->offsets[b + 1]; i++) {
      bag_of[i] = b;
      if (j->index[i] == j->padding) continue;
      factor[i] = (j->weights ? j->weights[i] : 1) / (double)n;
      if (count) factor[i] /= (double)count[j->index[i]];
    }
  }
  lp_tensor_release(counts);
  j->bag_of = bag_of;
  j->factor = factor;
  return true;
}

bool lp_impl_embedding_bag_rows_backward(LpTensor *grad_output, LpTensor *weight,
                                         LpTensor *indices, LpTensor *offsets,
                                         LpTensor *per_sample_weights, LpTensor *winners,
                                         const char *mode, bool scale_grad_by_freq,
                                         int64_t padding_idx, unsigned grad_mask,
                                         LpTensor **results) {
  LpDtype wanted = lp_dtype(weight), dtype = nn_compute_dtype(wanted);
  LpTensor *w = nn_dense(weight, wanted), *index = nn_dense(indices, LP_INT64),
           *ends = nn_dense(offsets, LP_INT64), *g = nn_dense(grad_output, dtype);
  LpTensor *s = per_sample_weights ? nn_dense(per_sample_weights, LP_FLOAT64) : NULL;
  LpTensor *bag_of = NULL, *factor = NULL, *gw = NULL, *gs = NULL;
  BagJob j;
  bool ok = w && index && ends && g && (s || !per_sample_weights) &&
            describe(w, index, ends, s, mode, padding_idx, &j) &&
            (bag_of = nn_empty(&j.samples, 1, LP_INT64)) &&
            (factor = nn_empty(&j.samples, 1, LP_FLOAT64)) &&
            shares(&j, scale_grad_by_freq, lp_size(weight, 0), lp_data(bag_of),
                   lp_data(factor));
  if (ok && (grad_mask & 1)) {
    ok = (gw = nn_zeros(weight->sizes, 2, dtype)) != NULL;
    j.g = lp_data(g);
    j.winners = lp_data(winners);
    if (ok) {
      j.to = lp_data(gw);
      lp_parallel_for(j.width, LP_GRAIN / (j.samples + j.bags + 1) + 16, columns, &j);
      ok = (gw = nn_cast_take(gw, wanted)) != NULL;
    }
  }
  if (ok && (grad_mask & 2) && per_sample_weights) {
    ok = (gs = lp_tensor_new(lp_sizes(per_sample_weights), LP_FLOAT64, lp_cpu())) != NULL;
    j.g = lp_data(g);
    if (ok) {
      j.sample_grad = lp_data(gs);
      lp_parallel_for(j.samples, LP_GRAIN / (j.width + 1) + 1, sample_grads, &j);
      ok = (gs = nn_cast_take(gs, lp_dtype(per_sample_weights))) != NULL;
    }
  }
  lp_tensor_release(w);
  lp_tensor_release(index);
  lp_tensor_release(ends);
  lp_tensor_release(g);
  lp_tensor_release(s);
  lp_tensor_release(bag_of);
  lp_tensor_release(factor);
  if (!ok) {
    lp_drop(&gw);
    lp_drop(&gs);
  }
  results[0] = gw;
  results[1] = gs;
  return ok;
}
