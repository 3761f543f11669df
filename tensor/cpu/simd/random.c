/* The arithmetic of uniform and normal variates, in loops that vectorise. */
#include "cpu/simd/simd.h"

#include <math.h>
#include <string.h>
#include "core/half.h"
#include "cpu/random.h"
#include "cpu/simd/vecmath.h"

#define PI 3.14159265358979323846

static void uniform_float(float *restrict out, const uint32_t *restrict words, int64_t n,
                          float range, float from) {
  for (int64_t i = 0; i < n; i++)
    out[i] = fmaf((float)(int32_t)(words[i] & 0xffffffu) * 0x1p-24f, range, from);
}

/* The integer of 21 + 32 bits is put together in double, where every step is exact. */
static inline double bits53(uint32_t high, uint32_t low) {
  double h = (double)(int32_t)(high & 0x1fffffu),
         l = (double)(int32_t)(low ^ 0x80000000u) + 0x1p31;
  return (h * 0x1p32 + l) * 0x1p-53;
}

static void uniform_double(double *restrict out, const uint32_t *restrict words,
                           int64_t n, double range, double from) {
  for (int64_t i = 0; i < n; i++)
    out[i] = fma(bits53(words[2 * i], words[2 * i + 1]), range, from);
}

static void bernoulli(float *restrict out, const uint32_t *restrict words, int64_t n,
                      double p) {
  for (int64_t i = 0; i < n; i++)
    out[i] = bits53(words[2 * i], words[2 * i + 1]) < p ? 1.0f : 0.0f;
}

/* Rounding to float forgets what tells SLEEF's log1p from the C library's: the products lie
 * within a few units of a double's last place of each other. Only near the middle between
 * two floats, or among numbers below the normal ones, may the two round apart; there the
 * library is asked. */
static void exponential_float(float *restrict out, const double *restrict u, int64_t n,
                              double scale) {
  enum { LOST = 1 << 29, NEAR = 16 }; /* 29 bits are lost */
  int64_t doubtful = 0;
  for (int64_t i = 0; i < n; i++) {
    double v = scale * lp_log1p_f64(-u[i]);
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    doubtful |= (bits + LOST / 2 + NEAR) % LOST < 2 * NEAR || v < 0x1p-126;
    out[i] = (float)v;
  }
  if (!doubtful) return;
  for (int64_t i = 0; i < n; i++) out[i] = (float)(scale * log1p(-u[i]));
}

/* Natural logarithm of x in (2^-126, 1] and sine and cosine of x in [0, 2 pi]: the single
 * precision polynomials of Moshier's Cephes library (netlib.org/cephes), which PyTorch's
 * AVX2 kernel evaluates too; the fma calls are where its compiler fuses. */
static inline float log_unit(float x) {
  uint32_t bits = lp_float_bits(x);
  float exponent = (float)((int32_t)(bits >> 23) - 126);
  float m = lp_float_from_bits((bits & 0x007fffffu) | 0x3f000000u); /* in [0.5, 1) */
  bool small = m < 0.707106781186547524f;
  exponent -= small ? 1.0f : 0.0f;
  m = (m - 1.0f) + (small ? m : 0.0f);
  float z = m * m, y = 7.0376836292e-2f;
  y = fmaf(y, m, -1.1514610310e-1f);
  y = fmaf(y, m, 1.1676998740e-1f);
  y = fmaf(y, m, -1.2420140846e-1f);
  y = fmaf(y, m, 1.4249322787e-1f);
  y = fmaf(y, m, -1.6668057665e-1f);
  y = fmaf(y, m, 2.0000714765e-1f);
  y = fmaf(y, m, -2.4999993993e-1f);
  y = fmaf(y, m, 3.3333331174e-1f);
  y = fmaf(y * m, z, exponent * -2.12194440e-4f);
  y = fmaf(-z, 0.5f, y);
  return fmaf(exponent, 0.693359375f, m + y);
}

static inline void sine_cosine(float x, float *sine, float *cosine) {
  int32_t octant = ((int32_t)(x * 1.27323954473516f) + 1) & ~1; /* 4 / pi */
  float k = (float)octant;
  x = fmaf(k, -0.78515625f, x);
  x = fmaf(k, -2.4187564849853515625e-4f, x);
  x = fmaf(k, -3.77489497744594108e-8f, x);
  float z = x * x;
  float c = fmaf(2.443315711809948e-5f, z, -1.388731625493765e-3f);
  c = fmaf(c, z, 4.166664568298827e-2f) * z;
  c = fmaf(c, z, -(z * 0.5f)) + 1.0f;
  float s = fmaf(-1.9515295891e-4f, z, 8.3321608736e-3f);
  s = fmaf(s, z, -1.6666654611e-1f) * z;
  s = fmaf(s, x, x);
  bool swap = octant & 2;
  float sin_value = swap ? c : s, cos_value = swap ? s : c;
  *sine = octant & 4 ? -sin_value : sin_value;
  *cosine = (octant + 2) & 4 ? -cos_value : cos_value;
}

#define LANES 128 /* radii of 16 groups side by side */

static void normal_groups_float(float *data, int64_t n, float mean, float std) {
  float a[LANES], b[LANES];
  for (int64_t at = 0; at < n; at += 2 * LANES) {
    int64_t count = n - at < 2 * LANES ? (n - at) / 2 : LANES;
    float *group = data + at;
    for (int64_t i = 0; i < count; i++) {
      a[i] = group[i / 8 * 16 + i % 8];
      b[i] = group[i / 8 * 16 + i % 8 + 8];
    }
    for (int64_t i = 0; i < count; i++) {
      float radius = sqrtf(-2.0f * log_unit(1.0f - a[i]));
      float sine, cosine;
      sine_cosine((float)(2.0 * PI) * b[i], &sine, &cosine);
      a[i] = fmaf(radius * cosine, std, mean);
      b[i] = fmaf(radius * sine, std, mean);
    }
    for (int64_t i = 0; i < count; i++) {
      group[i / 8 * 16 + i % 8] = a[i];
      group[i / 8 * 16 + i % 8 + 8] = b[i];
    }
  }
}

static void normal_groups_double(double *data, int64_t n, double mean, double std) {
  for (int64_t at = 0; at < n; at += 16) {
    for (int64_t i = at; i < at + 8; i++) {
      double radius = sqrt(-2.0 * log(1.0 - data[i])), theta = 2.0 * PI * data[i + 8];
      data[i] = fma(radius * cos(theta), std, mean);
      data[i + 8] = fma(radius * sin(theta), std, mean);
    }
  }
}

const LpRandomKernels LP_SIMD(lp_random_kernels) = {
    .uniform_float = uniform_float,
    .uniform_double = uniform_double,
    .bernoulli = bernoulli,
    .exponential_float = exponential_float,
    .normal_groups_float = normal_groups_float,
    .normal_groups_double = normal_groups_double,
};
