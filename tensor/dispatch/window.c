/* Window functions and the frequencies of transforms: 1-d tensors made sample by sample
 * in double. */
#include <math.h>
#include "core/parallel.h"
#include "dispatch/iter.h"
#include "dispatch/reduce.h"
#include "impl.h"
#include "lampad/autograd.h"
#include "lampad/ops.h"

#define PI 3.14159265358979323846
#define CHUNK 512

/* --- sample by sample --------------------------------------------------------------- */

/* Sample k of a window; the parameters mean what each function says. */
typedef struct Samples {
  double (*at)(const struct Samples *s, int64_t k);
  double period; /* samples from one start of the window to the next */
  double a, b;
  const double *weights; /* of the cosines */
  int64_t n_weights;
  char *out;
  LpDtype dtype;
} Samples;

static void fill_samples(void *ctx, int64_t begin, int64_t end) {
  const Samples *s = ctx;
  double chunk[CHUNK];
  int64_t size = (int64_t)lp_dtype_size(s->dtype);
  LpLoop cast = lp_cast_loop(s->dtype, LP_FLOAT64);
  for (int64_t first = begin; first < end && !lp_interrupt_pending(); first += CHUNK) {
    int64_t n = end - first < CHUNK ? end - first : CHUNK;
    for (int64_t k = 0; k < n; k++) chunk[k] = s->at(s, first + k);
    cast((char *[]){s->out + first * size, (char *)chunk}, (int64_t[]){size, 8}, n, NULL);
  }
}

static double frequency(const Samples *s, int64_t k);
static double one(const Samples *s, int64_t k) {
  return 1;
}

static LpTensor *make(Samples *s, int64_t count, LpDevice device, bool requires_grad) {
  LpTensor *t = lp_tensor_new(lp_ints(&count, 1), s->dtype, device);
  if (!t) return NULL;
  if (count == 1 && s->at != frequency)
    s->at = one; /* a window of one sample lets it through */
  s->out = lp_data(t);
  lp_parallel_for(count, LP_GRAIN / 16, fill_samples, s);
  bool ok = !lp_interrupt_take() || lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt");
  if (ok && (!requires_grad || lp_set_requires_grad(t, true))) return t;
  lp_tensor_release(t);
  return NULL;
}

/* --- shapes ------------------------------------------------------------------------- */

static double bartlett(const Samples *s, int64_t k) {
  return 1 - fabs(2 * (double)k / s->period - 1);
}

static double cosines(const Samples *s, int64_t k) {
  double x = 2 * PI * (double)k / s->period, sum = 0;
  for (int64_t i = 0; i < s->n_weights; i++)
    sum += (i % 2 ? -s->weights[i] : s->weights[i]) * cos((double)i * x);
  return sum;
}

/* The Bessel function I0: the sum of ((x / 2)^i / i!)^2. All terms are positive, so none
 * is lost. */
static double bessel_i0(double x) {
  double quarter = x * x / 4, term = 1, sum = 1;
  for (int i = 1; term > sum * 1e-17 && isfinite(sum); i++) {
    term *= quarter / ((double)i * i);
    sum += term;
  }
  return sum;
}

/* b = 1 / I0(a). */
static double kaiser(const Samples *s, int64_t k) {
  double x = 2 * (double)k / s->period - 1;
  return bessel_i0(s->a * sqrt(fmax(0, (1 - x) * (1 + x)))) * s->b;
}

static double half_sine(const Samples *s, int64_t k) {
  return sin(PI * ((double)k + 0.5) / (s->period + 1));
}
/* a: the centre; b: the decay, or the deviation. */
static double exponential(const Samples *s, int64_t k) {
  return exp(-fabs((double)k - s->a) / s->b);
}
static double gaussian(const Samples *s, int64_t k) {
  double x = ((double)k - s->a) / s->b;
  return exp(-0.5 * x * x);
}

/* --- torch.*_window ----------------------------------------------------------------- */

static const double hann_weights[] = {0.5, 0.5}, hamming_weights[] = {0.54, 0.46},
                    blackman_weights[] = {0.42, 0.5, 0.08},
                    nuttall_weights[] = {0.3635819, 0.4891775, 0.1365995, 0.0106411};

