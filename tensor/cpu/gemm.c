/* Matrix products; see gemm.h. */
#include "cpu/gemm.h"

#include <cblas.h>
#include <complex.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include "core/alloc.h"
#include "core/check.h"
#include "core/half.h"
#include "core/kept.h"
#include "core/parallel.h"
#include "cpu/caps.h"
#include "cpu/copy.h"
#include "cpu/gemm_bf16.h"
#include "cpu/gemm_half.h"
#include "cpu/gemm_int.h"
#include "cpu/gemm_small.h"
#include "cpu/gemm_tiny.h"
#include "cpu/gemm_split.h"
#include "cpu/gemm_vector.h"
#include "dispatch/iter.h"

/* Up to this many multiply-adds, bfloat16 is converted, and products of a batch are made
 * by a thread each. */
#define SMALL_PRODUCT (64 * 64 * 64)
#define SMALL_PRODUCT_NT (24 * 24 * 24)

static bool is_zero(LpScalar s) {
  return s.kind == LP_SCALAR_COMPLEX ? s.v.c[0] == 0 && s.v.c[1] == 0
                                     : lp_scalar_to_double(s) == 0;
}

static double imaginary(LpScalar s) {
  return s.kind == LP_SCALAR_COMPLEX ? s.v.c[1] : 0;
}

static LpDtype result_dtype(const LpGemm *g) {
  return g->wide ? LP_FLOAT32 : g->dtype;
}

static char *row_of(const void *base, int64_t row, int64_t ld, size_t item) {
  return (char *)base + row * ld * (int64_t)item;
}

/* --- C = beta * C
 * ----------------------------------------------------------------------------- */

static void scale_result(const LpGemm *g) {
  const LpDtype dtype = result_dtype(g);
  size_t item = lp_dtype_size(dtype);
  for (int64_t i = 0; i < g->m; i++) {
    char *row = row_of(g->c, i, g->ldc, item);
    if (is_zero(g->beta)) {
      memset(row, 0, (size_t)g->n * item);
      continue;
    }
    double re = lp_scalar_to_double(g->beta), im = imaginary(g->beta);
    for (int64_t j = 0; j < g->n; j++) {
      switch (dtype) {
      case LP_FLOAT32: ((float *)row)[j] *= (float)re; break;
      case LP_FLOAT64: ((double *)row)[j] *= re; break;
      case LP_COMPLEX64: ((float complex *)row)[j] *= (float complex)(re + im * I); break;
      case LP_COMPLEX128: ((double complex *)row)[j] *= re + im * I; break;
      case LP_FLOAT16:
        ((uint16_t *)row)[j] =
            lp_half_from_float(lp_half_to_float(((uint16_t *)row)[j]) * (float)re);
        break;
      case LP_BFLOAT16:
        ((uint16_t *)row)[j] =
            lp_bf16_from_float(lp_bf16_to_float(((uint16_t *)row)[j]) * (float)re);
        break;
      case LP_UINT8:
      case LP_INT8: ((uint8_t *)row)[j] *= (uint8_t)lp_scalar_to_int(g->beta); break;
      case LP_INT16:
        ((uint16_t *)row)[j] = (uint16_t)((uint32_t)((uint16_t *)row)[j] *
                                          (uint16_t)lp_scalar_to_int(g->beta));
        break;
      case LP_INT32: ((uint32_t *)row)[j] *= (uint32_t)lp_scalar_to_int(g->beta); break;
      default: ((uint64_t *)row)[j] *= (uint64_t)lp_scalar_to_int(g->beta);
      }
    }
  }
}

/* --- floating point
 * --------------------------------------------------------------------------- */

static enum CBLAS_TRANSPOSE flag(bool trans) {
  return trans ? CblasTrans : CblasNoTrans;
}

bool lp_cpu_gemm_prefers_add_after(LpDtype dtype, int64_t m, int64_t n, int64_t k) {
  const LpGemm g = {.m = m, .n = n, .k = k};
  return dtype == LP_FLOAT32 && lp_split_pays(&g, false);
}

