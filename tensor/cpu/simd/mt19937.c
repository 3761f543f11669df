/* The Mersenne twister's two loops, in a form that vectorises: the step to the next 624
 * words and the tempering of words on their way out. Called by core/generator.c. */
#include "cpu/simd/simd.h"

#include "cpu/random.h"

#define WORDS 624
#define SHIFT 397

static inline uint32_t twist(uint32_t far, uint32_t high, uint32_t low) {
  uint32_t mixed = (high & 0x80000000u) | (low & 0x7fffffffu);
  return far ^ (mixed >> 1) ^ ((0u - (low & 1u)) & 0x9908b0dfu);
}

/* Word j needs words j, j + 1 and j + 397, all modulo 624; each loop reads ahead of what
 * it writes or 227 words behind it, so vectors up to 227 lanes see the values the plain
 * order would. */
static void advance(uint32_t *restrict state) {
  LP_IVDEP
  for (int j = 0; j < WORDS - SHIFT; j++)
    state[j] = twist(state[j + SHIFT], state[j], state[j + 1]);
  LP_IVDEP
  for (int j = WORDS - SHIFT; j < 2 * (WORDS - SHIFT); j++)
    state[j] = twist(state[j + SHIFT - WORDS], state[j], state[j + 1]);
  LP_IVDEP
  for (int j = 2 * (WORDS - SHIFT); j < WORDS - 1; j++)
    state[j] = twist(state[j + SHIFT - WORDS], state[j], state[j + 1]);
  state[WORDS - 1] = twist(state[SHIFT - 1], state[WORDS - 1], state[0]);
}

static void temper(uint32_t *restrict out, const uint32_t *restrict state, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    uint32_t y = state[i];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    out[i] = y ^ (y >> 18);
  }
}

const LpMt19937Kernels LP_SIMD(lp_mt19937_kernels) = {.advance = advance,
                                                      .temper = temper};