static LpTensor *window(Samples s, int64_t length, bool periodic, LpDtype dtype,
                        LpDevice device, bool grad) {
  CHECK(length >= 0, LP_ERR_ARGUMENT, "window_length must be non-negative, got %lld",
        (long long)length);
  s.dtype = dtype == LP_DTYPE_NONE ? lp_default_dtype() : dtype;
  CHECK(lp_dtype_is_floating(s.dtype), LP_ERR_TYPE,
        "dtype must be a floating dtype, got %s", lp_dtype_name(s.dtype));
  s.period = (double)length - (periodic ? 0 : 1);
  return make(&s, length, device, grad);
}

static Samples cosine_sum(const double *weights, int64_t n) {
  return (Samples){.at = cosines, .weights = weights, .n_weights = n};
}

LpTensor *lp_impl_bartlett_window(int64_t window_length, bool periodic, LpDtype dtype,
                                  LpDevice device, bool requires_grad) {
  return window((Samples){.at = bartlett}, window_length, periodic, dtype, device,
                requires_grad);
}
LpTensor *lp_impl_blackman_window(int64_t window_length, bool periodic, LpDtype dtype,
                                  LpDevice device, bool requires_grad) {
  return window(cosine_sum(blackman_weights, 3), window_length, periodic, dtype, device,
                requires_grad);
}
LpTensor *lp_impl_hann_window(int64_t window_length, bool periodic, LpDtype dtype,
                              LpDevice device, bool requires_grad) {
  return window(cosine_sum(hann_weights, 2), window_length, periodic, dtype, device,
                requires_grad);
}
LpTensor *lp_impl_hamming_window(int64_t window_length, bool periodic, double alpha,
                                 double beta, LpDtype dtype, LpDevice device,
                                 bool requires_grad) {
  const double weights[] = {alpha, beta};
  return window(cosine_sum(weights, 2), window_length, periodic, dtype, device,
                requires_grad);
}
LpTensor *lp_impl_kaiser_window(int64_t window_length, bool periodic, double beta,
                                LpDtype dtype, LpDevice device, bool requires_grad) {
  return window((Samples){.at = kaiser, .a = beta, .b = 1 / bessel_i0(beta)},
                window_length, periodic, dtype, device, requires_grad);
}

/* --- torch.signal.windows ----------------------------------------------------------- */

static LpTensor *signal(Samples s, int64_t M, bool sym, LpDtype dtype, LpDevice device,
                        bool grad) {
  CHECK(M >= 0, LP_ERR_ARGUMENT, "M must be non-negative, got %lld", (long long)M);
  s.dtype = dtype == LP_DTYPE_NONE ? lp_default_dtype() : dtype;
  CHECK(s.dtype == LP_FLOAT32 || s.dtype == LP_FLOAT64, LP_ERR_TYPE,
        "dtype must be float32 or float64, got %s", lp_dtype_name(s.dtype));
  s.period = (double)M - (sym ? 1 : 0);
  return make(&s, M, device, grad);
}

