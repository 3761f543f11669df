/* Remainders and whole quotients against the C library's fmod and integer division, near
 * and far (Note [Near and far quotients]), in place, too. */
#include "dispatch/pointwise.h"
#include "dispatch/shape.h"
#include <stdlib.h>
#include "lampad/memory.h"
#include "lampad/ops.h"
#include "test.h"

enum { COUNT = 20000 };
static const double specials[] = {
    0.0,      -0.0,   1.0,       -1.0,      INFINITY, -INFINITY, NAN,      0.5,
    -2.5,     7.0,    0x1p-1074, 0x1p-149,  0.1,      -0.1,      0x1p1023, 0x1p127,
    -0x1p127, 0x1p53, 1e17,      0x1.ep-30, 1048576,  0x1p21,    -0x1p23,  3.0};
enum { SPECIALS = sizeof specials / sizeof *specials };

static uint64_t state;
static uint64_t draw(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return state ^ (state >> 29);
}
/* Of random sign and size, often a whole number. */
static double draw_real(int exponents) {
  double x = ldexp((double)(draw() >> 11) * 0x1p-53, (int)(draw() % exponents) - 8);
  if (draw() & 1) x = rint(x);
  return draw() & 1 ? x : -x;
}

static double python_remainder(double a, double b) {
  const double mod = fmod(a, b);
  return mod != 0 && (b < 0) != (mod < 0) ? mod + b : mod;
}
static bool same(double a, double b) {
  return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

static void check_reals(LpDtype dtype, int exponents) {
  LpTensor *a = lp_tensor_new(lp_ints((const int64_t[]){COUNT}, 1), LP_FLOAT64, lp_cpu());
  LpTensor *b = lp_tensor_new(lp_ints((const int64_t[]){COUNT}, 1), LP_FLOAT64, lp_cpu());
  double *as = lp_data(a), *bs = lp_data(b);
  for (int i = 0; i < COUNT; i++) {
    as[i] = draw_real(exponents);
    bs[i] = i % 4 ? draw_real(8) : as[i] / (double)(draw() % 1000 + 1);
    if (i >= SPECIALS * SPECIALS) continue;
    as[i] = specials[i / SPECIALS];
    bs[i] = specials[i % SPECIALS];
  }
  LpTensor *x = lp_cast_raw(a, dtype), *y = lp_cast_raw(b, dtype);
  LpTensor *rest = lp_fmod(x, y), *mod = lp_remainder(x, y),
           *whole = lp_floor_divide(x, y);
  LpTensor *in_place = lp_clone(x, LP_PRESERVE);
  EXPECT(lp_remainder_(in_place, y));
  LpTensor *results[] = {lp_cast_raw(rest, LP_FLOAT64), lp_cast_raw(mod, LP_FLOAT64),
                         lp_cast_raw(whole, LP_FLOAT64),
                         lp_cast_raw(in_place, LP_FLOAT64)};
  for (int i = 0; i < COUNT; i++) {
    double p = as[i], q = bs[i];
    if (dtype == LP_FLOAT32) p = (float)p, q = (float)q;
    double want = python_remainder(p, q);
    if (dtype == LP_FLOAT32) want = (float)want;
    const double got[] = {
        ((double *)lp_data(results[0]))[i], ((double *)lp_data(results[1]))[i],
        ((double *)lp_data(results[2]))[i], ((double *)lp_data(results[3]))[i]};
    bool good = same(got[0], fmod(p, q)) && same(got[1], want) && same(got[3], want);
    /* The quotient is whole, and where it is small the nearest below. */
    good = good && (!isfinite(got[2]) || got[2] == floor(got[2]));
    if (q != 0 && isfinite(q) && fabs(p / q) < 1e6)
      good = good && got[2] == rint((p - python_remainder(p, q)) / q);
    if (!good)
      test_failure(__FILE__, __LINE__, "%s: %a, %a: %a %a %a %a", lp_dtype_name(dtype), p,
                   q, got[0], got[1], got[2], got[3]);
  }
  LpTensor *all[] = {in_place, a,     b,          x,          y,          rest,
                     mod,      whole, results[0], results[1], results[2], results[3]};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) lp_tensor_release(all[i]);
}