static void row_range(void *ctx, int64_t begin, int64_t end) {
  const LpGemm *g = ctx;
  size_t item = lp_dtype_size(result_dtype(g));
  if (g->n == 1) {
    lp_copy_kernels()->fill[__builtin_ctzll(item)](
        (char *[]){row_of(g->c, begin, g->ldc, item)},
        (int64_t[]){g->ldc * (int64_t)item}, end - begin, g->row);
    return;
  }
  for (int64_t i = begin; i < end; i++)
    memcpy(row_of(g->c, i, g->ldc, item), g->row, (size_t)g->n * item);
}

/* Every row of C = g->row. */
static void spread_row(const LpGemm *g) {
  lp_parallel_for(g->m, LP_GRAIN / g->n + 1, row_range, (void *)g);
}

/* --- small products: cpu/gemm_small.h --- */

/* Up to so many multiply-adds OpenBLAS beats our own vectors (measured on AVX-512; less
 * so when B is transposed); a small B is better turned over before, where it is used
 * often enough. */
#define BLAS_PRODUCT (64 * 64 * 64)
#define BLAS_PRODUCT_NT (24 * 24 * 24)
#define TURNED_ELEMS 512
#define TURNED_ROWS 16
/* Dot products: so long that their last steps do not count, and so few rows that packing
 * B is not worth while; more rows where B is large. Any that are not small for one row or
 * two. */
#define DOT_DEPTH 512
#define DOT_ROWS 24
#define DOT_ROWS_LARGE 40
#define LARGE_B (1024 * 1024)
#define FEW_ROWS 2
#define FEW_COLUMNS 64
#define COLUMN_UNIT 64 /* columns are shared among threads by so many */
#define THREAD_WORK (256 * 1024)
#define WIDE_B 512 /* columns */

typedef struct SmallJob {
  const LpSmallGemm *g;
  LpSmallGemmColumns kernel;
} SmallJob;

static void small_range(void *ctx, int64_t begin, int64_t end) {
  const SmallJob *j = ctx;
  const int64_t n = j->g->n, last = end * COLUMN_UNIT;
  j->kernel(j->g, begin * COLUMN_UNIT, last < n ? last : n);
}

static bool run_small(const LpSmallGemm *g, LpSmallGemmColumns kernel) {
  SmallJob job = {g, kernel};
  const int64_t units = (g->n + COLUMN_UNIT - 1) / COLUMN_UNIT;
  lp_parallel_for(units, THREAD_WORK / (g->m * g->k * COLUMN_UNIT + 1) + 1, small_range,
                  &job);
  return true;
}

static void gemm_blas(const LpGemm *g, float alpha, float beta, bool trans_b,
                      const float *b, int64_t ldb) {
  cblas_sgemm(CblasRowMajor, flag(g->trans_a), flag(trans_b), (int)g->m, (int)g->n,
              (int)g->k, alpha, g->a, (int)g->lda, b, (int)ldb, beta, g->c, (int)g->ldc);
}

typedef enum SmallWay {
  NOT_SMALL,
  FEW_ROWS_PASS, /* B's rows pass one after the other */
  DOTS,
  BLAS,
  BLAS_TURNED /* B turned over before */
} SmallWay;

static SmallWay small_way(const LpGemm *g) {
  const int64_t work = g->m * g->n * g->k, width = (g->n + 15) / 16 * 16;
  if (g->keeps_b) return NOT_SMALL;
  if (!g->trans_b) {
    if (g->m <= FEW_ROWS && g->n >= FEW_COLUMNS) return FEW_ROWS_PASS;
    return work <= BLAS_PRODUCT ? BLAS : NOT_SMALL;
  }
  if (g->m >= TURNED_ROWS && work <= BLAS_PRODUCT_NT && g->k * width <= TURNED_ELEMS)
    return BLAS_TURNED;
  const int64_t most = g->k < DOT_DEPTH         ? FEW_ROWS
                       : g->n * g->k >= LARGE_B ? DOT_ROWS_LARGE
                                                : DOT_ROWS;
  if (work <= BLAS_PRODUCT_NT) return BLAS;
  return g->m <= most && !g->trans_a ? DOTS : NOT_SMALL;
}

