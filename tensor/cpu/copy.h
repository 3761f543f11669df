/* Kernels that move elements without looking at them, by element size: cpu/simd/copy.c.
 */
#ifndef LP_CPU_COPY_H
#define LP_CPU_COPY_H

#include "cpu/caps.h"
#include "dispatch/iter.h"

/* dst[j * dst_step + i] = src[i * src_step + j] for i < rows, j < columns (steps in
 * elements). */
typedef void (*LpTransposeTile)(char *dst, int64_t dst_step, const char *src,
                                int64_t src_step, int64_t rows, int64_t columns);

/* Block i of dst, n blocks of any size one after another, is the i-th before src. */
typedef void (*LpReverseBlocks)(char *dst, const char *src, int64_t n,
                                int64_t block_bytes);

/* Packs rows of n elements, which are `stride` bytes apart (0: the same one), and the
 * rows row_stride: to[r * n + i] = from[r][i]. Up to LP_PACK_SLACK bytes behind them are
 * written, too. */
typedef void (*LpPackRows)(char *to, const char *from, int size, int64_t stride,
                           int64_t n, int64_t row_stride, int64_t rows);
#define LP_PACK_SLACK 64

/* dst[i] = src[i] & mask[i], bytes; src is dst or apart from it. */
typedef void (*LpMaskBytes)(char *dst, const char *src, const char *mask, int64_t n);

/* Indexed by the logarithm of the element size: 1, 2, 4, 8, 16 bytes. */
typedef struct LpCopyKernels {
  LpTransposeTile transpose[5];
  LpLoop fill[5]; /* operand 0 is set to the element that params points to */
  LpReverseBlocks reverse;
  LpPackRows pack;
  LpMaskBytes mask;
} LpCopyKernels;

LP_DISPATCH(LpCopyKernels, lp_copy_kernels)

#endif
