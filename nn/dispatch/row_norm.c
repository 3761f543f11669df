/* See row_norm.h. Short rows are taken many at a time (cpu/short_rows.h), with weights
 * that go on behind the last row of a period by as many rows, so that any of them can be
 * the first. */
#include "dispatch/row_norm.h"

#include <math.h>
#include "core/parallel.h"
#include "core/whole.h"
#include "cpu/copy.h"
#include "cpu/rows.h"
#include "cpu/short_rows.h"
#include "dispatch/nn_util.h"

#define PIECES 16 /* most pieces of short rows that are summed apart */
#define PIECE 64  /* and the blocks that one has at least */

static int type_of(const RowNorm *j) {
  return nn_float_index(j->dtype);
}

static size_t bytes_at(const RowNorm *j, int64_t row) {
  return (size_t)(row * j->n) * lp_dtype_size(j->dtype);
}

static bool is_short(LpDtype dtype, int64_t n) {
  return n < LP_ROW_SHORT && dtype != LP_FLOAT64;
}

/* Elements of the weights behind those of a period. */
static int64_t more_weights(LpDtype dtype, int64_t n) {
  return is_short(dtype, n) ? LP_ROWS_TOGETHER * n : 0;
}

static const char *weights_of(const RowNorm *j, const char *w, int64_t row) {
  return w ? w + bytes_at(j, row % j->period) : NULL;
}

static void row_stats(RowNorm *j, int64_t row) {
  const LpRowKernels *k = lp_row_kernels();
  const char *x = j->x + bytes_at(j, row);
  const int type = type_of(j);
  double pivot = j->mean ? k->first[type](x) : 0, s = 0, q = 0, m = (double)j->n;
  if (!isfinite(pivot)) pivot = 0;
  k->moments[type](x, j->n, pivot, &s, &q);
  const double mean = j->mean ? s / m : 0;
  double variance = q / m - mean * mean;
  if (variance < 0) variance = 0;
  if (j->mean) j->mean[row] = pivot + mean;
  j->rstd[row] = 1 / sqrt(variance + j->eps);
}

static double mean_of(const RowNorm *j, int64_t row) {
  return j->mean ? j->mean[row] : 0;
}

static void forward(void *ctx, int64_t begin, int64_t end) {
  RowNorm *j = ctx;
  const LpRowKernels *k = lp_row_kernels();
  for (int64_t row = begin; row < end; row++) {
    row_stats(j, row);
    const size_t at = bytes_at(j, row);
    k->weighted_center[type_of(j)](j->y + at, j->x + at, j->n, mean_of(j, row),
                                   j->rstd[row], weights_of(j, j->w, row),
                                   weights_of(j, j->b, row));
  }
}

static void backward(void *ctx, int64_t begin, int64_t end) {
  RowNorm *j = ctx;
  const LpRowKernels *k = lp_row_kernels();
  const int type = type_of(j);
  for (int64_t row = begin; row < end; row++) {
    const size_t at = bytes_at(j, row);
    const char *w = weights_of(j, j->w, row);
    double s = 0, q = 0, r = j->rstd[row], mean = mean_of(j, row), m = (double)j->n;
    k->weighted_grad_moments[type](j->g + at, j->x + at, j->n, mean, w, &s, &q);
    double slope = -r * r * r * q / m;
    k->weighted_combine[type](j->y + at, j->g + at, j->x + at, j->n, w, r, slope,
                              j->mean ? -r * s / m - mean * slope : 0);
  }
}

/* The gradients of the weights, elements of the compute dtype. */
typedef struct WeightSums {
  RowNorm *job;
  int64_t pieces, blocks,
      elems; /* of short rows: blocks of a piece, elements of its sums */
  size_t elem_bytes;
  char *gw, *gb; /* either may be NULL */
} WeightSums;

/* Elements [begin, end) of a period. */
static void sum_elements(void *ctx, int64_t begin, int64_t end) {
  const WeightSums *s = ctx;
  const RowNorm *j = s->job;
  const LpRowKernels *k = lp_row_kernels();
  const int type = type_of(j);
  for (int64_t from = begin; from < end;) {
    const int64_t first = from / j->n, to = lp_least(end, (first + 1) * j->n);
    const size_t sum = (size_t)from * s->elem_bytes;
    for (int64_t row = first; row < j->rows; row += j->period) {
      const size_t at =
          bytes_at(j, row) + (size_t)(from - first * j->n) * lp_dtype_size(j->dtype);
      k->weight_grads[type](s->gw ? s->gw + sum : NULL, s->gb ? s->gb + sum : NULL,
                            j->g + at, j->x + at, to - from, j->rstd[row],
                            -mean_of(j, row) * j->rstd[row]);
    }
    from = to;
  }
}

/* The rows of a block. */
static LpShortRows short_rows(const RowNorm *j, int64_t block) {
  const int64_t row = block * LP_ROWS_TOGETHER;
  const size_t at = bytes_at(j, row);
  return (LpShortRows){.rows = lp_least(j->rows - row, LP_ROWS_TOGETHER),
                       .n = j->n,
                       .x = j->x + at,
                       .g = j->g ? j->g + at : NULL,
                       .w = weights_of(j, j->w, row),
                       .shift = weights_of(j, j->b, row),
                       .centred = j->mean,
                       .eps = j->eps,
                       .mean = j->mean ? j->mean + row : NULL,
                       .rstd = j->rstd + row,
                       .y = j->y + at};
}

