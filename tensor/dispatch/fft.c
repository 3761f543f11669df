/* Fourier transforms of tensors over lists of dims: checks, and one pass of cpu/fft.c for
 * each dim. The public functions, which prepare shapes and dtypes, are in
 * composite/fft.c. */
#include <math.h>
#include <string.h>
#include "cpu/fft.h"
#include "dispatch/fft.h"
#include "dispatch/shape.h"
#include "impl.h"
#include "lampad/ops.h"

/* --- one pass ----------------------------------------------------------------------- */

/* Transforms along dim d of `in` into `out`; the other dims agree. */
static bool pass(LpTensor *in, LpTensor *out, int64_t d, LpFftKind kind, int64_t n,
                 bool forward, double scale) {
  int64_t in_width = lp_dtype_is_complex(in->dtype) ? 2 : 1,
          out_width = lp_dtype_is_complex(out->dtype) ? 2 : 1;
  LpFftJob job = {.kind = kind,
                  .is_double = lp_dtype_to_real(in->dtype) == LP_FLOAT64,
                  .forward = forward,
                  .scale = scale,
                  .n = n,
                  .in = lp_data(in),
                  .out = lp_data(out),
                  .in_step = in->strides[d] * in_width,
                  .out_step = out->strides[d] * out_width,
                  .count = 1};
  /* The batch, so that the dim whose neighbours lie closest runs fastest. */
  for (int64_t k = 0; k < in->ndim; k++) {
    if (k == d || in->sizes[k] == 1) continue;
    int64_t at = job.ndim++;
    for (; at > 0 && job.in_strides[at - 1] < in->strides[k] * in_width; at--) {
      job.sizes[at] = job.sizes[at - 1];
      job.in_strides[at] = job.in_strides[at - 1];
      job.out_strides[at] = job.out_strides[at - 1];
    }
    job.sizes[at] = in->sizes[k];
    job.in_strides[at] = in->strides[k] * in_width;
    job.out_strides[at] = out->strides[k] * out_width;
    job.count *= in->sizes[k];
  }
  return lp_fft_run(&job);
}

static bool in_place(LpTensor *t, int64_t d, bool forward, double scale) {
  return pass(t, t, d, LP_FFT_C2C, t->sizes[d], forward, scale);
}

/* --- checks ------------------------------------------------------------------------- */

static bool wrap_dims(const LpTensor *self, LpInts dim, int64_t *wrapped) {
  CHECK(dim.count <= self->ndim, LP_ERR_ARGUMENT, "dim has %lld entries for %d dims",
        (long long)dim.count, self->ndim);
  for (int64_t i = 0; i < dim.count; i++)
    TRY(lp_wrap_dim(dim.data[i], self->ndim, &wrapped[i]));
  return true;
}

static double scale_of(int64_t normalization, const int64_t *sizes, const int64_t *dims,
                       int64_t count) {
  double n = 1;
  for (int64_t i = 0; i < count; i++) n *= (double)sizes[dims[i]];
  return normalization == LP_FFT_BY_COUNT  ? 1 / n
         : normalization == LP_FFT_BY_ROOT ? 1 / sqrt(n)
                                           : 1;
}

static bool check_dtype(const LpTensor *self, bool is_complex) {
  LpDtype real = lp_dtype_to_real(self->dtype);
  CHECK((real == LP_FLOAT32 || real == LP_FLOAT64) &&
            lp_dtype_is_complex(self->dtype) == is_complex,
        LP_ERR_TYPE, "self must be %s, got %s",
        is_complex ? "complex64 or complex128" : "float32 or float64",
        lp_dtype_name(self->dtype));
  return true;
}

/* --- the three kinds ---------------------------------------------------------------- */

