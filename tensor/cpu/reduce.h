/* The reduction kernels' contract between the walker (dispatch/reduce.c) and cpu/simd/reduce.c.
 *
 * An op reduces elements of a *compute type* into an *accumulator* that is wider than the
 * elements: double for floats, int64 for integers, two doubles for complex numbers, {n, mean, m2}
 * for the variance. Elements of any dtype are brought to the compute type by a loader, a block at
 * a time, so every op has few kernels. float32 sums add blocks of bounded length in float32
 * lanes and the blocks in double. Must not include dispatch or autograd headers. */
#ifndef LP_CPU_REDUCE_H
#define LP_CPU_REDUCE_H

#include "cpu/caps.h"
#include "lampad/base.h"

typedef enum LpCompute {
  LP_AS_F32,
  LP_AS_F64,
  LP_AS_I64,
  LP_AS_C128,
  LP_AS_C64,  /* two floats; accumulators as of LP_AS_C128 */
  LP_AS_BF16, /* for sums: as LP_AS_F32 */
  LP_AS_U8,   /* short integers, which extremes need not widen: uint8 or bool */
  LP_AS_I8,
  LP_AS_I16,
  LP_AS_I32,
  LP_AS_BOOL, /* uint8: element != 0 (NaN counts as true) */
  LP_AS_ABS,  /* double: absolute value (of complex elements, the modulus) */
  LP_AS_COUNT
} LpCompute;

/* dst: n elements of the compute type; src: n elements of a dtype, stride_bytes apart. */
typedef void (*LpLoad)(void *dst, const char *src, int64_t stride_bytes, int64_t n);

typedef enum LpReduceOp {
  LP_REDUCE_SUM,
  LP_REDUCE_NANSUM, /* NaN counts as 0 */
  LP_REDUCE_NANCOUNT, /* number of elements that are not NaN */
  LP_REDUCE_PROD,
  LP_REDUCE_MAX, /* NaN wins */
  LP_REDUCE_MIN,
  LP_REDUCE_ANY,
  LP_REDUCE_ALL,
  LP_REDUCE_COUNT, /* number of nonzero elements */
  LP_REDUCE_VAR,
  LP_REDUCE_SUM_ABS,
  LP_REDUCE_SUM_SQUARE,
  LP_REDUCE_SUM_POW, /* sum of |x|^p */
  LP_REDUCE_SUM_EXP,
  LP_REDUCE_OP_COUNT
} LpReduceOp;

typedef struct LpVarAcc {
  double count, mean, m2; /* m2: sum of squared distances from the mean */
} LpVarAcc;

typedef struct LpSumExpAcc {
  double shift, sum; /* of exp(x - shift); the shift is the largest element where that is finite */
} LpSumExpAcc;

typedef struct LpReduceKernel {
  int acc_bytes; /* 0: no kernel for this compute type */
  void (*init)(void *acc, int64_t n);
  /* Reduces n contiguous elements into one accumulator. */
  void (*row)(void *acc, const void *x, int64_t n, double p);
  /* Reduces `rows` rows of w contiguous elements, ld elements apart, into w accumulators. */
  void (*col)(void *acc, const void *x, int64_t rows, int64_t ld, int64_t w, double p);
  void (*merge)(void *acc, const void *other, int64_t n);
  /* Reduces `rows` rows of n contiguous elements, ld elements apart, into as many accumulators; of n
   * from rows_from on. NULL: one by one; from rows_from on (0: never) as fast as columns. */
  void (*rows)(void *acc, const void *x, int64_t rows, int64_t ld, int64_t n);
  int64_t rows_from;
  /* As `col`, of one row at least, with nothing to join it to: results of the compute type. NULL: there is none. */
  void (*whole)(void *results, const void *x, int64_t rows, int64_t ld, int64_t w);
} LpReduceKernel;

#define LP_REDUCE_TILE 1024 /* widest tile `col` may be given */

/* Position of the extreme element: in a row, and over rows for a tile of columns. */
typedef struct LpArgKernel {
  /* The first largest (smallest) of n contiguous elements; the first NaN when there is one. */
  int64_t (*row)(const void *x, int64_t n);
  /* best[j], index[j] start from row 0 (copied by the kernel); row r has number r. */
  void (*col)(const void *x, int64_t rows, int64_t ld, int64_t w, int64_t *index);
} LpArgKernel;

/* The last steps from n accumulators of double to results. */
typedef struct LpFinishKernels {
  void (*divide)(double *v, int64_t n, double divisor);
  void (*root)(double *v, int64_t n);
  void (*narrow)(float *dst, const double *v, int64_t n);
} LpFinishKernels;

typedef struct LpReduceTable {
  LpLoad load[LP_AS_COUNT][LP_DTYPE_COUNT];
  LpReduceKernel kernel[LP_REDUCE_OP_COUNT][LP_AS_COUNT];
  LpArgKernel arg[2][LP_AS_COUNT]; /* [0] largest, [1] smallest; real numbers */
  LpFinishKernels finish;
} LpReduceTable;

LP_DISPATCH(LpReduceTable, lp_reduce_table)

/* Bytes of an element of a compute type. */
static inline int lp_compute_bytes(LpCompute c) {
  switch (c) {
    case LP_AS_BOOL:
    case LP_AS_U8:
    case LP_AS_I8: return 1;
    case LP_AS_BF16:
    case LP_AS_I16: return 2;
    case LP_AS_I32:
    case LP_AS_F32: return 4;
    case LP_AS_C128: return 16;
    default: return 8;
  }
}

#endif