static void forward_short(void *ctx, int64_t begin, int64_t end) {
  const RowNorm *j = ctx;
  for (int64_t block = begin; block < end; block++) {
    const LpShortRows rows = short_rows(j, block);
    lp_short_row_kernels()->forward[type_of(j)](&rows);
  }
}

static void backward_short(void *ctx, int64_t begin, int64_t end) {
  const WeightSums *s = ctx;
  const RowNorm *j = s->job;
  const int64_t blocks = lp_ratio_up(j->rows, LP_ROWS_TOGETHER);
  for (int64_t piece = begin; piece < end; piece++)
    for (int64_t block = piece * s->blocks;
         block < lp_least(blocks, (piece + 1) * s->blocks); block++) {
      LpShortRows rows = short_rows(j, block);
      const int64_t first = block * LP_ROWS_TOGETHER % j->period * j->n;
      const size_t at = (size_t)(piece * s->elems + first) * s->elem_bytes;
      rows.gw = s->gw ? (float *)(s->gw + at) : NULL;
      rows.gb = s->gb ? (float *)(s->gb + at) : NULL;
      lp_short_row_kernels()->backward[type_of(j)](&rows);
    }
}

void nn_rows_forward(RowNorm *j) {
  const int64_t blocks = lp_ratio_up(j->rows, LP_ROWS_TOGETHER);
  if (is_short(j->dtype, j->n))
    lp_parallel_for(blocks, LP_GRAIN / (LP_ROWS_TOGETHER * (j->n + 1)) + 1, forward_short,
                    j);
  else
    lp_parallel_for(j->rows, LP_GRAIN / (j->n + 1) + 1, forward, j);
}

/* Adds the sums to the gradients that they stand for. */
static void add_sums(LpDtype dtype, const void *sums, int64_t elems, int64_t count,
                     int64_t plane, double *to) {
  const LpRowKernels *k = lp_row_kernels();
  const int type = nn_float_index(dtype);
  for (int64_t at = 0, i = 0; at < elems; at += plane, i = i + 1 < count ? i + 1 : 0)
    to[i] += k->sum[type]((const char *)sums + (size_t)at * lp_dtype_size(dtype),
                          lp_least(plane, elems - at));
}

bool nn_rows_backward(RowNorm *j, double *gw, double *gb, int64_t count, int64_t plane) {
  const LpDtype dtype = nn_compute_dtype(j->dtype);
  const int64_t blocks = lp_ratio_up(j->rows, LP_ROWS_TOGETHER);
  const bool together = is_short(j->dtype, j->n), sums = gw || gb;
  WeightSums s = {.job = j, .pieces = 1, .elem_bytes = lp_dtype_size(dtype)};
  if (together) {
    /* As many as the rows' number asks for, not the threads'. */
    const int64_t most = lp_least(blocks / PIECE, j->rows / (4 * j->period));
    if (!sums)
      s.pieces = blocks;
    else
      s.pieces = lp_least(most > 1 ? most : 1, PIECES);
  }
  s.blocks = lp_ratio_up(blocks, s.pieces);
  s.elems = count * plane + more_weights(j->dtype, j->n);
  LpTensor *of_w = NULL, *of_b = NULL;
  bool ok = true;
  if (gw) ok = (of_w = nn_zeros((int64_t[]){s.pieces, s.elems}, 2, dtype));
  if (gb) ok = ok && (of_b = nn_zeros((int64_t[]){s.pieces, s.elems}, 2, dtype));
  if (ok) {
    s.gw = of_w ? lp_data(of_w) : NULL;
    s.gb = of_b ? lp_data(of_b) : NULL;
    if (together) {
      lp_parallel_for(s.pieces, LP_GRAIN / (s.blocks * LP_ROWS_TOGETHER * (j->n + 1)) + 1,
                      backward_short, &s);
    } else {
      lp_parallel_for(j->rows, LP_GRAIN / (j->n + 1) + 1, backward, j);
      if (sums)
        lp_parallel_for(count * plane, LP_GRAIN / (j->rows / j->period + 1) + 64,
                        sum_elements, &s);
    }
    for (int64_t p = 0; p < s.pieces; p++) {
      const size_t at = (size_t)(p * s.elems) * s.elem_bytes;
      if (gw) add_sums(dtype, s.gw + at, s.elems, count, plane, gw);
      if (gb) add_sums(dtype, s.gb + at, s.elems, count, plane, gb);
    }
  }
  lp_tensor_release(of_w);
  lp_tensor_release(of_b);
  return ok;
}

bool nn_row_weights(LpTensor *vector, LpDtype dtype, int64_t plane, int64_t n,
                    LpTensor **weights) {
  *weights = NULL;
  if (!vector) return true;
  LpTensor *dense = nn_dense(vector, dtype);
  const int64_t count = lp_numel(vector), period = count * plane,
                elems = period + more_weights(dtype, n);
  if (!dense || elems == count) return (*weights = dense) != NULL;
  if ((*weights = nn_empty(&elems, 1, dtype))) {
    const size_t bytes = lp_dtype_size(dtype);
    char *to = lp_data(*weights);
    const int64_t size = (int64_t)bytes;
    const LpRowSteps each = {size, plane, size, 0, plane * size, size};
    lp_copy_kernels()->move(&each, to, lp_data(dense), count);
    for (int64_t at = period; at < elems; at += period)
      memcpy(to + (size_t)at * bytes, to, (size_t)lp_least(period, elems - at) * bytes);
  }
  lp_tensor_release(dense);
  return *weights != NULL;
}
