/* torch.fft: dtypes, lengths and dims are settled here; the transforms are the ops
 * fft_c2c, fft_r2c and fft_c2r, and each other's derivatives. */
#include <string.h>
#include "composite/steps.h"
#include "dispatch/fft.h"
#include "impl.h"
#include "lampad/ops.h"

/* --- arguments ---------------------------------------------------------------------- */

/* What norm means for a transform in this direction; false: unknown. */
static bool normalization_of(const char *norm, bool forward, int64_t *result) {
  if (!norm || !strcmp(norm, "backward"))
    *result = forward ? LP_FFT_BY_NOTHING : LP_FFT_BY_COUNT;
  else if (!strcmp(norm, "forward"))
    *result = forward ? LP_FFT_BY_COUNT : LP_FFT_BY_NOTHING;
  else if (!strcmp(norm, "ortho"))
    *result = LP_FFT_BY_ROOT;
  else
    return lp_fail(LP_ERR_ARGUMENT,
                   "norm must be 'backward', 'forward' or 'ortho', got '%s'", norm);
  return true;
}

static bool check_length(int64_t n) {
  CHECK(n >= 1, LP_ERR_ARGUMENT,
        "invalid number of data points: n must be at least 1, got %lld", (long long)n);
  return true;
}

/* The dims of a transform and the lengths over them. */
typedef struct Plan {
  int64_t count, dims[LP_MAX_DIMS], lengths[LP_MAX_DIMS];
  bool default_last; /* the last length was not given */
} Plan;

static bool plan_one(LpTensor *self, LpOptInt n, int64_t dim, Plan *p) {
  CHECK(self->ndim > 0, LP_ERR_INDEX, "dim %lld is out of range: self has no dims",
        (long long)dim);
  TRY(lp_wrap_dim(dim, self->ndim, &p->dims[0]));
  p->count = 1;
  p->lengths[0] = n.has ? n.value : self->sizes[p->dims[0]];
  p->default_last = !n.has;
  return true;
}

static bool plan_several(LpTensor *self, LpInts s, LpInts dim, Plan *p) {
  bool used[LP_MAX_DIMS] = {false};
  if (dim.count >= 0) {
    CHECK(s.count < 0 || s.count == dim.count, LP_ERR_ARGUMENT,
          "s and dim must have the same length, got %lld and %lld entries",
          (long long)s.count, (long long)dim.count);
    CHECK(dim.count <= LP_MAX_DIMS, LP_ERR_ARGUMENT, "dim has %lld entries",
          (long long)dim.count);
    for (int64_t i = 0; i < dim.count; i++) {
      CHECK(self->ndim > 0, LP_ERR_INDEX, "dim %lld is out of range: self has no dims",
            (long long)dim.data[i]);
      TRY(lp_wrap_dim(dim.data[i], self->ndim, &p->dims[i]));
      CHECK(!used[p->dims[i]], LP_ERR_ARGUMENT,
            "dims must be unique: dim names dim %lld twice", (long long)p->dims[i]);
      used[p->dims[i]] = true;
    }
    p->count = dim.count;
  } else {
    CHECK(s.count <= self->ndim, LP_ERR_ARGUMENT,
          "s has %lld entries but self has only %d dims", (long long)s.count, self->ndim);
    p->count = s.count >= 0 ? s.count : self->ndim;
    for (int64_t i = 0; i < p->count; i++) p->dims[i] = self->ndim - p->count + i;
  }
  for (int64_t i = 0; i < p->count; i++)
    p->lengths[i] = s.count >= 0 && s.data[i] != -1 ? s.data[i] : self->sizes[p->dims[i]];
  p->default_last = p->count > 0 && (s.count < 0 || s.data[p->count - 1] == -1);
  return true;
}

static bool check_some(const Plan *p) {
  CHECK(p->count > 0, LP_ERR_ARGUMENT, "must transform at least one dim, got none");
  return true;
}

static bool check_lengths(const Plan *p) {
  for (int64_t i = 0; i < p->count; i++) TRY(check_length(p->lengths[i]));
  return true;
}

/* With the last length that of a real result: how long it is, and how long the input has
 * to be. */
static bool halve_last(Plan *p, int64_t *length) {
  int64_t *last = &p->lengths[p->count - 1];
  *length = p->default_last ? 2 * (*last - 1) : *last;
  TRY(check_length(*length));
  *last = *length / 2 + 1;
  return true;
}

/* --- input -------------------------------------------------------------------------- */