static bool gemm_small(const LpGemm *g, SmallWay way, float alpha, float beta) {
  const LpSmallGemmKernels *kernels = lp_small_gemm_kernels();
  const LpSmallGemm small = {.m = g->m,
                             .n = g->n,
                             .k = g->k,
                             .step_a = g->trans_a ? 1 : g->lda,
                             .step_k = g->trans_a ? g->lda : 1,
                             .ldb = g->ldb,
                             .ldc = g->ldc,
                             .a = g->a,
                             .b = g->b,
                             .c = g->c,
                             .alpha = alpha,
                             .beta = beta};
  switch (way) {
  case FEW_ROWS_PASS: return run_small(&small, kernels->few_rows);
  case DOTS: return run_small(&small, kernels->dots);
  case BLAS_TURNED: {
    const int64_t width = (g->n + 15) / 16 * 16;
    _Alignas(64) float turned[TURNED_ELEMS];
    kernels->turn(turned, width, &small);
    gemm_blas(g, alpha, beta, false, turned, width);
    return true;
  }
  default: gemm_blas(g, alpha, beta, g->trans_b, g->b, g->ldb); return true;
  }
}

/* Does the kernel of this product add a row by itself? */
static bool takes_row(const LpGemm *g) {
  return g->dtype == LP_FLOAT32 && g->n > 1 && g->k > 0 && !is_zero(g->alpha) &&
         lp_vector_supported() && small_way(g) == NOT_SMALL;
}

/* C = 0, to be added to: its factor 1. With 0 the BLAS would pass over C once more. */
static int zero_vector(const LpGemm *g) {
  LpGemm zeros = *g;
  zeros.row = &(double){0};
  spread_row(&zeros);
  return 1;
}

static bool gemm_float(const LpGemm *g, float alpha, float beta) {
  const float *a = g->a, *b = g->b;
  if (g->n == 1) { /* B is a vector */
    if (beta == 0) beta = zero_vector(g);
    cblas_sgemv(CblasRowMajor, flag(g->trans_a), (int)(g->trans_a ? g->k : g->m),
                (int)(g->trans_a ? g->m : g->k), alpha, a, (int)g->lda, b,
                (int)(g->trans_b ? 1 : g->ldb), beta, g->c, (int)g->ldc);
    return true;
  }
  const SmallWay way = small_way(g);
  if (way != NOT_SMALL) return gemm_small(g, way, alpha, beta);
  if (beta == 0 && alpha == 1 && lp_split_pays(g, g->keeps_b)) {
    bool refused; /* an infinity: all is written anew below */
    if (lp_split_gemm(g, NULL, &refused)) return true;
    if (!refused) return false;
  }
  if (lp_vector_supported()) return lp_vector_gemm(g, alpha, beta);
  gemm_blas(g, alpha, beta, g->trans_b, b, g->ldb);
  return true;
}

static void gemm_double(const LpGemm *g, double alpha, double beta) {
  if (g->n == 1) {
    if (beta == 0) beta = zero_vector(g);
    cblas_dgemv(CblasRowMajor, flag(g->trans_a), (int)(g->trans_a ? g->k : g->m),
                (int)(g->trans_a ? g->m : g->k), alpha, g->a, (int)g->lda, g->b,
                (int)(g->trans_b ? 1 : g->ldb), beta, g->c, (int)g->ldc);
    return;
  }
  cblas_dgemm(CblasRowMajor, flag(g->trans_a), flag(g->trans_b), (int)g->m, (int)g->n,
              (int)g->k, alpha, g->a, (int)g->lda, g->b, (int)g->ldb, beta, g->c,
              (int)g->ldc);
}

static void gemm_complex(const LpGemm *g) {
  double alpha[2] = {lp_scalar_to_double(g->alpha), imaginary(g->alpha)};
  double beta[2] = {lp_scalar_to_double(g->beta), imaginary(g->beta)};
  if (g->dtype == LP_COMPLEX128) {
    cblas_zgemm(CblasRowMajor, flag(g->trans_a), flag(g->trans_b), (int)g->m, (int)g->n,
                (int)g->k, alpha, g->a, (int)g->lda, g->b, (int)g->ldb, beta, g->c,
                (int)g->ldc);
    return;
  }
  float alpha_single[2] = {(float)alpha[0], (float)alpha[1]},
        beta_single[2] = {(float)beta[0], (float)beta[1]};
  cblas_cgemm(CblasRowMajor, flag(g->trans_a), flag(g->trans_b), (int)g->m, (int)g->n,
              (int)g->k, alpha_single, g->a, (int)g->lda, g->b, (int)g->ldb, beta_single,
              g->c, (int)g->ldc);
}

