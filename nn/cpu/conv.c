/* The choice of a convolution kernel; see conv.h.
 *
 * Note [Convolution algorithms]: on channels-last memory Winograd's algorithm where it
 * pays (cpu/winograd.h), a product where the convolution is one (each pixel by itself)
 * and tiles make it soonest (cpu/gemm_split.h) or pixels are few, or in bfloat16 windows,
 * a loop of our own for the weights of depthwise ones (cpu/depthwise.h), for their inputs
 * the turned kernel, for groups of few channels (cpu/conv_thin.h) and for few channels
 * (cpu/conv_windows.h) loops of our own, where the machine has tiles a direct convolution
 * by them (cpu/conv_tiles.h), for larger kernels, also with steps, parts of them by
 * Winograd's algorithm (cpu/conv_parts.h), for gradients of weights in bfloat16 products
 * of pairs (cpu/conv_pairs.h), else oneDNN's direct kernels; im2col and a product for the
 * rest. The choice is by geometry, and by whether weights are kept from call to call, so
 * that results do not depend on timing. */
#include "cpu/conv.h"

#include <string.h>
#include "core/alloc.h"
#include "core/check.h"
#include "core/half.h"
#include "core/kept.h"
#include "core/parallel.h"
#include "cpu/conv_pairs.h"
#include "cpu/conv_parts.h"
#include "cpu/conv_thin.h"
#include "cpu/conv_tiles.h"
#include "cpu/conv_windows.h"
#include "cpu/depthwise.h"
#include "cpu/gemm_split.h"
#include "cpu/gemm_vector.h"
#include "cpu/winograd.h"
#include "lampad/storage.h"

void lp_conv_widen(const LpConvGeometry *g, int64_t in[3], int64_t out[3],
                   int64_t kernel[3], int64_t stride[3], int64_t padding[3],
                   int64_t dilation[3]) {
  for (int d = 0; d < 3; d++) {
    const int from = d - (3 - g->ndim);
    const bool is = from >= 0;
    in[d] = is ? g->in[from] : 1;
    out[d] = is ? g->out[from] : 1;
    kernel[d] = is ? g->kernel[from] : 1;
    stride[d] = is ? g->stride[from] : 1;
    padding[d] = is ? g->padding[from] : 0;
    dilation[d] = is ? g->dilation[from] : 1;
  }
}

static _Atomic bool allow_winograd = true;

bool lp_allow_winograd(void) {
  return allow_winograd;
}
void lp_set_allow_winograd(bool allow) {
  allow_winograd = allow;
}

static bool wants_winograd(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype,
                           bool keeps_weights) {
  return allow_winograd && lp_winograd_pays(pass, g, dtype, keeps_weights);
}

/* --- pixels by themselves
 * --------------------------------------------------------------------- */

/* Each pixel of y is made of one of x: the visited ones, of all, or of some where steps
 * or an output padding leave others out. */
static bool visits_pixels(const LpConvGeometry *g) {
  for (int d = 0; d < g->ndim; d++)
    if (g->kernel[d] != 1 || g->padding[d] != 0) return false;
  return g->groups == 1;
}

static bool is_product(const LpConvGeometry *g) {
  for (int d = 0; d < g->ndim; d++)
    if (g->in[d] != g->out[d]) return false;
  return visits_pixels(g);
}

/* Rows are pixels; of the weight gradient, channels of y. */
static LpGemm product_of(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype, void *x,
                         void *w, const void *b, void *y) {
  const int64_t pixels = g->n * lp_conv_volume(g->out, g->ndim);
  LpGemm p = {.dtype = dtype,
              .m = pixels,
              .n = g->c,
              .k = g->k,
              .a = y,
              .b = w,
              .c = x,
              .alpha = lp_scalar_float(1),
              .beta = lp_scalar_float(0)};
  if (pass == LP_CONV_FORWARD) {
    p.n = g->k;
    p.k = g->c;
    p.a = x;
    p.c = y;
    p.trans_b = true;
    p.row = b;
  } else if (pass == LP_CONV_WEIGHT_GRAD) {
    p.m = g->k;
    p.k = pixels;
    p.trans_a = true;
    p.b = x;
    p.c = w;
  }
  p.lda = p.trans_a ? p.m : p.k;
  p.ldb = p.trans_b ? p.k : p.n;
  p.ldc = p.n;
  return p;
}