LpTensor *lp_impl_signal_windows_bartlett(int64_t M, bool sym, LpDtype dtype,
                                          LpDevice device, bool requires_grad) {
  return signal((Samples){.at = bartlett}, M, sym, dtype, device, requires_grad);
}
LpTensor *lp_impl_signal_windows_blackman(int64_t M, bool sym, LpDtype dtype,
                                          LpDevice device, bool requires_grad) {
  return signal(cosine_sum(blackman_weights, 3), M, sym, dtype, device, requires_grad);
}
LpTensor *lp_impl_signal_windows_cosine(int64_t M, bool sym, LpDtype dtype,
                                        LpDevice device, bool requires_grad) {
  return signal((Samples){.at = half_sine}, M, sym, dtype, device, requires_grad);
}
LpTensor *lp_impl_signal_windows_exponential(int64_t M, LpOptFloat center, double tau,
                                             bool sym, LpDtype dtype, LpDevice device,
                                             bool requires_grad) {
  CHECK(!(tau <= 0), LP_ERR_ARGUMENT, "tau must be positive, got %g", tau);
  CHECK(!sym || !center.has, LP_ERR_ARGUMENT,
        "center must be nil for a symmetric window: give sym = false");
  double middle = ((double)M - (sym ? 1 : 0)) / 2;
  return signal(
      (Samples){.at = exponential, .a = center.has ? center.value : middle, .b = tau}, M,
      sym, dtype, device, requires_grad);
}
LpTensor *lp_impl_signal_windows_gaussian(int64_t M, double std, bool sym, LpDtype dtype,
                                          LpDevice device, bool requires_grad) {
  CHECK(!(std <= 0), LP_ERR_ARGUMENT, "std must be positive, got %g", std);
  double middle = ((double)M - (sym ? 1 : 0)) / 2;
  return signal((Samples){.at = gaussian, .a = middle, .b = std}, M, sym, dtype, device,
                requires_grad);
}
LpTensor *lp_impl_signal_windows_general_cosine(int64_t M, LpFloats a, bool sym,
                                                LpDtype dtype, LpDevice device,
                                                bool requires_grad) {
  CHECK(a.count > 0, LP_ERR_ARGUMENT, "a must hold at least one coefficient");
  return signal(cosine_sum(a.data, a.count), M, sym, dtype, device, requires_grad);
}
LpTensor *lp_impl_signal_windows_general_hamming(int64_t M, double alpha, bool sym,
                                                 LpDtype dtype, LpDevice device,
                                                 bool requires_grad) {
  const double weights[] = {alpha, 1 - alpha};
  return signal(cosine_sum(weights, 2), M, sym, dtype, device, requires_grad);
}
LpTensor *lp_impl_signal_windows_hamming(int64_t M, bool sym, LpDtype dtype,
                                         LpDevice device, bool requires_grad) {
  return signal(cosine_sum(hamming_weights, 2), M, sym, dtype, device, requires_grad);
}
LpTensor *lp_impl_signal_windows_hann(int64_t M, bool sym, LpDtype dtype, LpDevice device,
                                      bool requires_grad) {
  return signal(cosine_sum(hann_weights, 2), M, sym, dtype, device, requires_grad);
}
LpTensor *lp_impl_signal_windows_kaiser(int64_t M, double beta, bool sym, LpDtype dtype,
                                        LpDevice device, bool requires_grad) {
  CHECK(!(beta < 0), LP_ERR_ARGUMENT, "beta must be non-negative, got %g", beta);
  return signal((Samples){.at = kaiser, .a = beta, .b = 1 / bessel_i0(beta)}, M, sym,
                dtype, device, requires_grad);
}
LpTensor *lp_impl_signal_windows_nuttall(int64_t M, bool sym, LpDtype dtype,
                                         LpDevice device, bool requires_grad) {
  return signal(cosine_sum(nuttall_weights, 4), M, sym, dtype, device, requires_grad);
}

/* --- frequencies -------------------------------------------------------------------- */

/* a: entries before the negative ones; b: the length; weights[0]: 1 / (n d). In float32
 * the factor is rounded before the product is, as PyTorch does. */
static double frequency(const Samples *s, int64_t k) {
  double number = (double)k < s->a ? (double)k : (double)k - s->b;
  return s->dtype == LP_FLOAT64 ? number * s->weights[0]
                                : (double)((float)number * (float)s->weights[0]);
}

static LpTensor *frequencies(LpTensor *out, int64_t n, int64_t count, int64_t positive,
                             double d, LpDtype dtype, LpDevice device,
                             bool requires_grad) {
  CHECK(n >= 0, LP_ERR_ARGUMENT, "n must be non-negative, got %lld", (long long)n);
  if (dtype == LP_DTYPE_NONE) dtype = out ? (LpDtype)out->dtype : lp_default_dtype();
  CHECK(!out || dtype == (LpDtype)out->dtype, LP_ERR_TYPE,
        "dtype %s does not match the out tensor's, %s", lp_dtype_name(dtype),
        lp_dtype_name(out->dtype));
  CHECK(lp_dtype_is_floating(dtype), LP_ERR_TYPE,
        "dtype must be a floating dtype, got %s", lp_dtype_name(dtype));
  double factor = 1 / ((double)n * d);
  Samples s = {.at = frequency,
               .a = (double)positive,
               .b = (double)n,
               .weights = &factor,
               .dtype = dtype};
  return lp_give(out, make(&s, count, device, requires_grad));
}

LpTensor *lp_impl_fft_fftfreq(LpTensor *out, int64_t n, double d, LpDtype dtype,
                              LpDevice device, bool requires_grad) {
  return frequencies(out, n, n, n / 2 + n % 2, d, dtype, device, requires_grad);
}
LpTensor *lp_impl_fft_rfftfreq(LpTensor *out, int64_t n, double d, LpDtype dtype,
                               LpDevice device, bool requires_grad) {
  return frequencies(out, n, n >= 0 ? n / 2 + 1 : 0, n >= 0 ? n / 2 + 1 : 0, d, dtype,
                     device, requires_grad);
}