/* --- half precision
 * --------------------------------------------------------------------------- */

static void convert_rows(LpDtype to, void *dst, int64_t ld_dst, LpDtype from,
                         const void *src, int64_t ld_src, int64_t rows, int64_t columns) {
  LpLoop cast = lp_cast_loop(to, from);
  size_t to_size = lp_dtype_size(to), from_size = lp_dtype_size(from);
  int64_t strides[2] = {(int64_t)to_size, (int64_t)from_size};
  if (ld_dst == columns && ld_src == columns) columns *= rows, rows = 1;
  for (int64_t i = 0; i < rows; i++)
    cast((char *[]){row_of(dst, i, ld_dst, to_size), row_of(src, i, ld_src, from_size)},
         strides, columns, NULL);
}

typedef struct HalfJob {
  const LpHalfGemm *g;
  LpHalfGemmColumns kernel;
  int64_t unit; /* columns are shared among threads by so many */
} HalfJob;

static void half_range(void *ctx, int64_t begin, int64_t end) {
  const HalfJob *j = ctx;
  const int64_t n = j->g->n, last = end * j->unit;
  j->kernel(j->g, begin * j->unit, last < n ? last : n);
}

/* A row as the kernels want it: LpHalfGemmKernels.block. */
static void arrange_halves(LpDtype dtype, float *to, const uint16_t *from, int64_t step,
                           int64_t n, int64_t block) {
  const LpLoop widen = lp_cast_loop(LP_FLOAT32, dtype);
  const int64_t size = (int64_t)sizeof *from, half = block / 2,
                one[2] = {sizeof *to, step * size}, other[2] = {sizeof *to, one[1] * 2};
  int64_t p = 0;
  for (; block > 1 && p + block <= n; p += block, from += block * step) {
    widen((char *[]){(char *)(to + p), (char *)from}, other, half, NULL);
    widen((char *[]){(char *)(to + p + half), (char *)(from + step)}, other, half, NULL);
  }
  widen((char *[]){(char *)(to + p), (char *)from}, one, n - p, NULL);
}

/* A few rows of A by B, or, the other way round, A by a vector: cpu/gemm_half.h. */
static bool gemm_half_few(const LpGemm *g, float alpha, float beta) {
  const bool by_vector = g->m > LP_HALF_ROWS;
  LpHalfGemm few = {.m = by_vector ? 1 : g->m,
                    .n = by_vector ? g->m : g->n,
                    .k = g->k,
                    .ldb = by_vector ? g->lda : g->ldb,
                    .step_i = g->ldc,
                    .step_j = by_vector ? g->ldc : 1,
                    .b = by_vector ? g->a : g->b,
                    .c = g->c,
                    .wide = g->wide,
                    .alpha = alpha,
                    .beta = beta};
  size_t capacity;
  float *a = lp_block_alloc((size_t)(few.m * g->k) * sizeof *a, &capacity);
  if (!a) return false;
  const uint16_t *from = by_vector ? g->b : g->a;
  const bool across = by_vector ? !g->trans_b : g->trans_a;
  const int64_t ld = by_vector ? g->ldb : g->lda, step_i = across ? 1 : ld,
                step_p = across ? ld : 1;
  const bool is_bf16 = g->dtype == LP_BFLOAT16,
             dots = by_vector ? !g->trans_a : g->trans_b;
  const LpHalfGemmTable *table = lp_half_gemm_table();
  const LpHalfGemmKernels *kernels = is_bf16 ? &table->bfloat16 : &table->float16;
  for (int64_t i = 0; i < few.m; i++)
    arrange_halves(g->dtype, a + i * g->k, from + i * step_i, step_p, g->k,
                   dots ? kernels->block : 1);
  few.a = a;
  HalfJob job = {&few, dots ? kernels->dots : kernels->rows,
                 dots || few.n < WIDE_B ? COLUMN_UNIT / 4 : COLUMN_UNIT};
  lp_parallel_for((few.n + job.unit - 1) / job.unit,
                  THREAD_WORK / (few.m * few.k * job.unit + 1) + 1, half_range, &job);
  lp_block_free(a, capacity);
  return true;
}

