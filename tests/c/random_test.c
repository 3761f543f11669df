/* The generator's streams against values printed by PyTorch 2.15 (CPU) with
 * torch.manual_seed(0). */
#include "core/generator.h"
#include "cpu/random.h"
#include "lampad/random.h"
#include "test.h"

static LpGenerator *seeded(uint64_t seed) {
  LpGenerator *g = lp_default_generator();
  lp_generator_seed(g, seed);
  return g;
}

static void fill(LpRandomFill how, void *data, int64_t n) {
  how.generator = seeded(0);
  lp_cpu_random_fill(&how, data, (int64_t)lp_dtype_size(how.dtype), n);
}

TEST(random_uniform_stream) {
  float f[4];
  fill((LpRandomFill){.kind = LP_RANDOM_UNIFORM, .dtype = LP_FLOAT32, .b = 1}, f, 4);
  EXPECT(f[0] == 0x1.fc2abp-2f && f[1] == 0x1.89545ep-1f && f[2] == 0x1.6a675p-4f &&
         f[3] == 0x1.0e66p-3f);
  fill(
      (LpRandomFill){.kind = LP_RANDOM_UNIFORM, .dtype = LP_FLOAT32, .a = -0.3, .b = 2.1},
      f, 3);
  EXPECT(f[0] == 0x1.c83336p-1f && f[1] == 0x1.8b3208p+0f && f[2] == -0x1.670814p-4f);
  double d[3];
  fill((LpRandomFill){.kind = LP_RANDOM_UNIFORM, .dtype = LP_FLOAT64, .b = 1}, d, 3);
  EXPECT(d[0] == 0x1.f0aac97c4aa2fp-1 && d[1] == 0x1.6a675d821ccc0p-1 &&
         d[2] == 0x1.d6687b744a5f6p-2);
}

TEST(random_normal_stream) {
  float f[20];
  fill((LpRandomFill){.kind = LP_RANDOM_NORMAL, .dtype = LP_FLOAT32, .b = 1}, f, 5);
  EXPECT(f[0] == 0x1.8a7eb8p+0f && f[1] == -0x1.2c78ap-2f && f[2] == -0x1.16e292p+1f &&
         f[3] == 0x1.23096cp-1f && f[4] == -0x1.15a342p+0f);
  lp_cpu_random_normal(seeded(0), f, LP_FLOAT32, 20, 0, 1);
  EXPECT(f[0] == -0x1.20370ap+0f && f[3] == -0x1.bc4abap-2f && f[4] == 0x1.329b16p-1f &&
         f[15] == -0x1.aff666p-1f && f[19] == 0x1.b83674p-5f);
  double d[20];
  lp_cpu_random_normal(seeded(0), d, LP_FLOAT64, 20, 0, 1);
  EXPECT(d[0] == -0x1.27bb92e9262dcp+1 && d[4] == -0x1.471a3c0e2f22ap-6 &&
         d[19] == -0x1.7ff1c81c48b11p-1);
  uint16_t h[20];
  lp_cpu_random_normal(seeded(0), h, LP_FLOAT16, 20, 0, 1);
  EXPECT(h[0] == 0xbc81 && h[19] == 0xbac0);
}

TEST(random_integer_stream) {
  static const int64_t expected[8] = {4, 9, 3, 0, 3, 9, 7, 3};
  int64_t v[8];
  fill((LpRandomFill){.kind = LP_RANDOM_INTEGER, .dtype = LP_INT64, .range = 10}, v, 8);
  EXPECT(!memcmp(v, expected, sizeof v));
  static const int64_t permutation[8] = {4, 0, 7, 3, 2, 5, 1, 6};
  lp_cpu_random_permutation(seeded(0), v, LP_INT64, 8);
  EXPECT(!memcmp(v, permutation, sizeof v));
}

TEST(random_discrete_streams) {
  static const uint8_t expected[8] = {0, 0, 1, 0, 0, 0, 1, 1};
  uint8_t b[8];
  fill((LpRandomFill){.kind = LP_RANDOM_BERNOULLI, .dtype = LP_BOOL, .a = 0.5}, b, 8);
  EXPECT(!memcmp(b, expected, sizeof b));
  LpGenerator *g = seeded(0);
  EXPECT(lp_cpu_random_poisson(g, 0.5) == 2);
  EXPECT(lp_cpu_random_poisson(g, 3) == 4);
  EXPECT(lp_cpu_random_poisson(g, 20) == 21);
  EXPECT(lp_cpu_random_poisson(g, 100) == 99);
}

TEST(random_state_round_trip) {
  LpGenerator *g = lp_generator_new(7);
  uint32_t skipped[700];
  uint8_t state[LP_GENERATOR_STATE_BYTES];
  lp_random_words(g, skipped, 700);
  double kept = lp_random_normal(g);
  lp_generator_get_state(g, state);
  double normals[3];
  for (int i = 0; i < 3; i++) normals[i] = lp_random_normal(g);
  LpGenerator *other = lp_generator_new(1);
  EXPECT(lp_generator_set_state(other, state, sizeof state));
  for (int i = 0; i < 3; i++) EXPECT(lp_random_normal(other) == normals[i]);
  EXPECT(isfinite(kept) && lp_generator_initial_seed(other) == 7);
  EXPECT_FAILS(lp_generator_set_state(other, state, 100), LP_ERR_ARGUMENT, "5056 bytes");
  memset(state, 0xff, sizeof state);
  EXPECT_FAILS(lp_generator_set_state(other, state, sizeof state), LP_ERR_ARGUMENT,
               "mt19937");
  EXPECT(lp_random_normal(other) ==
         lp_random_normal(g)); /* a refused state changes nothing */
  lp_generator_release(other);
  lp_generator_release(g);
}

/* PyTorch: torch.manual_seed(0); torch.randn(3); torch.get_rng_state().long().sum() */
TEST(random_state_bytes) {
  LpGenerator *g = seeded(0);
  for (int i = 0; i < 3; i++) lp_random_normal(g);
  uint8_t state[LP_GENERATOR_STATE_BYTES];
  lp_generator_get_state(g, state);
  int64_t sum = 0;
  for (size_t i = 0; i < sizeof state; i++) sum += state[i];
  EXPECT(sum == 312882);
}