/* self in a dtype that can be transformed. */
static LpTensor *promoted(LpTensor *self, bool to_complex) {
  LpDtype dtype = self->dtype;
  if (lp_dtype_is_integral(dtype, true)) dtype = lp_default_dtype();
  CHECK(dtype != LP_FLOAT16 && dtype != LP_BFLOAT16, LP_ERR_TYPE,
        "dtype %s cannot be transformed: convert to float32 first", lp_dtype_name(dtype));
  if (to_complex) dtype = lp_dtype_to_complex(dtype);
  if (dtype == (LpDtype)self->dtype) return lp_tensor_retain(self);
  return lp_to_copy(self, dtype, (LpDevice){LP_DEVICE_NONE, 0}, LP_FORMAT_NONE);
}

static bool check_real(const LpTensor *self) {
  CHECK(!lp_dtype_is_complex(self->dtype), LP_ERR_TYPE, "self must be real, got %s",
        lp_dtype_name(self->dtype));
  return true;
}

/* The dims of the plan cut, or filled with zeros, to its lengths. */
static LpTensor *resized(LpTensor *t, const Plan *p) {
  int64_t pad[2 * LP_MAX_DIMS] = {0};
  bool changed = false;
  for (int64_t i = 0; i < p->count; i++) {
    int64_t d = p->dims[i];
    pad[2 * (t->ndim - 1 - d) + 1] = p->lengths[i] - t->sizes[d];
    changed = changed || p->lengths[i] != t->sizes[d];
  }
  if (!changed) return lp_tensor_retain(t);
  return lp_constant_pad_nd(t, lp_ints(pad, 2 * t->ndim), lp_scalar_int(0));
}

/* --- the six transforms over a plan ------------------------------------------------- */

/* fft, ifft: of real or complex numbers, to complex ones. */
static LpTensor *full(LpTensor *self, Plan *p, const char *norm, bool forward) {
  Steps s = {0};
  int64_t normalization;
  TRY(normalization_of(norm, forward, &normalization));
  TRY(check_lengths(p));
  STEP(x, promoted(self, p->count == 0));
  RESTEP(x, resized(x, p));
  LpInts dims = lp_ints(p->dims, p->count);
  STEP(result, lp_dtype_is_complex(x->dtype)
                   ? lp_fft_c2c(x, dims, normalization, forward)
                   : lp_fft_r2c(x, dims, normalization, false, forward));
  return steps_finish(&s, result);
}

/* rfft, and ihfft backwards over the last dim: of real numbers, half the spectrum. */
static LpTensor *from_real(LpTensor *self, Plan *p, const char *norm, bool forward) {
  Steps s = {0};
  int64_t normalization;
  TRY(check_some(p));
  TRY(check_real(self));
  TRY(normalization_of(norm, forward, &normalization));
  TRY(check_lengths(p));
  STEP(x, promoted(self, false));
  RESTEP(x, resized(x, p));
  STEP(result, lp_fft_r2c(x, lp_ints(p->dims, p->count), normalization, true, forward));
  return steps_finish(&s, result);
}

/* irfft, and hfft forward: half the spectrum to real numbers. */
static LpTensor *to_real(LpTensor *self, Plan *p, const char *norm, bool forward) {
  Steps s = {0};
  int64_t normalization, length;
  TRY(check_some(p));
  TRY(normalization_of(norm, forward, &normalization));
  TRY(halve_last(p, &length));
  TRY(check_lengths(p));
  STEP(x, promoted(self, true));
  RESTEP(x, resized(x, p));
  STEP(result, lp_fft_c2r(x, lp_ints(p->dims, p->count), normalization, length, forward));
  return steps_finish(&s, result);
}

/* --- public ------------------------------------------------------------------------- */

#define ONE(name, run, forward)                                                          \
  LpTensor *lp_composite_fft_##name(LpTensor *self, LpOptInt n, int64_t dim,             \
                                    const char *norm) {                                  \
    Plan p = {0};                                                                        \
    TRY(plan_one(self, n, dim, &p));                                                     \
    return run(self, &p, norm, forward);                                                 \
  }
ONE(fft, full, true)
ONE(ifft, full, false)
ONE(rfft, from_real, true)
ONE(ihfft, from_real, false)
ONE(irfft, to_real, false)
ONE(hfft, to_real, true)

#define SEVERAL(name, run, forward)                                                      \
  LpTensor *lp_composite_fft_##name(LpTensor *self, LpInts s, LpInts dim,                \
                                    const char *norm) {                                  \
    Plan p = {0};                                                                        \
    TRY(plan_several(self, s, dim, &p));                                                 \
    return run(self, &p, norm, forward);                                                 \
  }