static bool gemm_half(const LpGemm *g) {
  float alpha = (float)lp_scalar_to_double(g->alpha),
        beta = (float)lp_scalar_to_double(g->beta);
  if (g->m <= LP_HALF_ROWS || g->n == 1) return gemm_half_few(g, alpha, beta);
  bool large = g->m * g->n * g->k > SMALL_PRODUCT_NT;
  const LpGemmBatch alone = {.count = 1};
  if (g->dtype == LP_BFLOAT16 && large && lp_cpu_gemm_bf16(g, &alone, alpha, beta))
    return true;
  int64_t rows_a = g->trans_a ? g->k : g->m, columns_a = g->trans_a ? g->m : g->k;
  int64_t rows_b = g->trans_b ? g->n : g->k, columns_b = g->trans_b ? g->k : g->n;
  size_t floats = (size_t)(rows_a * columns_a + rows_b * columns_b), capacity;
  float *a =
      lp_block_alloc((floats + (g->wide ? 0 : g->m * g->n)) * sizeof *a, &capacity);
  if (!a) return false;
  float *b = a + rows_a * columns_a, *c = g->wide ? g->c : a + floats;
  convert_rows(LP_FLOAT32, a, columns_a, g->dtype, g->a, g->lda, rows_a, columns_a);
  convert_rows(LP_FLOAT32, b, columns_b, g->dtype, g->b, g->ldb, rows_b, columns_b);
  if (!g->wide && !is_zero(g->beta))
    convert_rows(LP_FLOAT32, c, g->n, g->dtype, g->c, g->ldc, g->m, g->n);
  LpGemm single = *g;
  single.dtype = LP_FLOAT32;
  single.a = a;
  single.b = b;
  single.c = c;
  single.lda = columns_a;
  single.ldb = columns_b;
  single.ldc = g->wide ? g->ldc : g->n;
  bool ok = gemm_float(&single, alpha, beta);
  if (ok && !g->wide)
    convert_rows(g->dtype, g->c, g->ldc, LP_FLOAT32, c, g->n, g->m, g->n);
  lp_block_free(a, capacity);
  return ok;
}

/* --- integers
 * --------------------------------------------------------------------------------- */

LP_DISPATCH(LpIntGemmKernels, lp_int_gemm_kernels)

typedef struct IntJob {
  LpIntGemm g;
  int kind; /* log2 of the element's bytes */
} IntJob;

static void int_rows(void *ctx, int64_t begin, int64_t end) {
  const IntJob *job = ctx;
  lp_int_gemm_kernels()->rows[job->kind](&job->g, begin, end);
}

static bool gemm_int(const LpGemm *g) {
  size_t item = lp_dtype_size(g->dtype), capacity = 0;
  void *packed = NULL;
  IntJob job = {{.n = g->n,
                 .k = g->k,
                 .a = g->a,
                 .b = g->b,
                 .c = g->c,
                 .ldb = g->ldb,
                 .ldc = g->ldc,
                 .step_a = g->trans_a ? 1 : g->lda,
                 .step_k = g->trans_a ? g->lda : 1,
                 .alpha = (uint64_t)lp_scalar_to_int(g->alpha),
                 .beta = (uint64_t)lp_scalar_to_int(g->beta)},
                item == 1   ? 0
                : item == 2 ? 1
                : item == 4 ? 2
                            : 3};
  if (g->trans_b) { /* turn B^T over */
    packed = lp_block_alloc((size_t)(g->k * g->n) * item, &capacity);
    if (!packed) return false;
    LpLoop copy = lp_cast_loop(g->dtype, g->dtype);
    for (int64_t p = 0; p < g->k; p++)
      copy((char *[]){row_of(packed, p, g->n, item), (char *)g->b + p * (int64_t)item},
           (int64_t[]){(int64_t)item, g->ldb * (int64_t)item}, g->n, NULL);
    job.g.b = packed;
    job.g.ldb = g->n;
  }
  lp_parallel_for(g->m, LP_GRAIN / (g->n * g->k + 1) + 1, int_rows, &job);
  if (packed) lp_block_free(packed, capacity);
  return true;
}