static bool wants_product(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype,
                          bool keeps_weights) {
  if (dtype != LP_FLOAT32 || !is_product(g)) return false;
  const LpGemm p = product_of(pass, g, dtype, NULL, NULL, NULL, NULL);
  return lp_split_pays(&p, keeps_weights && pass == LP_CONV_FORWARD);
}

/* For fewer pixels the library spends more time on bringing weights, or their gradient,
 * into its order than on the product; of bfloat16, on weights for the forward pass. */
#define FEW_PIXELS 1024
#define FEW_PIXELS_BF16 512

static bool wants_product_of_few(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype,
                                 bool keeps_weights) {
  const bool serves = dtype == LP_FLOAT32
                          ? lp_vector_supported()
                          : pass == LP_CONV_FORWARD && lp_conv_pairs_supported();
  return serves && visits_pixels(g) && !(keeps_weights && pass == LP_CONV_FORWARD) &&
         g->n * lp_conv_volume(g->out, g->ndim) <=
             (dtype == LP_FLOAT32 ? FEW_PIXELS : FEW_PIXELS_BF16);
}

/* Visited pixels of x to `dense`, or back: x is zero between them. */
static void visit(const LpConvGeometry *g, LpDtype dtype, char *x, char *dense,
                  bool back) {
  LpConvGeometry wide;
  lp_conv_widen(g, wide.in, wide.out, wide.kernel, wide.stride, wide.padding,
                wide.dilation);
  const int64_t *in = wide.in, *out = wide.out, *step = wide.stride;
  const size_t bytes = (size_t)g->c * lp_dtype_size(dtype);
  if (back) memset(x, 0, bytes * (size_t)(g->n * lp_conv_volume(g->in, g->ndim)));
  for (int64_t i = 0; i < g->n * out[0] * out[1] * out[2]; i++, dense += bytes) {
    const int64_t w = i % out[2], h = i / out[2] % out[1],
                  d = i / out[2] / out[1] % out[0], n = i / (out[0] * out[1] * out[2]);
    char *pixel = x + (size_t)(((n * in[0] + d * step[0]) * in[1] + h * step[1]) * in[2] +
                               w * step[2]) *
                          bytes;
    memcpy(back ? pixel : dense, back ? dense : pixel, bytes);
  }
}

static bool run_product_of_visited(const LpConvCall *c, const LpConvGeometry *g) {
  const bool back = c->pass == LP_CONV_INPUT_GRAD;
  size_t capacity;
  char *dense = lp_block_alloc((size_t)(g->n * lp_conv_volume(g->out, g->ndim) * g->c) *
                                   lp_dtype_size(c->dtype),
                               &capacity);
  TRY(dense);
  if (!back) visit(g, c->dtype, c->x, dense, false);
  const LpGemm p = product_of(c->pass, g, c->dtype, dense, c->w, c->b, c->y);
  const bool ok = lp_cpu_gemm(&p);
  if (ok && back) visit(g, c->dtype, c->x, dense, true);
  lp_block_free(dense, capacity);
  return ok;
}

static bool run_product(const LpConvCall *c, const LpConvGeometry *g) {
  if (!is_product(g)) return run_product_of_visited(c, g);
  const LpGemm p = product_of(c->pass, g, c->dtype, c->x, c->w, c->b, c->y);
  return c->keeps_weights && c->pass == LP_CONV_FORWARD
             ? lp_cpu_gemm_keeping(&p, c->weight)
             : lp_cpu_gemm(&p);
}

/* --- few windows
 * -------------------------------------------------------------------------------- */

/* Of larger kernels, in bfloat16: windows are laid as the weights lie, as these are more.
 */
static bool wants_product_of_windows(LpConvPass pass, const LpConvGeometry *g,
                                     LpDtype dtype, bool keeps_weights) {
  const int64_t results = g->n * lp_conv_volume(g->out, g->ndim);
  return pass == LP_CONV_FORWARD && dtype == LP_BFLOAT16 && !keeps_weights &&
         g->groups == 1 && results <= FEW_PIXELS_BF16 && results <= g->k &&
         lp_conv_pairs_supported();
}

typedef struct Windows {
  LpConvGeometry g; /* in three dims */
  const uint16_t *x;
  uint16_t *to; /* (results, c, taps) */
} Windows;

