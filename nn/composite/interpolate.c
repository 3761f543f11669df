/* interpolate and its old names: the modes and the sizes. */
#include <math.h>
#include "composite/expr.h"
#include "impl.h"

typedef struct Mode {
  const char *name, *along, *smooth; /* the resampling of one dim, and antialiased */
  int64_t dims;                      /* spatial dims of the input, 0: any */
  bool corners;                      /* align_corners has a meaning */
} Mode;
static const Mode modes[] = {{"nearest", "nearest", NULL, 0, false},
                             {"nearest-exact", "nearest-exact", NULL, 0, false},
                             {"linear", "linear", NULL, 1, true},
                             {"bilinear", "linear", "linear-aa", 2, true},
                             {"trilinear", "linear", NULL, 3, true},
                             {"bicubic", "cubic", "cubic-aa", 2, true},
                             {"lanczos", NULL, "lanczos-aa", 2, true},
                             {"area", NULL, NULL, 0, false}};

static const Mode *mode_of(const char *name) {
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
    if (!strcmp(name, modes[i].name)) return &modes[i];
  lp_fail(LP_ERR_ARGUMENT,
          "expected 'mode' to be nearest, nearest-exact, linear, bilinear, bicubic, "
          "trilinear, lanczos or area, got '%s'",
          name);
  return NULL;
}

static LpTensor *cast(Expr *e, LpTensor *t, LpDtype dtype) {
  return t ? keep(e, lp_to_copy(t, dtype, (LpDevice){LP_DEVICE_NONE, 0}, LP_FORMAT_NONE))
           : NULL;
}

/* Integers that are not rounded pixels after each dim pass through a wider dtype. */
static LpTensor *resample(LpTensor *input, const int64_t *space, const char *along,
                          bool corners, LpFloats factors, bool separable) {
  int64_t sizes[5] = {lp_size(input, 0), lp_size(input, 1)};
  for (int64_t d = 0; d < factors.count; d++) sizes[d + 2] = space[d];
  const LpInts whole = lp_ints(sizes, factors.count + 2);
  const LpDtype own = lp_dtype(input);
  if (separable || !lp_dtype_is_integral(own, true))
    return lp_resample(input, whole, along, corners, factors);
  Expr e = {0};
  LpTensor *wide = cast(&e, input, LP_FLOAT64);
  LpTensor *result =
      wide ? keep(&e, lp_resample(wide, whole, along, corners, factors)) : NULL;
  return expr_end(&e, cast(&e, result, own));
}

LpTensor *lp_composite_interpolate(LpTensor *input, LpInts size, LpFloats scale_factor,
                                   const char *mode, LpOptBool align_corners,
                                   LpOptBool recompute_scale_factor, bool antialias) {
  const Mode *m = mode_of(mode);
  TRY(m);
  int64_t space = lp_ndim(input) - 2, sizes[3];
  CHECK(space >= 1 && space <= 3 && (!m->dims || m->dims == space), LP_ERR_ARGUMENT,
        "expected an input of %s dims for mode '%s', got %s",
        m->dims == 1   ? "3"
        : m->dims == 2 ? "4"
        : m->dims == 3 ? "5"
                       : "3, 4 or 5",
        mode, SHAPE_TEXT(input));
  CHECK(nn_float_index(lp_dtype(input)) >= 0 || (lp_dtype(input) == LP_UINT8 && m->along),
        LP_ERR_TYPE, "expected 'input' of a floating dtype or uint8, got %s",
        lp_dtype_name(lp_dtype(input)));
  for (int64_t d = m->along || m->smooth ? 1 : 2; d < lp_ndim(input); d++)
    CHECK(lp_size(input, d) > 0, LP_ERR_ARGUMENT,
          "expected 'input' with elements in every dim but the batch, got %s",
          SHAPE_TEXT(input));
  CHECK(m->corners || !align_corners.has, LP_ERR_ARGUMENT,
        "'align_corners' has no meaning for mode '%s'", mode);
  CHECK(!antialias || m->smooth, LP_ERR_ARGUMENT,
        "antialias = true is for the modes bilinear, bicubic and lanczos, not '%s'",
        mode);
  bool corners = align_corners.has && align_corners.value, area = !strcmp(mode, "area");
  CHECK(m->along || area || antialias, LP_ERR_ARGUMENT,
        "mode '%s' needs antialias = true", mode);
  CHECK(m->along || !corners, LP_ERR_ARGUMENT, "mode '%s' has no align_corners = true",
        mode);
  CHECK((size.count >= 0) != (scale_factor.count >= 0), LP_ERR_ARGUMENT,
        "expected either 'size' or 'scale_factor'");
  bool recompute = recompute_scale_factor.has && recompute_scale_factor.value;
  double factors[3] = {0};
  if (size.count >= 0) {
    CHECK(!recompute, LP_ERR_ARGUMENT,
          "'recompute_scale_factor' has no meaning with 'size'");
    TRY(nn_expand(size, (int)space, "size", sizes));
  } else {
    CHECK(scale_factor.count == 1 || scale_factor.count == space, LP_ERR_ARGUMENT,
          "'scale_factor' must be one number or a list of %lld, got %lld numbers",
          (long long)space, (long long)scale_factor.count);
    for (int64_t d = 0; d < space; d++) {
      double f = scale_factor.data[scale_factor.count == 1 ? 0 : d];
      double wanted = floor((double)lp_size(input, d + 2) * f);
      CHECK(wanted >= 0 && wanted < 0x1p62, LP_ERR_ARGUMENT,
            "'scale_factor' %g makes no size of dim %lld of %s", f, (long long)(d + 2),
            SHAPE_TEXT(input));
      sizes[d] = (int64_t)wanted;
      factors[d] = recompute ? 0 : f;
    }
  }
  /* PyTorch's kernel for small images copies or doubles where the sizes say so, whatever
   * the factor; its other kernels do not. */
  if (!strcmp(mode, "nearest") && space == 2 && sizes[0] <= 128 &&
      sizes[0] + sizes[1] <= 128)
    for (int64_t d = 0; d < 2; d++)
      if (sizes[d] == lp_size(input, d + 2) || sizes[d] == 2 * lp_size(input, d + 2))
        factors[d] = 0;
  if (area) return lp_adaptive_avg_pool(input, space, lp_ints(sizes, space));
  return resample(input, sizes, antialias ? m->smooth : m->along, corners,
                  (LpFloats){factors, space}, antialias || m->dims == 2);
}

LpTensor *lp_composite_upsample(LpTensor *input, LpInts size, LpFloats scale_factor,
                                const char *mode, LpOptBool align_corners) {
  return lp_composite_interpolate(input, size, scale_factor, mode, align_corners,
                                  (LpOptBool){0}, false);
}
LpTensor *lp_composite_upsample_nearest(LpTensor *input, LpInts size,
                                        LpFloats scale_factor) {
  return lp_composite_interpolate(input, size, scale_factor, "nearest", (LpOptBool){0},
                                  (LpOptBool){0}, false);
}
LpTensor *lp_composite_upsample_bilinear(LpTensor *input, LpInts size,
                                         LpFloats scale_factor) {
  return lp_composite_interpolate(input, size, scale_factor, "bilinear",
                                  (LpOptBool){true, true}, (LpOptBool){0}, false);
}