/* --- public
 * ----------------------------------------------------------------------------------- */

bool lp_cpu_gemm(const LpGemm *g) {
  if (g->m == 0 || g->n == 0) return true;
  if (g->row && !takes_row(g)) {
    LpGemm rest = *g;
    spread_row(g);
    rest.row = NULL;
    rest.beta = lp_scalar_int(1);
    return lp_cpu_gemm(&rest);
  }
  if (g->k == 0 || is_zero(g->alpha)) {
    scale_result(g);
    return true;
  }
  lp_num_threads(); /* OpenMP's count is set before BLAS asks for it */
  if (lp_dtype_is_integral(g->dtype, false)) return gemm_int(g);
  CHECK(g->m <= INT_MAX && g->n <= INT_MAX && g->k <= INT_MAX && g->lda <= INT_MAX &&
            g->ldb <= INT_MAX && g->ldc <= INT_MAX,
        LP_ERR_ARGUMENT, "a matrix side beyond 2^31 - 1 is more than the BLAS can take");
  double alpha = lp_scalar_to_double(g->alpha), beta = lp_scalar_to_double(g->beta);
  switch (g->dtype) {
  case LP_FLOAT32: return gemm_float(g, (float)alpha, (float)beta);
  case LP_FLOAT64: gemm_double(g, alpha, beta); return true;
  case LP_FLOAT16:
  case LP_BFLOAT16: return gemm_half(g);
  case LP_COMPLEX64:
  case LP_COMPLEX128: gemm_complex(g); return true;
  default:
    return lp_fail(LP_ERR_TYPE, "no matrix product for %s", lp_dtype_name(g->dtype));
  }
}

typedef struct BatchJob {
  const LpGemm *g;
  int64_t step_a, step_b, step_c; /* bytes */
  _Atomic bool failed;
} BatchJob;

static bool one_of_batch(const BatchJob *job, int64_t i) {
  LpGemm one = *job->g;
  one.a = (const char *)one.a + i * job->step_a;
  one.b = (const char *)one.b + i * job->step_b;
  one.c = (char *)one.c + i * job->step_c;
  return lp_cpu_gemm(&one);
}

static void batch_range(void *ctx, int64_t begin, int64_t end) {
  BatchJob *job = ctx;
  for (int64_t i = begin; i < end; i++)
    if (!one_of_batch(job, i)) atomic_store(&job->failed, true);
}

/* --- many tiny products: cpu/gemm_tiny.h --- */

/* Multiply-adds of one, up to which the BLAS is slower. */
#define TINY_PRODUCT 512
#define TINY_PRODUCT_NT 2048
#define TINY_COUNT 4

typedef struct TinyJob {
  LpTinyGemm g;
  bool dots;
} TinyJob;

static void tiny_range(void *ctx, int64_t begin, int64_t end) {
  const TinyJob *j = ctx;
  const LpTinyGemmKernels *kernels = lp_tiny_gemm_kernels();
  (j->dots ? kernels->dots : kernels->products)(&j->g, begin, end);
}