static void lay_windows(void *ctx, int64_t begin, int64_t end) {
  const Windows *w = ctx;
  const LpConvGeometry *g = &w->g;
  const int64_t taps = lp_conv_volume(g->kernel, 3), results = lp_conv_volume(g->out, 3);
  for (int64_t i = begin * taps; i < end * taps; i++) {
    int64_t result = i / taps, tap = i % taps, at[3];
    uint16_t *to = w->to + result * g->c * taps + tap;
    const int64_t image = result / results;
    bool inside = true;
    for (int d = 2; d >= 0; d--) {
      at[d] = result % g->out[d] * g->stride[d] - g->padding[d] +
              tap % g->kernel[d] * g->dilation[d];
      inside = inside && at[d] >= 0 && at[d] < g->in[d];
      result /= g->out[d];
      tap /= g->kernel[d];
    }
    const int64_t pixel =
        ((image * g->in[0] + at[0]) * g->in[1] + at[1]) * g->in[2] + at[2];
    for (int64_t c = 0; c < g->c; c++) to[c * taps] = inside ? w->x[pixel * g->c + c] : 0;
  }
}

static bool run_product_of_windows(const LpConvCall *c, const LpConvGeometry *g) {
  Windows w = {.g = {.ndim = 3, .n = g->n, .c = g->c, .k = g->k}, .x = c->x};
  lp_conv_widen(g, w.g.in, w.g.out, w.g.kernel, w.g.stride, w.g.padding, w.g.dilation);
  LpConvGeometry each = w.g; /* a window is a pixel of many channels */
  each.c *= lp_conv_volume(w.g.kernel, 3);
  const int64_t results = g->n * lp_conv_volume(w.g.out, 3);
  size_t capacity;
  w.to = lp_block_alloc((size_t)(results * each.c) * sizeof *w.to, &capacity);
  TRY(w.to);
  lp_parallel_for(results, LP_GRAIN / each.c + 1, lay_windows, &w);
  const LpGemm p = product_of(c->pass, &each, c->dtype, w.to, c->w, c->b, c->y);
  const bool ok = lp_cpu_gemm(&p);
  lp_block_free(w.to, capacity);
  return ok;
}

/* --- the input gradient by the turned kernel
 * --------------------------------------------- */

/* With steps of 1 it is the convolution of y by the kernel turned round. */
static bool turn(const LpConvGeometry *g, LpConvGeometry *turned) {
  *turned = *g;
  turned->c = g->k;
  turned->k = g->c;
  for (int d = 0; d < g->ndim; d++) {
    turned->in[d] = g->out[d];
    turned->out[d] = g->in[d];
    turned->padding[d] = g->dilation[d] * (g->kernel[d] - 1) - g->padding[d];
    if (g->stride[d] != 1 || turned->padding[d] < 0) return false;
  }
  return true;
}

/* That has the better kernel where groups have a channel each, or few. */
static bool wants_turning(const LpConvGeometry *g, LpDtype dtype) {
  LpConvGeometry turned;
  return turn(g, &turned) &&
         (lp_conv_thin_pays(LP_CONV_FORWARD, &turned, dtype) ||
          (dtype == LP_FLOAT32 && lp_conv_is_depthwise(g) &&
           lp_conv_dnnl_serves(LP_CONV_FORWARD, &turned, LP_FLOAT32, false, false)));
}

/* to (c, k / groups, taps), backwards, from w (k, c / groups, taps). */
static void turn_weights(const LpConvGeometry *g, size_t number_bytes, const char *w,
                         char *to) {
  const int64_t taps = lp_conv_volume(g->kernel, g->ndim), each = g->c / g->groups,
                results = g->k / g->groups;
  for (int64_t c = 0; c < g->c; c++)
    for (int64_t r = 0; r < results; r++) {
      const char *from =
          w +
          (size_t)(((c / each * results + r) * each + c % each) * taps) * number_bytes;
      for (int64_t t = taps; t > 0; t--, to += number_bytes)
        memcpy(to, from + (size_t)(t - 1) * number_bytes, number_bytes);
    }
}

