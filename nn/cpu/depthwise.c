/* See depthwise.h. */
#include "cpu/depthwise.h"

#include "core/alloc.h"
#include "core/check.h"
#include "core/parallel.h"

#define LANES LP_DEPTHWISE_LANES
/* Pieces of the rows times blocks of channels: so many, whatever the number of threads,
 * that these share them evenly. */
#define LEAST_TASKS 32

/* Of bfloat16 it pays to go through float32 for such. */
#define SHORT_ROW 8

/* What oneDNN has a kernel for. */
static bool is_common(const LpConvGeometry *g) {
  for (int d = 0; d < g->ndim; d++)
    if (g->kernel[d] != 3 || g->dilation[d] != 1 || g->padding[d] > 1) return false;
  return g->ndim <= 2;
}

bool lp_depthwise_serves(const LpConvGeometry *g, LpDtype dtype) {
  return lp_conv_is_depthwise(g) && g->c >= LANES &&
         (dtype == LP_BFLOAT16 ? g->out[g->ndim - 1] > SHORT_ROW
                               : dtype == LP_FLOAT32 && !is_common(g));
}

typedef struct Job {
  LpDepthwise d;
  int64_t taps, blocks, rows, pieces;
  float *sums; /* (blocks, pieces, taps, LANES) */
} Job;

/* Of the last block too: it begins earlier, and has channels in common with the one
 * before. */
static int64_t channel_of(const Job *j, int64_t block) {
  const int64_t c = block * LANES, last = j->d.channels - LANES;
  return c < last ? c : last;
}

static void run(void *ctx, int64_t begin, int64_t end) {
  const Job *j = ctx;
  const LpDepthwiseKernels *kernels = lp_depthwise_kernels();
  for (int64_t i = begin; i < end; i++) {
    const int64_t piece = i % j->pieces;
    float *sums = j->sums + i * j->taps * LANES;
    for (int64_t k = 0; k < j->taps * LANES; k++) sums[k] = 0;
    kernels->sums(&j->d, channel_of(j, i / j->pieces), j->rows * piece / j->pieces,
                  j->rows * (piece + 1) / j->pieces, sums);
  }
}

static void gather(const Job *j, float *w) {
  for (int64_t b = 0; b < j->blocks; b++) {
    const int64_t c0 = channel_of(j, b);
    for (int64_t t = 0; t < j->taps; t++)
      for (int64_t lane = 0; lane < LANES; lane++) {
        const float *from = j->sums + (b * j->pieces * j->taps + t) * LANES + lane;
        float sum = 0;
        for (int64_t p = 0; p < j->pieces; p++) sum += from[p * j->taps * LANES];
        w[(c0 + lane) * j->taps + t] = sum;
      }
  }
}

bool lp_depthwise_weight_grad(const LpConvGeometry *g, LpDtype dtype, const void *x,
                              const void *y, float *w) {
  Job j = {.d = {.channels = g->c, .half = dtype == LP_BFLOAT16, .x = x, .y = y}};
  lp_conv_widen(g, j.d.in, j.d.out, j.d.kernel, j.d.stride, j.d.padding, j.d.dilation);
  j.taps = lp_conv_volume(j.d.kernel, 3);
  j.blocks = (g->c + LANES - 1) / LANES;
  j.rows = g->n * j.d.out[0] * j.d.out[1];
  j.pieces = (LEAST_TASKS + j.blocks - 1) / j.blocks;
  if (j.pieces > j.rows) j.pieces = j.rows;
  size_t capacity;
  j.sums = lp_block_alloc((size_t)(j.blocks * j.pieces * j.taps * LANES) * sizeof *j.sums,
                          &capacity);
  TRY(j.sums);
  const int64_t work = j.rows / j.pieces * j.d.out[2] * j.taps * LANES;
  lp_parallel_for(j.blocks * j.pieces, LP_GRAIN / (work + 1) + 1, run, &j);
  gather(&j, w);
  lp_block_free(j.sums, capacity);
  return true;
}
