/* float32 products by vector instructions.
 *
 * Note [Vector products]: a tile of C, as many rows and columns as the registers hold
 * (6 by 64 with AVX-512), is summed over a part of k: for each k a few vectors of B are
 * loaded, and each row's element of A is spread over a vector. B passes as panels of
 * some columns, each packed into the nearest cache before it is used by all rows of a
 * block; the block's part of A is packed once into the second-level cache, without being
 * turned over: as rows when it lies along k, as lines of neighbouring rows when it lies
 * across. While a panel is used the next one is asked for. Each thread has a range of C's
 * blocks, which become smaller towards its end, and takes of others' when it is through;
 * where C is small and k long, threads share k too, and their sums are added up in order.
 * Results depend on the number of threads for such products alone.
 *
 * Kernels: cpu/simd/gemm_vector.c. Owned by gemm_vector.c. */
#ifndef LP_CPU_GEMM_VECTOR_H
#define LP_CPU_GEMM_VECTOR_H

#include "cpu/caps.h"
#include "cpu/gemm.h"

/* Has this machine kernels for them? */
bool lp_vector_supported(void);

/* C = alpha op(A) op(B) + beta C [+ g->row to each row, with beta 0]. False when memory
 * is out. */
bool lp_vector_gemm(const LpGemm *g, float alpha, float beta);

/* --- kernels --- */

/* C = alpha A B + beta `from`. */
typedef struct LpVectorTile {
  int64_t rows, columns, k;
  const float *a, *b; /* b packed, a where it lies across */
  float *c;
  const float *from; /* C itself, a row (from_step 0), or NULL: nothing is added */
  int64_t row_step;  /* from one row of A to the next, where it lies along k */
  int64_t ldc, from_step;
  float alpha, beta;
  /* Eight lines `fetch_step` bytes apart are asked for at each 16 of k, the next ones
   * `fetch_next` bytes on. */
  const char *fetch;
  int64_t fetch_step, fetch_next;
} LpVectorTile;

typedef struct LpVectorKernels {
  int rows, columns; /* of a tile, at most; 0 without kernels */
  int across;        /* floats from k to k + 1 of a packed A that lies across */
  int block_rows;    /* of A in the second-level cache */
  void (*tile_along)(const LpVectorTile *t);
  void (*tile_across)(const LpVectorTile *t);
  /* count rows, neighbours in a (k lines lda apart), as tile_across wants them; asks for
   * the k lines that follow. */
  void (*pack_across)(float *to, const float *a, int64_t lda, int64_t count, int64_t k);
  /* A panel of B: `columns` floats for each k. */
  void (*pack_b)(float *to, const float *b, int64_t ldb, int64_t count, int64_t k);
  void (*pack_b_turned)(float *to, const float *b, int64_t ldb, int64_t count, int64_t k);
} LpVectorKernels;

LP_DISPATCH(LpVectorKernels, lp_vector_kernels)

#endif
