/* Convolution of one image after the other as a matrix product over its unfolded patches:
 * y = w * columns(x), gx = fold(w^H * gy), gw += gy * columns(x)^H, with w (k, c * taps),
 * columns (c * taps, out). Serves the dtypes and geometries that oneDNN has no kernel
 * for. For complex numbers the gradients are the adjoints, so w and x enter them
 * conjugated. */
#include <cblas.h>
#include <complex.h>
#include <string.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/conv.h"
#include "cpu/gemm.h"

#define T float
#define NAME(x) x##_f32
#include "cpu/conv_gemm_body.h"
#undef T
#undef NAME
#define T double
#define NAME(x) x##_f64
#include "cpu/conv_gemm_body.h"
#undef T
#undef NAME
#define T float complex
#define NAME(x) x##_c64
#include "cpu/conv_gemm_body.h"
#undef T
#undef NAME
#define T double complex
#define NAME(x) x##_c128
#include "cpu/conv_gemm_body.h"
#undef T
#undef NAME

void lp_im2col(const LpConvGeometry *g, LpDtype dtype, int64_t channels, const void *x,
               void *columns) {
  switch (dtype) {
  case LP_FLOAT32: im2col_f32(g, channels, x, columns); break;
  case LP_FLOAT64: im2col_f64(g, channels, x, columns); break;
  case LP_COMPLEX64: im2col_c64(g, channels, x, columns); break;
  default: im2col_c128(g, channels, x, columns); break;
  }
}

void lp_col2im(const LpConvGeometry *g, LpDtype dtype, int64_t channels,
               const void *columns, void *x) {
  switch (dtype) {
  case LP_FLOAT32: col2im_f32(g, channels, columns, x); break;
  case LP_FLOAT64: col2im_f64(g, channels, columns, x); break;
  case LP_COMPLEX64: col2im_c64(g, channels, columns, x); break;
  default: col2im_c128(g, channels, columns, x); break;
  }
}

/* Row-major c (m, n) = a (m, k) * b (k, n) + beta * c; 'C' is conjugate transpose. */
static bool gemm(LpDtype dtype, char ta, char tb, int64_t m, int64_t n, int64_t k,
                 const void *a, int64_t lda, const void *b, int64_t ldb, double beta,
                 void *c, int64_t ldc) {
  if (!lp_dtype_is_complex(dtype)) {
    LpGemm g = {dtype, m, n, k, ta != 'N', tb != 'N', a, b, c, lda, ldb, ldc};
    g.alpha = lp_scalar_float(1);
    g.beta = lp_scalar_float(beta);
    return lp_cpu_gemm(&g);
  }
  CHECK(m <= INT32_MAX && n <= INT32_MAX && k <= INT32_MAX, LP_ERR_ARGUMENT,
        "a matrix of %lld x %lld x %lld is beyond the library's 32-bit sizes",
        (long long)m, (long long)n, (long long)k);
  CBLAS_TRANSPOSE op_a = ta == 'N' ? CblasNoTrans : CblasConjTrans;
  CBLAS_TRANSPOSE op_b = tb == 'N' ? CblasNoTrans : CblasConjTrans;
  blasint M = (blasint)m, N = (blasint)n, K = (blasint)k;
  blasint la = (blasint)lda, lb = (blasint)ldb, lc = (blasint)ldc;
  if (dtype == LP_COMPLEX64) {
    float one[2] = {1, 0}, scale[2] = {(float)beta, 0};
    cblas_cgemm(CblasRowMajor, op_a, op_b, M, N, K, one, a, la, b, lb, scale, c, lc);
  } else {
    double one[2] = {1, 0}, scale[2] = {beta, 0};
    cblas_zgemm(CblasRowMajor, op_a, op_b, M, N, K, one, a, la, b, lb, scale, c, lc);
  }
  return true;
}

static void fill_with_bias(LpDtype dtype, void *y, const void *b, int64_t k,
                           int64_t outs) {
  size_t elem_bytes = lp_dtype_size(dtype);
  for (int64_t i = 0; i < k; i++) {
    char *row = (char *)y + (size_t)(i * outs) * elem_bytes;
    const char *value = (const char *)b + (size_t)i * elem_bytes;
    for (int64_t j = 0; j < outs; j++)
      memcpy(row + (size_t)j * elem_bytes, value, elem_bytes);
  }
}

/* A 1x1 convolution with stride 1 reads the image as it is, unless output_padding of a
 * transposed one has widened it. */
static bool is_pointwise(const LpConvGeometry *g) {
  for (int d = 0; d < g->ndim; d++)
    if (g->kernel[d] != 1 || g->stride[d] != 1 || g->padding[d] != 0 ||
        g->in[d] != g->out[d])
      return false;
  return true;
}

bool lp_conv_gemm(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype, void *x,
                  void *w, const void *b, void *y) {
  size_t e = lp_dtype_size(dtype);
  int64_t ins = lp_conv_volume(g->in, g->ndim), outs = lp_conv_volume(g->out, g->ndim);
  int64_t cg = g->c / g->groups, kg = g->k / g->groups;
  int64_t patch = cg * lp_conv_volume(g->kernel, g->ndim);
  if (pass == LP_CONV_WEIGHT_GRAD) memset(w, 0, (size_t)(g->k * patch) * e);
  if (pass == LP_CONV_INPUT_GRAD) memset(x, 0, (size_t)(g->n * g->c * ins) * e);
  bool direct = is_pointwise(g);
  size_t capacity_bytes = 0;
  char *columns = NULL;
  if (!direct) {
    columns = lp_block_alloc((size_t)(patch * outs) * e, &capacity_bytes);
    TRY(columns);
  }
  bool ok = true;
  for (int64_t n = 0; ok && n < g->n; n++) {
    for (int64_t group = 0; ok && group < g->groups; group++) {
      char *xi = (char *)x + (size_t)((n * g->c + group * cg) * ins) * e;
      char *yi = (char *)y + (size_t)((n * g->k + group * kg) * outs) * e;
      char *wi = (char *)w + (size_t)(group * kg * patch) * e;
      char *ci = direct ? xi : columns;
      if (pass == LP_CONV_FORWARD) {
        if (!direct) lp_im2col(g, dtype, cg, xi, ci);
        if (b)
          fill_with_bias(dtype, yi, (const char *)b + (size_t)(group * kg) * e, kg, outs);
        ok = gemm(dtype, 'N', 'N', kg, outs, patch, wi, patch, ci, outs, b ? 1 : 0, yi,
                  outs);
      } else if (pass == LP_CONV_INPUT_GRAD) {
        ok = gemm(dtype, 'C', 'N', patch, outs, kg, wi, patch, yi, outs, 0, ci, outs);
        if (!direct) lp_col2im(g, dtype, cg, ci, xi);
      } else {
        if (!direct) lp_im2col(g, dtype, cg, xi, ci);
        ok = gemm(dtype, 'N', 'C', kg, patch, outs, yi, outs, ci, outs, 1, wi, patch);
      }
    }
    if (ok && n % 64 == 63 && lp_interrupt_take())
      ok = lp_fail(LP_ERR_INTERRUPT, "interrupted");
  }
  if (columns) lp_block_free(columns, capacity_bytes);
  return ok;
}