static bool run_turned(const LpConvCall *c, const LpConvGeometry *g) {
  const size_t weights =
      (size_t)(g->k * (g->c / g->groups) * lp_conv_volume(g->kernel, g->ndim));
  size_t capacity;
  const size_t number_bytes = lp_dtype_size(c->dtype);
  char *reversed = lp_block_alloc(weights * number_bytes, &capacity);
  TRY(reversed);
  turn_weights(g, number_bytes, c->w, reversed);
  LpConvGeometry turned;
  turn(g, &turned);
  const LpConvCall call = {.pass = LP_CONV_FORWARD,
                           .dtype = c->dtype,
                           .channels_last = true,
                           .x = c->y,
                           .w = reversed,
                           .y = c->x};
  const bool ok = lp_conv_thin_pays(LP_CONV_FORWARD, &turned, c->dtype)
                      ? lp_conv_thin(&call, &turned)
                  : lp_conv_is_depthwise(g) ? lp_conv_dnnl(&call, &turned)
                                            : lp_conv_parts(&call, &turned);
  lp_block_free(reversed, capacity);
  return ok;
}

/* --- by parts of the kernel
 * ----------------------------------------------------------------- */

/* Input gradients with steps of 1 by the turned kernel. */
static bool wants_turned_parts(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype) {
  LpConvGeometry turned;
  return allow_winograd && dtype == LP_FLOAT32 && pass == LP_CONV_INPUT_GRAD &&
         turn(g, &turned) && lp_conv_parts_pays(LP_CONV_FORWARD, &turned);
}

static bool wants_parts(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype) {
  return allow_winograd && dtype == LP_FLOAT32 && lp_conv_parts_pays(pass, g);
}

/* --- by tiles
 * --------------------------------------------------------------------------------- */

/* (n, pixels, channels) to (n, channels, pixels), in float32. */
static void to_rows(const void *from, LpDtype dtype, int64_t n, int64_t pixels,
                    int64_t channels, float *to) {
  for (int64_t i = 0; i < n; i++, to += pixels * channels)
    for (int64_t c = 0; c < channels; c++)
      for (int64_t p = 0; p < pixels; p++) {
        const int64_t at = (i * pixels + p) * channels + c;
        to[c * pixels + p] = dtype == LP_FLOAT32
                                 ? ((const float *)from)[at]
                                 : lp_bf16_to_float(((const uint16_t *)from)[at]);
      }
}

/* And back, in float32. */
static void from_rows(const float *from, int64_t n, int64_t pixels, int64_t channels,
                      float *to) {
  for (int64_t i = 0; i < n; i++, from += pixels * channels)
    for (int64_t p = 0; p < pixels; p++)
      for (int64_t c = 0; c < channels; c++) *to++ = from[c * pixels + p];
}

/* For operands with infinities or NaN, which do not come apart: im2col. */
static bool run_by_rows(const LpConvCall *c, const LpConvGeometry *g) {
  const int64_t in = lp_conv_volume(g->in, g->ndim),
                out = lp_conv_volume(g->out, g->ndim);
  const size_t x_floats = (size_t)(g->n * g->c * in),
               y_floats = (size_t)(g->n * g->k * out);
  const size_t w_floats = (size_t)(g->k * g->c * lp_conv_volume(g->kernel, g->ndim));
  size_t capacity;
  float *x = lp_block_alloc((x_floats + y_floats + w_floats) * sizeof *x, &capacity);
  TRY(x);
  float *y = x + x_floats, *w = y + y_floats;
  const bool rounded = c->pass == LP_CONV_WEIGHT_GRAD && c->weight_dtype == LP_BFLOAT16;
  if (c->pass != LP_CONV_INPUT_GRAD) to_rows(c->x, c->dtype, g->n, in, g->c, x);
  if (c->pass != LP_CONV_FORWARD) to_rows(c->y, c->dtype, g->n, out, g->k, y);
  const bool ok = lp_conv_gemm(c->pass, g, LP_FLOAT32, x, rounded ? w : c->w, c->b, y);
  if (ok && c->pass == LP_CONV_FORWARD) from_rows(y, g->n, out, g->k, c->y);
  if (ok && c->pass == LP_CONV_INPUT_GRAD) from_rows(x, g->n, in, g->c, c->x);
  for (size_t i = 0; ok && rounded && i < w_floats; i++)
    ((uint16_t *)c->w)[i] = lp_bf16_from_float(w[i]);
  lp_block_free(x, capacity);
  return ok;
}

static bool run_tiles(const LpConvCall *c, const LpConvGeometry *g) {
  bool refused;
  return lp_conv_tiles(c, g, &refused) || (refused && run_by_rows(c, g));
}

