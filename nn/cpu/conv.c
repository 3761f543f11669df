/* The choice of a convolution kernel; see conv.h. */
#include "cpu/conv.h"

#include <string.h>

/* About 0.1 s of work on two cores: between pieces of it an interrupt is honoured. */
#define PIECE_FLOPS 20e9

static double flops_per_image(const LpConvGeometry *g) {
  return 2.0 * (double)g->k * (double)(g->c / g->groups) *
         (double)lp_conv_volume(g->kernel, g->ndim) *
         (double)lp_conv_volume(g->out, g->ndim);
}

static bool run_piece(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype, void *x,
                      void *w, const void *b, void *y, const LpTensor *weight) {
  /* With a handful of input channels the library computes the input gradient on padded
   * ones. */
  bool few_channels = pass == LP_CONV_INPUT_GRAD && g->groups == 1 && g->c <= 4;
  if (dtype == LP_FLOAT32 && !few_channels) {
    bool done = false;
    TRY(lp_conv_dnnl(pass, g, x, w, b, y, weight, &done));
    if (done) return true;
  }
  return lp_conv_gemm(pass, g, dtype, x, w, b, y);
}

static void add_into(LpDtype dtype, void *sum, const void *part, int64_t n) {
  if (dtype == LP_FLOAT32) {
    float *s = sum;
    const float *p = part;
    for (int64_t i = 0; i < n; i++) s[i] += p[i];
  } else if (dtype == LP_COMPLEX64) {
    add_into(LP_FLOAT32, sum, part, 2 * n);
  } else {
    double *s = sum;
    const double *p = part;
    int64_t reals = dtype == LP_COMPLEX128 ? 2 * n : n;
    for (int64_t i = 0; i < reals; i++) s[i] += p[i];
  }
}

bool lp_conv_run(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype, void *x,
                 void *w, const void *b, void *y, const LpTensor *weight) {
  int64_t piece = g->n;
  double total = flops_per_image(g) * (double)g->n;
  if (total > PIECE_FLOPS) {
    int64_t pieces = (int64_t)(total / PIECE_FLOPS) + 1;
    piece = (g->n + pieces - 1) / pieces;
  }
  if (piece >= g->n) return run_piece(pass, g, dtype, x, w, b, y, weight);

  size_t elem_bytes = lp_dtype_size(dtype);
  size_t image_bytes = (size_t)(g->c * lp_conv_volume(g->in, g->ndim)) * elem_bytes;
  size_t result_bytes = (size_t)(g->k * lp_conv_volume(g->out, g->ndim)) * elem_bytes;
  int64_t n_weights = g->k * (g->c / g->groups) * lp_conv_volume(g->kernel, g->ndim);
  LpTensor *part = NULL;
  if (pass == LP_CONV_WEIGHT_GRAD) {
    part = lp_tensor_new(lp_ints(&n_weights, 1), dtype, lp_cpu());
    TRY(part);
  }
  bool ok = true;
  for (int64_t at = 0; ok && at < g->n; at += piece) {
    LpConvGeometry some = *g;
    some.n = piece < g->n - at ? piece : g->n - at;
    void *target = part && at > 0 ? lp_data(part) : w;
    ok = run_piece(pass, &some, dtype, (char *)x + (size_t)at * image_bytes, target, b,
                   (char *)y + (size_t)at * result_bytes, weight);
    if (ok && target != w) add_into(dtype, w, target, n_weights);
    if (ok && lp_interrupt_take()) ok = lp_fail(LP_ERR_INTERRUPT, "interrupted");
  }
  lp_tensor_release(part);
  return ok;
}