SEVERAL(fft2, full, true)
SEVERAL(fftn, full, true)
SEVERAL(ifft2, full, false)
SEVERAL(ifftn, full, false)
SEVERAL(rfft2, from_real, true)
SEVERAL(rfftn, from_real, true)
SEVERAL(ihfft2, from_real, false)
SEVERAL(ihfftn, from_real, false)
SEVERAL(irfft2, to_real, false)
SEVERAL(irfftn, to_real, false)
SEVERAL(hfft2, to_real, true)
SEVERAL(hfftn, to_real, true)

/* --- derivatives -------------------------------------------------------------------- */

/* The adjoint of a transform is the one of the other sign with the same factor. */
LpTensor *lp_composite_fft_c2c_backward(LpTensor *grad, LpInts dim, int64_t normalization,
                                        bool forward) {
  return lp_fft_c2c(grad, dim, normalization, !forward);
}

LpTensor *lp_composite_fft_r2c_backward(LpTensor *grad, LpInts sizes, LpInts dim,
                                        int64_t normalization, bool onesided,
                                        bool forward) {
  Steps s = {0};
  Plan p = {.count = 1};
  TRY(lp_wrap_dim(dim.data[dim.count - 1], grad->ndim, &p.dims[0]));
  p.lengths[0] = sizes.data[p.dims[0]];
  STEP(g, onesided ? resized(grad, &p) : lp_tensor_retain(grad));
  RESTEP(g, lp_fft_c2c(g, dim, normalization, !forward));
  STEP(result, lp_real(g));
  return steps_finish(&s, result);
}

/* The entries that stand for two of the whole spectrum have twice the gradient: all but
 * the first, and for an even length the last. */
LpTensor *lp_composite_fft_c2r_backward(LpTensor *grad, LpInts dim, int64_t normalization,
                                        bool forward) {
  Steps s = {0};
  int64_t d, shape[LP_MAX_DIMS];
  TRY(lp_wrap_dim(dim.data[dim.count - 1], grad->ndim, &d));
  int64_t length = grad->sizes[d], half = length / 2 + 1, twice = length - half;
  STEP(g, lp_fft_r2c(grad, dim, normalization, true, forward ? false : true));
  if (twice == 0) return steps_finish(&s, g);
  LpDevice none = {LP_DEVICE_NONE, 0};
  STEP(weights, lp_new_ones(grad, lp_ints(&half, 1), LP_DTYPE_NONE, none, false));
  STEP(middle, lp_new_full(grad, lp_ints(&twice, 1), lp_scalar_int(2), LP_DTYPE_NONE,
                           none, false));
  STEP(first, lp_narrow(weights, 0, 0, 1));
  STEP(last, lp_narrow(weights, 0, 0, half - 1 - twice));
  RESTEP(weights, lp_cat((LpTensors){(LpTensor *[]){first, middle, last}, 3}, 0));
  for (int64_t i = 0; i < grad->ndim; i++) shape[i] = i == d ? half : 1;
  RESTEP(weights, lp_reshape(weights, lp_ints(shape, grad->ndim)));
  STEP(result, lp_mul(g, weights));
  return steps_finish(&s, result);
}

/* --- order -------------------------------------------------------------------------- */

static LpTensor *shifted(LpTensor *self, LpInts dim, bool inverse) {
  int64_t dims[LP_MAX_DIMS], shifts[LP_MAX_DIMS],
      count = dim.count >= 0 ? dim.count : self->ndim;
  CHECK(count > 0 && count <= LP_MAX_DIMS, LP_ERR_ARGUMENT,
        "must shift at least one dim: self has shape %s%s", SHAPE_TEXT(self),
        dim.count == 0 ? " and dim is empty" : "");
  for (int64_t i = 0; i < count; i++) {
    TRY(lp_wrap_dim(dim.count >= 0 ? dim.data[i] : i, self->ndim, &dims[i]));
    int64_t n = self->ndim ? self->sizes[dims[i]] : 1;
    shifts[i] = (n + inverse) / 2;
  }
  return lp_roll(self, lp_ints(shifts, count), lp_ints(dims, count));
}

LpTensor *lp_composite_fft_fftshift(LpTensor *self, LpInts dim) {
  return shifted(self, dim, false);
}
LpTensor *lp_composite_fft_ifftshift(LpTensor *self, LpInts dim) {
  return shifted(self, dim, true);
}