TEST(quotients_of_reals) {
  state = 1;
  check_reals(LP_FLOAT32, 40);
  check_reals(LP_FLOAT64, 80);
}

TEST(quotients_of_integers) {
  state = 2;
  const int64_t limits[] = {INT64_MIN, INT64_MAX, INT64_MIN + 1, (int64_t)1 << 52,
                            -((int64_t)1 << 52)};
  LpTensor *a = lp_tensor_new(lp_ints((const int64_t[]){COUNT}, 1), LP_INT64, lp_cpu());
  LpTensor *b = lp_tensor_new(lp_ints((const int64_t[]){COUNT}, 1), LP_INT64, lp_cpu());
  int64_t *as = lp_data(a), *bs = lp_data(b);
  for (int i = 0; i < COUNT; i++) {
    as[i] = (int64_t)draw() >> (draw() % 64);
    bs[i] = (int64_t)draw() >> (draw() % 64);
    if (i % 3 == 0) bs[i] = bs[i] % 100;
    if (bs[i] == 0) bs[i] = 1;
    if (i % 5 == 0) as[i] = as[i] / bs[i] * (bs[i] == -1 ? 1 : bs[i]) - (i & 1);
    if (i % 7 == 0) as[i] = limits[draw() % 5];
    if (i % 11 == 0) bs[i] = limits[draw() % 5];
  }
  for (int bits = 8; bits <= 64; bits *= 2) {
    const LpDtype dtype = bits == 8    ? LP_INT8
                          : bits == 16 ? LP_INT16
                          : bits == 32 ? LP_INT32
                                       : LP_INT64;
    const uint64_t wrap = 64 - (uint64_t)bits;
    for (int i = 0; i < COUNT; i++) { /* narrow the numbers, never to a zero divisor */
      as[i] = (int64_t)((uint64_t)as[i] << wrap) >> wrap;
      const int64_t narrow = (int64_t)((uint64_t)bs[i] << wrap) >> wrap;
      bs[i] = narrow ? narrow : 3;
    }
    LpTensor *x = lp_cast_raw(a, dtype), *y = lp_cast_raw(b, dtype);
    LpTensor *r[] = {lp_div_mode(x, y, "trunc"), lp_fmod(x, y), lp_floor_divide(x, y),
                     lp_remainder(x, y)};
    LpTensor *wide[4];
    for (int k = 0; k < 4; k++) wide[k] = lp_cast_raw(r[k], LP_INT64);
    for (int i = 0; i < COUNT; i++) {
      const int64_t p = as[i], q = bs[i];
      int64_t quotient = q == -1 ? (int64_t)(0 - (uint64_t)p) : p / q;
      quotient = (int64_t)((uint64_t)quotient << wrap) >> wrap;
      const int64_t rest = q == -1 ? 0 : p % q;
      const bool below = rest != 0 && (rest < 0) != (q < 0);
      const int64_t want[] = {quotient, rest, quotient - below, below ? rest + q : rest};
      for (int k = 0; k < 4; k++)
        if (((int64_t *)lp_data(wide[k]))[i] != want[k])
          test_failure(__FILE__, __LINE__, "%d bits, %lld, %lld: result %d is %lld", bits,
                       (long long)p, (long long)q, k,
                       (long long)((int64_t *)lp_data(wide[k]))[i]);
    }
    for (int k = 0; k < 4; k++) lp_tensor_release(r[k]), lp_tensor_release(wide[k]);
    lp_tensor_release(x);
    lp_tensor_release(y);
    if (bits == 64) break;
    /* wider numbers again for the next type */
    for (int i = 0; i < COUNT; i++) {
      as[i] = i % 7 ? (int64_t)draw() >> (draw() % 64) : limits[draw() % 5];
      bs[i] = i % 5 ? (int64_t)draw() >> (draw() % 64) : (int64_t)(draw() % 19) - 9;
      if (bs[i] == 0) bs[i] = -1;
    }
  }
  lp_tensor_release(a);
  lp_tensor_release(b);
}