/* Passes over dims[0 .. count - 1], the last of them first, from self into out. */
static bool complex_passes(LpTensor *self, LpTensor *out, const int64_t *dims,
                           int64_t count, bool forward, double scale) {
  for (int64_t i = count - 1; i >= 0; i--) {
    bool first = i == count - 1;
    TRY(pass(first ? self : out, out, dims[i], LP_FFT_C2C, out->sizes[dims[i]], forward,
             first ? scale : 1));
  }
  return true;
}

static LpTensor *finished(LpTensor *t, bool ok) {
  if (ok) return t;
  lp_tensor_release(t);
  return NULL;
}

LpTensor *lp_impl_fft_c2c(LpTensor *self, LpInts dim, int64_t normalization,
                          bool forward) {
  int64_t dims[LP_MAX_DIMS];
  TRY(check_dtype(self, true));
  TRY(wrap_dims(self, dim, dims));
  LpTensor *out = lp_tensor_new(lp_sizes(self), self->dtype, self->storage->device);
  if (!out || self->numel == 0) return out;
  if (dim.count == 0) return finished(out, lp_copy_into(out, self));
  double scale = scale_of(normalization, self->sizes, dims, dim.count);
  return finished(out, complex_passes(self, out, dims, dim.count, forward, scale));
}

LpTensor *lp_impl_fft_r2c(LpTensor *self, LpInts dim, int64_t normalization,
                          bool onesided, bool forward) {
  int64_t dims[LP_MAX_DIMS], sizes[LP_MAX_DIMS];
  TRY(check_dtype(self, false));
  TRY(wrap_dims(self, dim, dims));
  CHECK(dim.count > 0, LP_ERR_ARGUMENT, "dim must name at least one dim");
  int64_t last = dims[dim.count - 1];
  memcpy(sizes, self->sizes, sizeof *sizes * (size_t)self->ndim);
  if (onesided) sizes[last] = sizes[last] / 2 + 1;
  LpTensor *out = lp_tensor_new(lp_ints(sizes, self->ndim),
                                lp_dtype_to_complex(self->dtype), self->storage->device);
  if (!out || self->numel == 0) return out;
  double scale = scale_of(normalization, self->sizes, dims, dim.count);
  bool ok = pass(self, out, last, onesided ? LP_FFT_R2C : LP_FFT_R2C_FULL,
                 self->sizes[last], forward, scale);
  for (int64_t i = dim.count - 2; ok && i >= 0; i--)
    ok = in_place(out, dims[i], forward, 1);
  return finished(out, ok);
}

LpTensor *lp_impl_fft_c2r(LpTensor *self, LpInts dim, int64_t normalization,
                          int64_t last_dim_size, bool forward) {
  int64_t dims[LP_MAX_DIMS], sizes[LP_MAX_DIMS];
  TRY(check_dtype(self, true));
  TRY(wrap_dims(self, dim, dims));
  CHECK(dim.count > 0, LP_ERR_ARGUMENT, "dim must name at least one dim");
  int64_t last = dims[dim.count - 1];
  CHECK(last_dim_size >= 1 && self->sizes[last] == last_dim_size / 2 + 1, LP_ERR_ARGUMENT,
        "last_dim_size %lld does not fit size %lld of dim %lld", (long long)last_dim_size,
        (long long)self->sizes[last], (long long)last);
  memcpy(sizes, self->sizes, sizeof *sizes * (size_t)self->ndim);
  sizes[last] = last_dim_size;
  LpTensor *out = lp_tensor_new(lp_ints(sizes, self->ndim), lp_dtype_to_real(self->dtype),
                                self->storage->device);
  if (!out || out->numel == 0) return out;
  double scale = scale_of(normalization, sizes, dims, dim.count);
  LpTensor *half =
      dim.count == 1 ? lp_tensor_retain(self)
                     : lp_tensor_new(lp_sizes(self), self->dtype, self->storage->device);
  bool ok = half && complex_passes(self, half, dims, dim.count - 1, forward, 1) &&
            pass(half, out, last, LP_FFT_C2R, last_dim_size, forward, scale);
  lp_tensor_release(half);
  return finished(out, ok);
}
