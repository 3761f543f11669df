/* Short-time Fourier transforms: frames, window, transform; and back by overlap and add.
 */
#include <string.h>
#include "composite/steps.h"
#include "dispatch/fft.h"
#include "impl.h"
#include "lampad/ops.h"

#define L(x) ((long long)(x))

/* --- shared ------------------------------------------------------------------------- */

static bool check_window(const LpTensor *window, int64_t win_length) {
  CHECK(!window || (window->ndim == 1 && window->sizes[0] == win_length), LP_ERR_ARGUMENT,
        "window must have one dim of size win_length, %lld, got shape %s", L(win_length),
        SHAPE_TEXT(window));
  return true;
}

/* The window, ones by default, in the middle of n_fft samples; of the signal's dtype when
 * made here. */
static LpTensor *full_window(LpTensor *window, LpTensor *signal, int64_t win_length,
                             int64_t n_fft) {
  Steps s = {0};
  STEP(w, window ? lp_tensor_retain(window)
                 : lp_ones(lp_ints(&win_length, 1), lp_dtype_to_real(signal->dtype),
                           lp_device(signal), false));
  int64_t left = (n_fft - win_length) / 2;
  if (win_length == n_fft) return steps_finish(&s, w);
  STEP(result,
       lp_constant_pad_nd(w, lp_ints((int64_t[]){left, n_fft - win_length - left}, 2),
                          lp_scalar_int(0)));
  return steps_finish(&s, result);
}

/* --- stft --------------------------------------------------------------------------- */

