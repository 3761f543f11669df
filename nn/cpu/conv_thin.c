/* See conv_thin.h. */
#include "cpu/conv_thin.h"

#include <math.h>
#include <string.h>
#include "core/alloc.h"
#include "core/check.h"
#include "core/half.h"
#include "core/parallel.h"
#include "core/whole.h"

/* Bytes of the rows that are held: as the nearest cache has room for, and, where a few
 * results need more than that, at most. */
#define NEAR_LAID (28 * 1024)
#define MOST_LAID (512 * 1024)
/* A task is a piece of the rows for some blocks: so many, whatever the number of threads,
 * that these share them evenly. */
#define LEAST_TASKS 32
/* Bytes of x that a thread's own cache holds for one block after the other. */
#define OWN_BYTES (384 * 1024)

typedef struct Job {
  LpThin t; /* as it is for all blocks */
  LpConvPass pass;
  int64_t lanes, groups, groups_of_block, blocks, taps;
  int64_t rows, pieces, shares; /* of results; their pieces; the blocks' shares */
  int64_t held, part;           /* rows that are laid; results of a row at once */
  size_t scratch_bytes;         /* of a thread: laid rows, their numbers, a row of y */
  float *packed; /* weights and bias of each block; or sums (blocks, pieces) */
  int32_t orders[LP_THIN_LANES * LP_THIN_LANES];
  _Atomic bool failed;
} Job;

static int64_t number_bytes(const LpThin *t) {
  return t->half ? 2 : (int64_t)sizeof(float);
}

static const void *after(const LpThin *t, const void *numbers, int64_t count) {
  return (const char *)numbers + count * number_bytes(t);
}

static int64_t floats_of_weights(const Job *j) {
  return j->taps * j->t.each * j->lanes;
}

static int64_t width_of(const LpThin *t, int64_t results) {
  return (results - 1) * t->stride[2] + (t->kernel[2] - 1) * t->dilation[2] + 1;
}

/* Cuts rows of results into parts for which the rows that are laid stay near. */
static bool cut_rows(Job *j) {
  LpThin *t = &j->t;
  const int64_t line = j->held * t->each * j->lanes * (int64_t)sizeof(float),
                step = lp_thin_kernels()->results;
  if (line > MOST_LAID || width_of(t, 1) > MOST_LAID) return false;
  j->part = step;
  while (j->part < t->out[2] && line * width_of(t, j->part + step) <= NEAR_LAID)
    j->part += step;
  j->part = lp_least(j->part, t->out[2]);
  const int64_t laid = line * width_of(t, j->part);
  j->scratch_bytes = (size_t)laid + (size_t)j->held * sizeof *t->rows +
                     (size_t)(j->part * j->lanes) * sizeof(float);
  return laid <= MOST_LAID;
}

/* What holds for all blocks; false where a vector or the memory is too small. */
static bool plan(LpConvPass pass, const LpConvGeometry *g, Job *j) {
  const int64_t lanes = lp_thin_kernels()->lanes;
  *j = (Job){.pass = pass, .lanes = lanes, .groups = g->groups};
  LpThin *t = &j->t;
  t->c = g->c;
  t->k = g->k;
  t->each = g->c / g->groups;
  t->results = g->k / g->groups;
  const int64_t most = t->each > t->results ? t->each : t->results;
  if (most > lanes) return false;
  j->groups_of_block = lanes / most;
  j->blocks = lp_ratio_up(g->groups, j->groups_of_block);
  lp_conv_widen(g, t->in, t->out, t->kernel, t->stride, t->padding, t->dilation);
  j->taps = lp_conv_volume(t->kernel, 3);
  t->slots = (t->kernel[1] - 1) * t->dilation[1] + 1;
  j->held = t->kernel[0] * t->slots;
  j->rows = g->n * t->out[0] * t->out[1];
  return t->kernel[0] * t->kernel[1] <= LP_THIN_ROWS && cut_rows(j);
}

/* How many times as quick as the library's kernels, which put a group into a vector; as
 * measured. A pixel is laid once for a row of results and again with every step, and is
 * then in as many products as a plane of the kernel has taps. */
static double gain(const Job *j) {
  const LpThin *t = &j->t;
  const double steps = (double)(t->stride[1] * t->stride[2]),
               taps = (double)(t->kernel[1] * t->kernel[2]),
               used = (double)(j->groups_of_block * t->results);
  return used / sqrt((double)(t->each * t->results)) / (1.5 * (1 + 2 * steps / taps));
}
#define LEAST_GAIN 1.3

