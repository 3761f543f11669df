/* Dtypes, promotion, and the half conversions, exhaustively where there are few values.
 */
#include "core/half.h"
#include "test.h"
#ifdef __x86_64__
#include <immintrin.h>
#endif

TEST(dtype_names_and_sizes) {
  EXPECT(strcmp(lp_dtype_name(LP_FLOAT32), "float32") == 0);
  EXPECT(strcmp(lp_dtype_name(LP_BFLOAT16), "bfloat16") == 0);
  EXPECT(strcmp(lp_dtype_name(LP_DTYPE_NONE), "none") == 0);
  EXPECT(lp_dtype_size(LP_BOOL) == 1 && lp_dtype_size(LP_FLOAT16) == 2 &&
         lp_dtype_size(LP_INT32) == 4);
  EXPECT(lp_dtype_size(LP_COMPLEX64) == 8 && lp_dtype_size(LP_COMPLEX128) == 16);
  EXPECT(lp_dtype_is_floating(LP_BFLOAT16) && !lp_dtype_is_floating(LP_COMPLEX64) &&
         !lp_dtype_is_floating(LP_INT8));
  EXPECT(lp_dtype_is_integral(LP_UINT8, false) && !lp_dtype_is_integral(LP_BOOL, false) &&
         lp_dtype_is_integral(LP_BOOL, true));
  EXPECT(lp_dtype_to_real(LP_COMPLEX128) == LP_FLOAT64 &&
         lp_dtype_to_complex(LP_FLOAT32) == LP_COMPLEX64);
}

TEST(dtype_promotion_is_a_lattice) {
  EXPECT(lp_promote_types(LP_UINT8, LP_INT8) == LP_INT16);
  EXPECT(lp_promote_types(LP_INT64, LP_FLOAT16) == LP_FLOAT16);
  EXPECT(lp_promote_types(LP_FLOAT16, LP_BFLOAT16) == LP_FLOAT32);
  EXPECT(lp_promote_types(LP_FLOAT64, LP_COMPLEX64) == LP_COMPLEX128);
  EXPECT(lp_promote_types(LP_BOOL, LP_UINT8) == LP_UINT8);
  for (int a = 0; a < LP_DTYPE_COUNT; a++) {
    EXPECT(lp_promote_types(a, a) == (LpDtype)a);
    for (int b = 0; b < LP_DTYPE_COUNT; b++) {
      EXPECT(lp_promote_types(a, b) == lp_promote_types(b, a));
      LpDtype ab = lp_promote_types(a, b);
      EXPECT(lp_promote_types(ab, a) == ab);
    }
  }
}

TEST(dtype_default_is_settable) {
  EXPECT(lp_default_dtype() == LP_FLOAT32);
  EXPECT(lp_set_default_dtype(LP_FLOAT64));
  EXPECT(lp_scalar_dtype(lp_scalar_float(1)) == LP_FLOAT64);
  EXPECT(lp_scalar_dtype(lp_scalar_complex(1, 1)) == LP_COMPLEX128);
  EXPECT(lp_set_default_dtype(LP_FLOAT32));
  EXPECT_FAILS(lp_set_default_dtype(LP_INT32), LP_ERR_TYPE, "floating");
  EXPECT(lp_scalar_dtype(lp_scalar_int(1)) == LP_INT64 &&
         lp_scalar_dtype(lp_scalar_bool(true)) == LP_BOOL);
}

/* Every half survives a round trip; NaN stays NaN. */
TEST(dtype_half_round_trip) {
  int bad = 0;
  for (int i = 0; i < 65536; i++) {
    uint16_t h = (uint16_t)i;
    float f = lp_half_to_float(h);
    bool is_nan = (h & 0x7c00) == 0x7c00 && (h & 0x3ff);
    if (is_nan ? !isnan(f) || !isnan(lp_half_to_float(lp_half_from_float(f)))
               : lp_half_from_float(f) != h)
      bad++;
    float b = lp_bf16_to_float(h);
    bool b_nan = (h & 0x7f80) == 0x7f80 && (h & 0x7f);
    if (b_nan ? !isnan(b) : lp_bf16_from_float(b) != h) bad++;
  }
  EXPECT(bad == 0);
}

TEST(dtype_half_rounds_to_nearest_even) {
  EXPECT(lp_half_from_float(1.0f) == 0x3c00 && lp_half_from_float(-2.0f) == 0xc000);
  EXPECT(lp_half_from_float(65504.0f) == 0x7bff &&
         lp_half_from_float(65519.99f) == 0x7bff);
  EXPECT(lp_half_from_float(65520.0f) == 0x7c00 && lp_half_from_float(-1e10f) == 0xfc00);
  EXPECT(lp_half_from_float(2049.0f) ==
         lp_half_from_float(2048.0f)); /* a tie goes to the even one */
  EXPECT(lp_half_from_float(2051.0f) == lp_half_from_float(2052.0f));
  EXPECT(lp_half_from_float(0x1p-24f) == 1 && lp_half_from_float(0x1p-25f) == 0);
  EXPECT(lp_half_from_float(0x1.8p-25f) == 1 && lp_half_from_float(-0.0f) == 0x8000);
  EXPECT(lp_half_from_float(0x1.ffcp-15f) ==
         0x0400); /* a denormal that rounds up to a normal */
  EXPECT(lp_bf16_from_float(1.0f) == 0x3f80 && lp_bf16_from_float(INFINITY) == 0x7f80);
  EXPECT(lp_bf16_from_float(lp_float_from_bits(0x3f808000u)) == 0x3f80);
  EXPECT(lp_bf16_from_float(lp_float_from_bits(0x3f818000u)) == 0x3f82);
  EXPECT(lp_bf16_from_float(lp_float_from_bits(0x7f7fffffu)) == 0x7f80);
  EXPECT(isnan(lp_bf16_to_float(lp_bf16_from_float(NAN))));
}

#ifdef __x86_64__
__attribute__((target("f16c"))) static int differences_from_hardware(void) {
  int bad = 0;
  for (uint64_t u = 0; u < (uint64_t)1 << 32; u += 65521) {
    const float f = lp_float_from_bits((uint32_t)u);
    if (lp_half_from_float(f) != (uint16_t)_cvtss_sh(f, _MM_FROUND_TO_NEAREST_INT)) bad++;
  }
  for (uint32_t h = 0; h < 65536; h++)
    if (lp_float_bits(lp_half_to_float((uint16_t)h)) !=
        lp_float_bits(_cvtsh_ss((uint16_t)h)))
      bad++;
  return bad;
}
#endif

/* Our conversions and the hardware's agree on all halves and a sweep of floats. */
TEST(dtype_half_is_as_in_hardware) {
#ifdef __x86_64__
  if (__builtin_cpu_supports("f16c")) EXPECT(differences_from_hardware() == 0);
#endif
}
