/* Attention over blocks of rows and columns, without the whole matrix of weights: loops
 * of cpu/simd/attention.c, driven by cpu/attention.c. Tables hold float32, then float64.
 */
#ifndef LP_NN_CPU_ATTENTION_H
#define LP_NN_CPU_ATTENTION_H

#include "core/tensor.h"
#include "cpu/caps.h"

/* How a block's products q.k become scores. */
typedef struct LpAttentionScores {
  double scale;
  int64_t allowed;               /* row i sees the columns below allowed + i */
  const char *mask;              /* of the block's first element, or NULL */
  int64_t mask_row, mask_column; /* bytes */
  bool mask_is_bool;             /* else numbers of the type, to add */
} LpAttentionScores;

typedef struct LpAttentionKernels {
  /* s (rows x columns, contiguous) from products to exp(score - top), 0 where masked;
   * top, total (the sums of the exponentials) and the sums of former blocks, which the
   * caller multiplies by `shrink`, follow the largest score so far. */
  void (*weigh[2])(void *s, int64_t rows, int64_t columns, const LpAttentionScores *how,
                   void *top, void *total, void *shrink);
  /* s from products to the weights exp(score - logsumexp); g from gradients of the
   * weights to those of the products: weight * (g - inner) * scale. */
  void (*unweigh[2])(void *s, void *g, int64_t rows, int64_t columns,
                     const LpAttentionScores *how, const void *logsumexp,
                     const void *inner);
  /* row i of x (n wide, ld apart) times factor[i] */
  void (*scale_rows[2])(void *x, int64_t ld, int64_t rows, int64_t n, const void *factor);
  /* out[i] = the inner product of the rows i of x and y */
  void (*inner_rows[2])(void *out, const void *x, int64_t ldx, const void *y, int64_t ldy,
                        int64_t rows, int64_t n);
  /* factor = 1 / total, 0 for 0; logsumexp = top + log(total) */
  void (*finish[2])(void *factor, void *logsumexp, const void *top, const void *total,
                    int64_t rows);
} LpAttentionKernels;

LP_DISPATCH(LpAttentionKernels, lp_attention_kernels)

/* q (B, H, L, E), k (B, G, S, E), v (B, G, S, F), H a multiple of G: strides in elements,
 * that of the last dim 1. */
typedef struct LpAttention {
  LpDtype dtype; /* LP_FLOAT32 or LP_FLOAT64 */
  int64_t batch, heads, groups, length, sources, features, value_features;
  const char *q, *k, *v, *mask;
  int64_t q_strides[3], k_strides[3], v_strides[3];
  int64_t mask_strides[4]; /* elements */
  bool mask_is_bool, is_causal;
  double scale;
  char *out; /* (B, H, L, F); backward: what forward gave */
  int64_t out_strides[3];
  char *logsumexp; /* (B, H, L), contiguous */
  /* backward: the gradient of out, and those wanted, zeros before */
  const char *grad;
  int64_t grad_strides[3];
  char *q_grad, *k_grad, *v_grad;
  int64_t q_grad_strides[3], k_grad_strides[3], v_grad_strides[3];
} LpAttention;

/* False with the error recorded: memory, an interrupt. */
bool lp_attention_run(LpAttention *a);
bool lp_attention_gradients(LpAttention *a);

#endif