bool lp_conv_thin_pays(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype) {
  const int64_t lanes = lp_thin_kernels()->lanes;
  Job j;
  if ((dtype != LP_FLOAT32 && dtype != LP_BFLOAT16) || !lanes || g->groups == 1 ||
      pass == LP_CONV_INPUT_GRAD || !plan(pass, g, &j) ||
      2 * j.groups_of_block * j.t.results < lanes || j.groups < j.groups_of_block)
    return false;
  /* The library has kernels for channels by themselves, of float32 in up to two dims: for
   * short rows it is worth while to go through that. */
  if (lp_conv_is_depthwise(g))
    return pass == LP_CONV_FORWARD &&
           (g->ndim == 3 || (dtype == LP_BFLOAT16 && j.t.out[2] > LP_THIN_SHORT_ROW));
  return gain(&j) > LEAST_GAIN;
}

static float number(const LpThin *t, const void *numbers, int64_t i) {
  return t->half ? lp_bf16_to_float(((const uint16_t *)numbers)[i])
                 : ((const float *)numbers)[i];
}

static void pack(const Job *j, const void *w, const void *bias) {
  const LpThin *t = &j->t;
  const int64_t size = floats_of_weights(j) + j->lanes;
  for (int64_t b = 0; b < j->blocks; b++)
    for (int64_t lane = 0; lane < j->lanes; lane++) {
      const int64_t k = b * j->groups_of_block * t->results + lane;
      const bool is = lane < j->groups_of_block * t->results && k < t->k;
      float *to = j->packed + b * size + lane;
      for (int64_t i = 0; i < j->taps * t->each; i++) {
        const int64_t tap = i / t->each, c = i % t->each;
        to[i * j->lanes] = is ? number(t, w, (k * t->each + c) * j->taps + tap) : 0;
      }
      to[size - j->lanes] = is && bias ? number(t, bias, k) : 0;
    }
}

/* Adds up the pieces' sums, and puts each weight's in its place. */
static void gather(const Job *j, float *w) {
  const LpThin *t = &j->t;
  const int64_t size = floats_of_weights(j);
  for (int64_t k = 0; k < t->k; k++) {
    const int64_t of_block = j->groups_of_block * t->results;
    const float *from = j->packed + k / of_block * size + k % of_block;
    for (int64_t i = 0; i < j->taps * t->each; i++) {
      const int64_t tap = i / t->each, c = i % t->each;
      float sum = 0;
      for (int64_t p = 0; p < j->pieces; p++)
        sum += from[p * j->blocks * size + i * j->lanes];
      w[(k * t->each + c) * j->taps + tap] = sum;
    }
  }
}

/* The rows of x that result rows [begin, end) take, asked for as they lie: for a block
 * alone they would be a line here and there. */
static void fetch(const Job *j, int64_t begin, int64_t end) {
  const LpThin *t = &j->t;
  const int64_t size = t->in[2] * t->c, height = t->in[1];
  int64_t had = -1;
  for (int64_t r = begin; r < end; r++) {
    const int64_t oh = r % t->out[1], od = r / t->out[1] % t->out[0],
                  n = r / t->out[1] / t->out[0];
    for (int64_t kd = 0; kd < t->kernel[0]; kd++) {
      const int64_t id = od * t->stride[0] - t->padding[0] + kd * t->dilation[0],
                    to = oh * t->stride[1] - t->padding[1] + t->slots;
      if (id < 0 || id >= t->in[0]) continue;
      for (int64_t ih = to - t->slots < 0 ? 0 : to - t->slots; ih < to && ih < height;
           ih++) {
        const int64_t row = (n * t->in[0] + id) * height + ih;
        if (row <= had) continue;
        had = row;
        for (int64_t i = 0; i < size; i += 64 / number_bytes(t))
          __builtin_prefetch(after(t, t->x, row * size + i), 0, 2);
      }
    }
  }
}

