/* Attention without the matrix of weights (Dao et al. 2022, "FlashAttention"; the running
 * softmax is Milakov and Gimelshein's of 2018).
 *
 * A block of queries meets the keys block by block; its weights stay in the second-level
 * cache. When a larger score comes, what was summed before is scaled down. Backward
 * computes the weights again from the logarithm of their sum. The values are those of the
 * softmax of the whole matrix up to rounding, and the memory grows with the length, not
 * with its square. */
#include "cpu/attention.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "core/whole.h"
#include "cpu/gemm.h"

#define QUERIES 128 /* rows of a block, at most */
#define KEYS 256    /* columns */

typedef struct Run {
  LpAttention *a;
  int64_t blocks; /* of queries */
  _Atomic bool no_memory;
} Run;

static int type_of(const LpAttention *a) {
  return a->dtype == LP_FLOAT64;
}
static int64_t item_of(const LpAttention *a) {
  return (int64_t)lp_dtype_size(a->dtype);
}
static int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static char *at(const LpAttention *a, const char *base, const int64_t *strides, int64_t b,
                int64_t h, int64_t row) {
  return (char *)base + (b * strides[0] + h * strides[1] + row * strides[2]) * item_of(a);
}

/* Rows of one matrix: leading dimensions are at least the width, also where one row
 * leaves the stride without meaning. */
static int64_t ld_of(int64_t stride, int64_t width) {
  return stride > width ? stride : width;
}

/* Rows of a block: fewer under causality, where each row is computed up to the column of
 * the last one. */
static int64_t queries_of(const LpAttention *a) {
  return a->is_causal ? QUERIES / 2 : QUERIES;
}

/* Columns of the block from j on that its rows, up to `end`, see at most. */
static int64_t columns_of(const LpAttention *a, int64_t j, int64_t end) {
  return smaller(KEYS, (a->is_causal ? smaller(a->sources, end) : a->sources) - j);
}

static bool multiply(const LpAttention *a, int64_t m, int64_t n, int64_t k, const void *x,
                     int64_t ldx, bool trans_x, const void *y, int64_t ldy, bool trans_y,
                     void *z, int64_t ldz, bool add) {
  LpGemm g = {.dtype = a->dtype,
              .m = m,
              .n = n,
              .k = k,
              .trans_a = trans_x,
              .trans_b = trans_y,
              .a = x,
              .b = y,
              .c = z,
              .lda = ldx,
              .ldb = ldy,
              .ldc = ldz,
              .alpha = lp_scalar_float(1),
              .beta = lp_scalar_float(add)};
  return lp_cpu_gemm(&g);
}

static LpAttentionScores scores_of(const LpAttention *a, int64_t b, int64_t h, int64_t i,
                                   int64_t j) {
  LpAttentionScores how = {.scale = a->scale,
                           .allowed = a->is_causal ? i - j + 1 : INT64_MAX / 2,
                           .mask_is_bool = a->mask_is_bool};
  if (!a->mask) return how;
  const int64_t item = a->mask_is_bool ? 1 : item_of(a);
  const int64_t *s = a->mask_strides;
  how.mask = a->mask + (b * s[0] + h * s[1] + i * s[2] + j * s[3]) * item;
  how.mask_row = s[2] * item;
  how.mask_column = s[3] * item;
  return how;
}

static bool forward_block(LpAttention *a, int64_t b, int64_t h, int64_t i,
                          char *scratch) {
  const LpAttentionKernels *kernels = lp_attention_kernels();
  const int type = type_of(a);
  const int64_t item = item_of(a), rows = smaller(queries_of(a), a->length - i);
  const int64_t group = h / (a->heads / a->groups), E = a->features,
                F = a->value_features;
  char *s = scratch, *top = s + QUERIES * KEYS * item, *total = top + QUERIES * item,
       *shrink = total + QUERIES * item;
  char *out = at(a, a->out, a->out_strides, b, h, i);
  const int64_t out_ld = ld_of(a->out_strides[2], F);
  for (int64_t r = 0; r < rows; r++) {
    if (type)
      ((double *)top)[r] = -INFINITY;
    else
      ((float *)top)[r] = -INFINITY;
  }
  memset(total, 0, (size_t)(QUERIES * item));
  const char *q = at(a, a->q, a->q_strides, b, h, i);
  for (int64_t j = 0; j < a->sources && (!a->is_causal || j < i + rows); j += KEYS) {
    const int64_t columns = columns_of(a, j, i + rows);
    const LpAttentionScores how = scores_of(a, b, h, i, j);
    if (!multiply(a, rows, columns, E, q, ld_of(a->q_strides[2], E), false,
                  at(a, a->k, a->k_strides, b, group, j), ld_of(a->k_strides[2], E), true,
                  s, columns, false))
      return false;
    kernels->weigh[type](s, rows, columns, &how, top, total, shrink);
    if (j > 0) kernels->scale_rows[type](out, out_ld, rows, F, shrink);
    if (!multiply(a, rows, F, columns, s, columns, false,
                  at(a, a->v, a->v_strides, b, group, j), ld_of(a->v_strides[2], F),
                  false, out, out_ld, j > 0))
      return false;
  }
  kernels->finish[type](shrink,
                        a->logsumexp + ((b * a->heads + h) * a->length + i) * item, top,
                        total, rows);
  kernels->scale_rows[type](out, out_ld, rows, F, shrink);
  return true;
}