/* (time) or (batch, time), longer by `amount` at both ends. */
static LpTensor *extended(LpTensor *t, int64_t amount, const char *mode) {
  int64_t pad[2] = {amount, amount};
  if (!strcmp(mode, "constant"))
    return lp_constant_pad_nd(t, lp_ints(pad, 2), lp_scalar_int(0));
  Steps s = {0};
  /* The other modes want (batch, channel, time). */
  STEP(wide, t->ndim == 1 ? lp_reshape(t, lp_ints((int64_t[]){1, 1, t->sizes[0]}, 3))
                          : lp_unsqueeze(t, 0));
  STEP(padded, lp_pad(wide, lp_ints(pad, 2), mode, (LpOptFloat){.has = false}));
  STEP(result, lp_squeeze_dim(padded, 0));
  if (t->ndim == 1) RESTEP(result, lp_squeeze_dim(result, 0));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_stft(LpTensor *self, int64_t n_fft, LpOptInt hop_length,
                            LpOptInt win_length, LpTensor *window, bool center,
                            const char *pad_mode, bool normalized, LpOptBool onesided,
                            LpOptBool return_complex, LpOptBool align_to_window) {
  int64_t hop = hop_length.has ? hop_length.value : n_fft / 4,
          width = win_length.has ? win_length.value : n_fft;
  bool is_complex =
      lp_dtype_is_complex(self->dtype) || (window && lp_dtype_is_complex(window->dtype));
  CHECK(lp_dtype_is_floating(self->dtype) || lp_dtype_is_complex(self->dtype),
        LP_ERR_TYPE, "self must be floating or complex, got %s",
        lp_dtype_name(self->dtype));
  CHECK(self->ndim == 1 || self->ndim == 2, LP_ERR_ARGUMENT,
        "self must be (time) or (batch, time), got shape %s", SHAPE_TEXT(self));
  CHECK(return_complex.has || is_complex, LP_ERR_ARGUMENT,
        "return_complex must be given for a real signal: true for a complex result, "
        "false for a last dim of size 2");
  CHECK(!center || !align_to_window.has, LP_ERR_ARGUMENT,
        "align_to_window is only of use with center = false");
  CHECK(n_fft > 0, LP_ERR_ARGUMENT, "n_fft must be positive, got %lld", L(n_fft));
  CHECK(hop > 0, LP_ERR_ARGUMENT, "hop_length must be positive, got %lld", L(hop));
  CHECK(width > 0 && width <= n_fft, LP_ERR_ARGUMENT,
        "win_length must be in 1 .. n_fft (%lld), got %lld", L(n_fft), L(width));
  TRY(check_window(window, width));
  bool halved = onesided.has ? onesided.value : !is_complex;
  CHECK(!halved || !is_complex, LP_ERR_ARGUMENT,
        "onesided must be false when the signal or the window is complex: their spectra "
        "have no symmetry");
  Steps s = {0};
  STEP(x, center ? extended(self, n_fft / 2, pad_mode) : lp_tensor_retain(self));
  if (!center && align_to_window.has && align_to_window.value)
    RESTEP(x, extended(x, (n_fft - width) / 2, "constant"));
  int64_t time = x->sizes[x->ndim - 1];
  STEP_CHECK(n_fft <= time, LP_ERR_ARGUMENT,
             "n_fft must be at most the signal's length%s, %lld, got %lld",
             center ? " with padding" : "", L(time), L(n_fft));
  STEP(frames, lp_unfold(x, -1, n_fft, hop)); /* (batch, frame, n_fft) */
  if (window || width < n_fft) {
    STEP(w, full_window(window, self, width, n_fft));
    RESTEP(frames, lp_mul(frames, w));
  }
  int64_t normalization = normalized ? LP_FFT_BY_ROOT : LP_FFT_BY_NOTHING;
  LpInts last = lp_ints((int64_t[]){-1}, 1);
  STEP(spectra, lp_dtype_is_complex(frames->dtype)
                    ? lp_fft_c2c(frames, last, normalization, true)
                    : lp_fft_r2c(frames, last, normalization, halved, true));
  STEP(result, lp_transpose(spectra, -1, -2));
  if (return_complex.has && !return_complex.value)
    RESTEP(result, lp_view_as_real(result));
  return steps_finish(&s, result);
}

/* --- istft -------------------------------------------------------------------------- */

/* The frames (batch, frame, n_fft) added where they overlap: (batch, time). */
static LpTensor *overlap_add(LpTensor *frames, int64_t time, int64_t hop) {
  int64_t sizes[2] = {frames->sizes[0], time};
  return lp_unfold_backward(frames, lp_ints(sizes, 2), 1, frames->sizes[2], hop);
}

static bool check_envelope(LpTensor *envelope) {
  Steps s = {0};
  LpScalar lowest;
  STEP(sizes, lp_abs(envelope));
  STEP(least, lp_min(sizes));
  bool ok = lp_item(least, &lowest);
  steps_drop(&s);
  TRY(ok);
  CHECK(!(lp_scalar_to_double(lowest) < 1e-11), LP_ERR_ARGUMENT,
        "the windows' squares add up to %g somewhere: window overlap add must not "
        "vanish; use a smaller hop_length, "
        "center = true, or another window",
        lp_scalar_to_double(lowest));
  return true;
}

LpTensor *lp_composite_istft(LpTensor *self, int64_t n_fft, LpOptInt hop_length,
                             LpOptInt win_length, LpTensor *window, bool center,
                             bool normalized, LpOptBool onesided, LpOptInt length,
                             bool return_complex) {
  int64_t hop = hop_length.has ? hop_length.value : n_fft / 4,
          width = win_length.has ? win_length.value : n_fft;
  CHECK(lp_dtype_is_complex(self->dtype), LP_ERR_TYPE,
        "self must be complex, as stft gives with return_complex = true, got %s",
        lp_dtype_name(self->dtype));
  CHECK(self->ndim == 2 || self->ndim == 3, LP_ERR_ARGUMENT,
        "self must be (frequency, frame) or (batch, frequency, frame), got shape %s",
        SHAPE_TEXT(self));
  CHECK(self->numel > 0, LP_ERR_ARGUMENT, "self must not be empty, got shape %s",
        SHAPE_TEXT(self));
  int64_t bins = self->sizes[self->ndim - 2], n_frames = self->sizes[self->ndim - 1];
  bool halved = onesided.has ? onesided.value : bins != n_fft;
  CHECK(bins == (halved ? n_fft / 2 + 1 : n_fft), LP_ERR_ARGUMENT,
        "the frequency dim must have size %s with onesided = %s (n_fft is %lld), got "
        "shape %s",
        halved ? "n_fft / 2 + 1" : "n_fft", halved ? "true" : "false", L(n_fft),
        SHAPE_TEXT(self));
  CHECK(hop > 0 && hop <= width, LP_ERR_ARGUMENT,
        "hop_length must be in 1 .. win_length (%lld), got %lld", L(width), L(hop));
  CHECK(width <= n_fft, LP_ERR_ARGUMENT,
        "win_length must be in 1 .. n_fft (%lld), got %lld", L(n_fft), L(width));
  TRY(check_window(window, width));
  CHECK(return_complex || !window || !lp_dtype_is_complex(window->dtype), LP_ERR_ARGUMENT,
        "window must be real unless return_complex = true, got %s",
        lp_dtype_name(window->dtype));
  CHECK(!return_complex || !halved, LP_ERR_ARGUMENT,
        "onesided must be false when return_complex = true: half a spectrum is that of a "
        "real signal");
  CHECK(!length.has || length.value > 0, LP_ERR_ARGUMENT,
        "length must be positive, got %lld", L(length.value));
  int64_t time, span, start = center ? n_fft / 2 : 0, end;
  CHECK(!__builtin_mul_overflow(hop, n_frames - 1, &span) &&
            !__builtin_add_overflow(span, n_fft, &time),
        LP_ERR_ARGUMENT, "hop_length %lld is too large", L(hop));
  CHECK(!__builtin_add_overflow(start, length.has ? length.value : 0, &end),
        LP_ERR_ARGUMENT, "length %lld is too large", L(length.value));
  if (!length.has) end = center ? time - n_fft / 2 : time;
  CHECK(end > start && start < time, LP_ERR_ARGUMENT,
        "the frames hold no sample between the padding of both ends");

  Steps s = {0};
  STEP(w, full_window(window, self, width, n_fft));
  STEP(spectra, self->ndim == 2 ? lp_unsqueeze(self, 0) : lp_tensor_retain(self));
  RESTEP(spectra, lp_transpose(spectra, 1, 2)); /* (batch, frame, frequency) */
  int64_t normalization = normalized ? LP_FFT_BY_ROOT : LP_FFT_BY_COUNT;
  LpInts last = lp_ints((int64_t[]){-1}, 1);
  if (!return_complex && !halved)
    RESTEP(spectra, lp_narrow(spectra, -1, 0, n_fft / 2 + 1));
  STEP(frames, return_complex ? lp_fft_c2c(spectra, last, normalization, false)
                              : lp_fft_c2r(spectra, last, normalization, n_fft, false));
  RESTEP(frames, lp_mul(frames, w));
  STEP(signal, overlap_add(frames, time, hop));
  STEP(squares, lp_mul(w, w));
  RESTEP(squares, lp_expand(squares, lp_ints((int64_t[]){1, n_frames, n_fft}, 3)));
  STEP(envelope, overlap_add(squares, time, hop));
  int64_t within = (end < time ? end : time) - start;
  RESTEP(signal, lp_narrow(signal, 1, start, within));
  RESTEP(envelope, lp_narrow(envelope, 1, start, within));
  if (!check_envelope(envelope)) return steps_drop(&s);
  STEP(result, lp_div(signal, envelope));
  if (end > time)
    RESTEP(result, lp_constant_pad_nd(result, lp_ints((int64_t[]){0, end - time}, 2),
                                      lp_scalar_int(0)));
  if (self->ndim == 2) RESTEP(result, lp_squeeze_dim(result, 0));
  return steps_finish(&s, result);
}