/* False: not such products. */
static bool tiny_batch(const LpGemm *g, int64_t count, int64_t stride_a, int64_t stride_b,
                       int64_t stride_c) {
  const LpTinyGemmKernels *kernels = lp_tiny_gemm_kernels();
  const int64_t work = g->m * g->n * g->k;
  if (g->dtype != LP_FLOAT32 || count < TINY_COUNT || work == 0 || is_zero(g->alpha) ||
      g->row || kernels->columns == 0)
    return false;
  TinyJob job = {.g = {.m = g->m,
                       .n = g->n,
                       .k = g->k,
                       .a = g->a,
                       .b = g->b,
                       .c = g->c,
                       .a_row = g->trans_a ? 1 : g->lda,
                       .a_column = g->trans_a ? g->lda : 1,
                       .a_next = stride_a,
                       .b_row = g->trans_b ? 1 : g->ldb,
                       .b_column = g->trans_b ? g->ldb : 1,
                       .b_next = stride_b,
                       .c_row = g->ldc,
                       .c_next = stride_c,
                       .alpha = (float)lp_scalar_to_double(g->alpha),
                       .beta = (float)lp_scalar_to_double(g->beta)}};
  LpTinyGemm *t = &job.g;
  if (t->m == 1 && t->n > 1 && t->a_column == 1 && t->b_row == 1) { /* C^T = B^T A^T */
    *t = (LpTinyGemm){.m = t->n,
                      .n = 1,
                      .k = t->k,
                      .a = t->b,
                      .b = t->a,
                      .c = t->c,
                      .a_row = t->b_column,
                      .a_column = 1,
                      .a_next = t->b_next,
                      .b_row = 1,
                      .b_column = t->k,
                      .b_next = t->a_next,
                      .c_row = 1,
                      .c_next = t->c_next,
                      .alpha = t->alpha,
                      .beta = t->beta};
  }
  job.dots = t->n == 1 && (t->a_column == 1 || t->k == 1) && (t->b_row == 1 || t->k == 1);
  const bool by_rows = t->b_column == 1 && !job.dots;
  if (work > (by_rows ? TINY_PRODUCT : TINY_PRODUCT_NT) || t->n > kernels->columns ||
      (t->b_column != 1 && !job.dots && t->k > LP_TINY_DEPTH))
    return false;
  lp_parallel_for(count, LP_GRAIN * 4 / (work + 8) + 1, tiny_range, &job);
  return true;
}

/* Each would be looked up in the library's cache: that takes as long as a small one. */
static bool bf16_batch(const LpGemm *g, const LpGemmBatch *batch) {
  return g->dtype == LP_BFLOAT16 && batch->count > 1 && !g->row && g->m > LP_HALF_ROWS &&
         g->n > 1 && g->m * g->n * g->k > SMALL_PRODUCT_NT &&
         lp_cpu_gemm_bf16(g, batch, (float)lp_scalar_to_double(g->alpha),
                          (float)lp_scalar_to_double(g->beta));
}

bool lp_cpu_gemm_batch(const LpGemm *g, int64_t count, int64_t stride_a, int64_t stride_b,
                       int64_t stride_c) {
  int64_t item = (int64_t)lp_dtype_size(g->dtype);
  BatchJob job = {.g = g,
                  .step_a = stride_a * item,
                  .step_b = stride_b * item,
                  .step_c = stride_c * (int64_t)lp_dtype_size(result_dtype(g))};
  int64_t work = g->m * g->n * (g->k + 1);
  const LpGemmBatch batch = {count, stride_a, stride_b, stride_c};
  if (tiny_batch(g, count, stride_a, stride_b, stride_c) || bf16_batch(g, &batch))
    return true;
  if (count >= 2 * (int64_t)lp_num_threads() || work < SMALL_PRODUCT) {
    /* Enough products to give each thread whole ones. */
    lp_parallel_for(count, LP_GRAIN * 4 / (work + 1) + 1, batch_range, &job);
    CHECK(!atomic_load(&job.failed), LP_ERR_MEMORY,
          "out of memory in a batch of matrix products");
    return true;
  }
  for (int64_t i = 0; i < count; i++) TRY(one_of_batch(&job, i));
  return true;
}

/* --- dot
 * --------------------------------------------------------------------------------------
 */

#define DOT_INT(type)                                                                    \
  do {                                                                                   \
    type sum = 0;                                                                        \
    for (int64_t i = 0; i < n; i++)                                                      \
      sum = (type)(sum + (uint64_t)((const type *)x)[i * stride_x] *                     \
                             ((const type *)y)[i * stride_y]);                           \
    *(type *)result = sum;                                                               \
  } while (0)

/* The BLAS takes 32-bit counts and strides: longer vectors go in pieces. */
#define PIECE ((int64_t)1 << 30)