static void run_block(const Job *j, LpThin t, int64_t block, float *sums, int64_t begin,
                      int64_t end, float *row) {
  const int64_t group = block * j->groups_of_block,
                groups = lp_least(j->groups_of_block, j->groups - group);
  t.channels = groups * t.each;
  t.used = groups * t.results;
  t.x = after(&t, t.x, group * t.each);
  t.y = after(&t, t.y, group * t.results);
  t.weights = j->packed + block * (floats_of_weights(j) + j->lanes);
  t.bias = t.weights + floats_of_weights(j);
  for (t.first = 0; t.first < t.out[2]; t.first += j->part) {
    t.count = lp_least(j->part, t.out[2] - t.first);
    t.width = width_of(&t, t.count);
    for (int64_t i = 0; i < j->held; i++) t.rows[i] = -1;
    if (sums)
      lp_thin_kernels()->add_sums(&t, begin, end, row, sums);
    else
      lp_thin_kernels()->multiply(&t, begin, end);
  }
}

static void run_task(const Job *j, const LpThin *t, int64_t task, float *row) {
  const int64_t piece = task / j->shares, share = task % j->shares,
                size = floats_of_weights(j);
  const int64_t from = j->blocks * share / j->shares,
                to = j->blocks * (share + 1) / j->shares;
  const int64_t end = j->rows * (piece + 1) / j->pieces;
  float *sums = j->pass == LP_CONV_FORWARD ? NULL : j->packed + piece * j->blocks * size;
  if (sums) memset(sums + from * size, 0, (size_t)((to - from) * size) * sizeof *sums);
  const int64_t fit = OWN_BYTES / (t->stride[1] * t->in[2] * t->c * number_bytes(t));
  const int64_t step = to - from == 1 ? j->rows : fit > 2 * t->slots ? fit : 2 * t->slots;
  for (int64_t r = j->rows * piece / j->pieces; r < end; r += step) {
    const int64_t last = lp_least(r + step, end);
    if (to - from > 1) fetch(j, r, last);
    for (int64_t b = from; b < to; b++)
      run_block(j, *t, b, sums ? sums + b * size : NULL, r, last, row);
  }
}

static void run(void *ctx, int64_t begin, int64_t end) {
  Job *j = ctx;
  size_t capacity;
  char *memory = lp_block_alloc(j->scratch_bytes, &capacity);
  if (!memory) {
    atomic_store(&j->failed, true);
    return;
  }
  LpThin t = j->t;
  t.laid = (float *)memory;
  t.rows = (int64_t *)(t.laid + j->held * width_of(&t, j->part) * t.each * j->lanes);
  float *row = (float *)(t.rows + j->held);
  for (int64_t i = begin; i < end; i++) run_task(j, &t, i, row);
  lp_block_free(memory, capacity);
}

/* Lanes that hold no result take any channel. */
static void make_orders(Job *j) {
  const LpThin *t = &j->t;
  for (int64_t i = 0; i < t->each; i++)
    for (int64_t lane = 0; lane < j->lanes; lane++)
      j->orders[i * j->lanes + lane] =
          (int32_t)((lane / t->results * t->each + i) % j->lanes);
  j->t.orders = j->orders;
}

bool lp_conv_thin(const LpConvCall *c, const LpConvGeometry *g) {
  Job j;
  plan(c->pass, g, &j);
  make_orders(&j);
  const bool forward = c->pass == LP_CONV_FORWARD;
  j.t.half = c->dtype == LP_BFLOAT16;
  j.t.x = c->x;
  j.t.y = c->y;
  /* A piece lays rows anew that the one before has: not too few together. */
  const int64_t most = j.rows / (2 * j.t.slots);
  j.pieces = most < 1 ? 1 : lp_least(most, LEAST_TASKS);
  j.shares = lp_least(j.blocks, lp_ratio_up(LEAST_TASKS, j.pieces));
  const int64_t size = floats_of_weights(&j);
  const int64_t floats =
      forward ? j.blocks * (size + j.lanes) : j.blocks * j.pieces * size;
  size_t capacity;
  j.packed = lp_block_alloc((size_t)floats * sizeof(float), &capacity);
  TRY(j.packed);
  if (forward) pack(&j, c->w, c->b);
  const int64_t work = j.rows / j.pieces * j.t.out[2] * size * (j.blocks / j.shares);
  lp_parallel_for(j.pieces * j.shares, LP_GRAIN / (work + 1) + 1, run, &j);
  const bool ok = !atomic_load(&j.failed);
  if (ok && !forward) gather(&j, c->w);
  lp_block_free(j.packed, capacity);
  CHECK(ok, LP_ERR_MEMORY, "out of memory in a convolution");
  return true;
}