static void forward(void *ctx, int64_t begin, int64_t end) {
  Run *run = ctx;
  LpAttention *a = run->a;
  size_t capacity_bytes;
  char *scratch = lp_block_alloc((size_t)((QUERIES * KEYS + 3 * QUERIES) * item_of(a)),
                                 &capacity_bytes);
  bool ok = scratch;
  for (int64_t u = begin; ok && u < end && !lp_interrupt_pending(); u++) {
    const int64_t of = u / run->blocks;
    ok = forward_block(a, of / a->heads, of % a->heads, u % run->blocks * queries_of(a),
                       scratch);
  }
  if (!ok) atomic_store_explicit(&run->no_memory, true, memory_order_relaxed);
  if (scratch) lp_block_free(scratch, capacity_bytes);
}

/* One block of queries and keys; adds to the gradients. */
static bool backward_block(LpAttention *a, int64_t b, int64_t h, int64_t i, int64_t j,
                           char *scratch) {
  const int type = type_of(a);
  const int64_t item = item_of(a), E = a->features, F = a->value_features;
  const int64_t rows = smaller(queries_of(a), a->length - i),
                columns = columns_of(a, j, i + rows), group = h / (a->heads / a->groups);
  char *s = scratch, *g = s + QUERIES * KEYS * item, *inner = g + QUERIES * KEYS * item;
  const char *q = at(a, a->q, a->q_strides, b, h, i),
             *k = at(a, a->k, a->k_strides, b, group, j),
             *v = at(a, a->v, a->v_strides, b, group, j),
             *grad = at(a, a->grad, a->grad_strides, b, h, i);
  const int64_t q_ld = ld_of(a->q_strides[2], E), k_ld = ld_of(a->k_strides[2], E),
                v_ld = ld_of(a->v_strides[2], F), grad_ld = ld_of(a->grad_strides[2], F);
  const LpAttentionKernels *kernels = lp_attention_kernels();
  const LpAttentionScores how = scores_of(a, b, h, i, j);
  if (!multiply(a, rows, columns, E, q, q_ld, false, k, k_ld, true, s, columns, false) ||
      !multiply(a, rows, columns, F, grad, grad_ld, false, v, v_ld, true, g, columns,
                false))
    return false;
  kernels->inner_rows[type](inner, grad, grad_ld, at(a, a->out, a->out_strides, b, h, i),
                            ld_of(a->out_strides[2], F), rows, F);
  kernels->unweigh[type](s, g, rows, columns, &how,
                         a->logsumexp + ((b * a->heads + h) * a->length + i) * item,
                         inner);
  return multiply(a, columns, F, rows, s, columns, true, grad, grad_ld, false,
                  at(a, a->v_grad, a->v_grad_strides, b, group, j),
                  ld_of(a->v_grad_strides[2], F), true) &&
         multiply(a, columns, E, rows, g, columns, true, q, q_ld, false,
                  at(a, a->k_grad, a->k_grad_strides, b, group, j),
                  ld_of(a->k_grad_strides[2], E), true) &&
         multiply(a, rows, E, columns, g, columns, false, k, k_ld, false,
                  at(a, a->q_grad, a->q_grad_strides, b, h, i),
                  ld_of(a->q_grad_strides[2], E), true);
}

/* A group of heads at a time: they share the gradients of their keys and values. */
static void backward(void *ctx, int64_t begin, int64_t end) {
  Run *run = ctx;
  LpAttention *a = run->a;
  size_t capacity_bytes;
  char *scratch = lp_block_alloc((size_t)((2 * QUERIES * KEYS + QUERIES) * item_of(a)),
                                 &capacity_bytes);
  bool ok = scratch;
  const int64_t members = a->heads / a->groups, queries = queries_of(a);
  for (int64_t u = begin; u < end; u++) {
    const int64_t b = u / a->groups, first = u % a->groups * members;
    for (int64_t h = first; h < first + members; h++)
      for (int64_t j = 0; j < a->sources; j += KEYS)
        for (int64_t i = a->is_causal ? j / queries * queries : 0;
             ok && i < a->length && !lp_interrupt_pending(); i += queries)
          ok = backward_block(a, b, h, i, j, scratch);
  }
  if (!ok) atomic_store_explicit(&run->no_memory, true, memory_order_relaxed);
  if (scratch) lp_block_free(scratch, capacity_bytes);
}

static bool ended(const Run *run) {
  if (run->no_memory)
    return lp_fail(LP_ERR_MEMORY, "out of memory for blocks of attention");
  return !lp_interrupt_take() || lp_fail(LP_ERR_INTERRUPT, "interrupted");
}

bool lp_attention_run(LpAttention *a) {
  Run run = {.a = a, .blocks = lp_ratio_up(a->length, queries_of(a))};
  lp_parallel_for(a->batch * a->heads * run.blocks, 1, forward, &run);
  return ended(&run);
}

bool lp_attention_gradients(LpAttention *a) {
  Run run = {.a = a};
  lp_parallel_for(a->batch * a->groups, 1, backward, &run);
  return ended(&run);
}