void lp_cpu_dot(LpDtype dtype, int64_t n, const void *x, int64_t stride_x, const void *y,
                int64_t stride_y, bool conj, void *result) {
  lp_num_threads();
  bool fits = stride_x <= INT_MAX && stride_y <= INT_MAX && stride_x > 0 && stride_y > 0;
  switch (dtype) {
  case LP_FLOAT32: {
    double sum = 0;
    for (int64_t at = 0; fits && at < n; at += PIECE)
      sum += cblas_sdot((int)(n - at < PIECE ? n - at : PIECE),
                        (const float *)x + at * stride_x, (int)stride_x,
                        (const float *)y + at * stride_y, (int)stride_y);
    for (int64_t i = 0; !fits && i < n; i++)
      sum += (double)((const float *)x)[i * stride_x] * ((const float *)y)[i * stride_y];
    *(float *)result = (float)sum;
    return;
  }
  case LP_FLOAT64: {
    double sum = 0;
    for (int64_t at = 0; fits && at < n; at += PIECE)
      sum += cblas_ddot((int)(n - at < PIECE ? n - at : PIECE),
                        (const double *)x + at * stride_x, (int)stride_x,
                        (const double *)y + at * stride_y, (int)stride_y);
    for (int64_t i = 0; !fits && i < n; i++)
      sum += ((const double *)x)[i * stride_x] * ((const double *)y)[i * stride_y];
    *(double *)result = sum;
    return;
  }
  case LP_COMPLEX64: {
    double complex sum = 0;
    for (int64_t i = 0; i < n; i++) {
      double complex u = ((const float complex *)x)[i * stride_x],
                     v = ((const float complex *)y)[i * stride_y];
      sum += (conj ? ~u : u) * v;
    }
    *(float complex *)result = (float complex)sum;
    return;
  }
  case LP_COMPLEX128: {
    double complex sum = 0;
    for (int64_t i = 0; i < n; i++) {
      double complex u = ((const double complex *)x)[i * stride_x],
                     v = ((const double complex *)y)[i * stride_y];
      sum += (conj ? ~u : u) * v;
    }
    *(double complex *)result = sum;
    return;
  }
  case LP_FLOAT16:
  case LP_BFLOAT16: {
    bool half = dtype == LP_FLOAT16;
    float sum = 0;
    for (int64_t i = 0; i < n; i++) {
      uint16_t u = ((const uint16_t *)x)[i * stride_x],
               v = ((const uint16_t *)y)[i * stride_y];
      sum += half ? lp_half_to_float(u) * lp_half_to_float(v)
                  : lp_bf16_to_float(u) * lp_bf16_to_float(v);
    }
    *(uint16_t *)result = half ? lp_half_from_float(sum) : lp_bf16_from_float(sum);
    return;
  }
  case LP_UINT8:
  case LP_INT8: DOT_INT(uint8_t); return;
  case LP_INT16: DOT_INT(uint16_t); return;
  case LP_INT32: DOT_INT(uint32_t); return;
  default: DOT_INT(uint64_t);
  }
}

static bool pack_b(void *ctx, void *memory) {
  return lp_split_pack_b(ctx, memory);
}

bool lp_cpu_gemm_keeping(const LpGemm *g, const LpTensor *weight) {
  if (g->dtype != LP_FLOAT32 || !is_zero(g->beta) || lp_scalar_to_double(g->alpha) != 1 ||
      !lp_split_pays(g, true))
    return lp_cpu_gemm(g);
  LpGemm p = *g;
  p.keeps_b = true;
  const int64_t at = (const char *)g->b - (char *)lp_data((LpTensor *)weight);
  const int64_t key[] = {LP_KEPT_SPLIT_B, at, g->n, g->k, g->ldb, g->trans_b};
  LpKept *kept = NULL;
  if (lp_kept_met(weight, key, sizeof key))
    kept = lp_kept_enter(weight, key, sizeof key, lp_split_packed_bytes(g->n, g->k),
                         pack_b, &p);
  if (kept) p.packed_b = lp_kept_memory(kept);
  const bool ok = lp_cpu_gemm(&p);
  lp_kept_leave(kept);
  return ok;
}
