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

/* Rows of n elements of `size` bytes: how many bytes apart their elements lie, and the
 * rows themselves, where they are moved to and from. Any step may be negative, and those
 * of the source may be 0. */
typedef struct LpRowSteps {
  int64_t size, n;
  int64_t to_step, from_step, to_row, from_row;
} LpRowSteps;

/* Moves `rows` of them; the two sides lie apart. */
typedef void (*LpMoveRows)(const LpRowSteps *r, char *to, const char *from, int64_t rows);

/* dst[i] = src[i] & mask[i], bytes; src is dst or apart from it. */
typedef void (*LpMaskBytes)(char *dst, const char *src, const char *mask, int64_t n);

/* Indexed by the logarithm of the element size: 1, 2, 4, 8, 16 bytes. */
typedef struct LpCopyKernels {
  LpTransposeTile transpose[5];
  LpLoop fill[5]; /* operand 0 is set to the element that params points to */
  LpReverseBlocks reverse;
  LpMoveRows move;
  LpMaskBytes mask;
} LpCopyKernels;

LP_DISPATCH(LpCopyKernels, lp_copy_kernels)

#endif