/* --- the choice
 * ------------------------------------------------------------------------------- */

/* About 0.1 s of work on two cores: between pieces of it an interrupt is honoured. */
#define PIECE_FLOPS 20e9

static double flops_per_image(const LpConvGeometry *g) {
  return 2.0 * (double)g->k * (double)(g->c / g->groups) *
         (double)lp_conv_volume(g->kernel, g->ndim) *
         (double)lp_conv_volume(g->out, g->ndim);
}

/* Images of a piece. */
static int64_t piece_of(const LpConvGeometry *g) {
  const double total = flops_per_image(g) * (double)g->n;
  if (total <= PIECE_FLOPS) return g->n;
  const int64_t pieces = (int64_t)(total / PIECE_FLOPS) + 1;
  return (g->n + pieces - 1) / pieces;
}

/* The pieces that occur: whole ones, and a last one with fewer images if there is one. */
static int pieces_of(const LpConvGeometry *g, LpConvGeometry pieces[2]) {
  pieces[0] = pieces[1] = *g;
  pieces[0].n = piece_of(g);
  pieces[1].n = g->n % pieces[0].n;
  return pieces[1].n ? 2 : 1;
}

/* Ways through channels-last memory. */
typedef enum Way {
  WINOGRAD,
  PRODUCT,
  DEPTHWISE,
  TURNED,
  THIN,
  WINDOWS,
  TILES,
  PARTS,
  PAIRS,
  FEW_WINDOWS,
  LIBRARY
} Way;

static Way way_of(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype,
                  bool keeps_weights) {
  if (wants_winograd(pass, g, dtype, keeps_weights)) return WINOGRAD;
  if (wants_product(pass, g, dtype, keeps_weights)) return PRODUCT;
  if (pass == LP_CONV_WEIGHT_GRAD && lp_depthwise_serves(g, dtype)) return DEPTHWISE;
  if (pass == LP_CONV_INPUT_GRAD && wants_turning(g, dtype)) return TURNED;
  if (lp_conv_thin_pays(pass, g, dtype)) return THIN;
  if (dtype == LP_FLOAT32 && lp_conv_windows_pays(pass, g)) return WINDOWS;
  if (lp_conv_tiles_pays(pass, g, dtype, keeps_weights)) return TILES;
  if (wants_turned_parts(pass, g, dtype)) return TURNED;
  if (wants_parts(pass, g, dtype)) return PARTS;
  if (lp_conv_pairs_pays(pass, g, dtype)) return PAIRS;
  if (wants_product_of_few(pass, g, dtype, keeps_weights)) return PRODUCT;
  if (wants_product_of_windows(pass, g, dtype, keeps_weights)) return FEW_WINDOWS;
  return LIBRARY;
}

static bool serves_last(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype,
                        bool has_bias, bool keeps_weights) {
  /* The library's bfloat16 kernels for few channels a group are slower than float32 ones.
   */
  const bool thin = dtype == LP_BFLOAT16 && g->groups > 1 && g->c / g->groups < 16;
  return way_of(pass, g, dtype, keeps_weights) != LIBRARY ||
         (!thin && lp_conv_dnnl_serves(pass, g, dtype, has_bias, keeps_weights));
}

bool lp_conv_wants_channels_last(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype,
                                 bool has_bias, bool keeps_weights) {
  /* With a handful of input channels the library computes the input gradient on padded
   * ones. */
  const bool few_channels = pass == LP_CONV_INPUT_GRAD && g->groups == 1 && g->c <= 4;
  if ((dtype != LP_FLOAT32 && dtype != LP_BFLOAT16) || few_channels) return false;
  LpConvGeometry pieces[2];
  const int count = pieces_of(g, pieces);
  for (int i = 0; i < count; i++)
    if (!serves_last(pass, &pieces[i], dtype, has_bias, keeps_weights)) return false;
  return true;
}

bool lp_conv_reads_planes(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype,
                          bool keeps_weights) {
  if (g->c > LP_WINDOWS_PLANES) return false;
  LpConvGeometry pieces[2];
  const int count = pieces_of(g, pieces);
  for (int i = 0; i < count; i++)
    if (way_of(pass, &pieces[i], dtype, keeps_weights) != WINDOWS) return false;
  return true;
}

typedef struct Packing {
  const LpConvGeometry *g;
  const void *w;
  LpDtype dtype;
} Packing;

static bool pack_weights(void *ctx, void *memory) {
  const Packing *p = ctx;
  lp_winograd_pack(p->g, p->dtype, p->w, memory);
  return true;
}

static bool run_winograd(const LpConvCall *c, const LpConvGeometry *g) {
  const int64_t key[] = {LP_KEPT_WINOGRAD, lp_winograd_packing(g, c->dtype), c->dtype,
                         g->k, g->c};
  Packing p = {g, c->w, c->dtype};
  LpKept *kept = lp_kept_enter(c->weight, key, sizeof key,
                               lp_winograd_packed_bytes(g, c->dtype), pack_weights, &p);
  const LpDtype weights = c->pass == LP_CONV_WEIGHT_GRAD ? c->weight_dtype : c->dtype;
  const LpWinogradCall call = {.dtype = c->dtype,
                               .x = c->x,
                               .y = c->y,
                               .w = c->w,
                               .half_weights = weights == LP_BFLOAT16,
                               .bias = c->b,
                               .packed = kept ? lp_kept_memory(kept) : NULL};
  const bool ok = lp_winograd_run(c->pass, g, &call);
  lp_kept_leave(kept);
  return ok;
}

static bool run_piece(const LpConvCall *c, const LpConvGeometry *g) {
  if (!c->channels_last)
    return lp_conv_gemm(c->pass, g, c->dtype, c->x, c->w, c->b, c->y);
  switch (way_of(c->pass, g, c->dtype, c->keeps_weights)) {
  case WINOGRAD: return run_winograd(c, g);
  case PRODUCT: return run_product(c, g);
  case DEPTHWISE: return lp_depthwise_weight_grad(g, c->dtype, c->x, c->y, c->w);
  case TURNED: return run_turned(c, g);
  case THIN: return lp_conv_thin(c, g);
  case WINDOWS: return lp_conv_windows(c, g);
  case TILES: return run_tiles(c, g);
  case PARTS: return lp_conv_parts(c, g);
  case PAIRS: return lp_conv_pairs(c, g);
  case FEW_WINDOWS: return run_product_of_windows(c, g);
  default: return lp_conv_dnnl(c, g);
  }
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

LpDtype lp_conv_weight_dtype(const LpConvGeometry *g, LpDtype dtype, bool last) {
  if (dtype != LP_BFLOAT16) return dtype;
  const Way way = way_of(LP_CONV_WEIGHT_GRAD, g, dtype, false);
  const bool rounds =
      last && piece_of(g) == g->n && (way == WINOGRAD || way == TILES || way == PAIRS);
  return rounds ? LP_BFLOAT16 : LP_FLOAT32;
}

bool lp_conv_run(const LpConvCall *call, const LpConvGeometry *g) {
  const int64_t piece = piece_of(g);
  if (piece >= g->n) return run_piece(call, g);

  const size_t elem_bytes = lp_dtype_size(call->dtype);
  const size_t image_bytes = (size_t)(g->c * lp_conv_volume(g->in, g->ndim)) * elem_bytes;
  const size_t result_bytes =
      (size_t)(g->k * lp_conv_volume(g->out, g->ndim)) * elem_bytes;
  const int64_t n_weights =
      g->k * (g->c / g->groups) * lp_conv_volume(g->kernel, g->ndim);
  LpTensor *part = NULL;
  if (call->pass == LP_CONV_WEIGHT_GRAD) {
    part = lp_tensor_new(lp_ints(&n_weights, 1), call->weight_dtype, lp_cpu());
    TRY(part);
  }
  bool ok = true;
  for (int64_t at = 0; ok && at < g->n; at += piece) {
    LpConvGeometry some = *g;
    some.n = piece < g->n - at ? piece : g->n - at;
    LpConvCall c = *call;
    if (part && at > 0) c.w = lp_data(part);
    c.x = (char *)call->x + (size_t)at * image_bytes;
    c.y = (char *)call->y + (size_t)at * result_bytes;
    ok = run_piece(&c, &some);
    if (ok && c.w != call->w) add_into(call->weight_dtype, call->w, c.w, n_weights);
    if (ok && lp_interrupt_take()) ok = lp_fail(LP_ERR_INTERRUPT, "interrupted");
  }
  lp_tensor_release(part);
  return ok;
}
