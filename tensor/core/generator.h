/* The random generator: PyTorch's CPU generator, a 32-bit Mersenne twister (mt19937,
 * Matsumoto and Nishimura 1998) with the two slots in which Box-Muller keeps its second
 * value.
 *
 * Note [Locking generators]: a generator may be shared between threads. Whoever draws
 * holds its lock for the whole op (lp_generator_lock ... lp_generator_unlock), so that
 * one op's numbers are one unbroken run of the stream; the lp_random_* functions do not
 * lock. Owned by generator.c. */
#ifndef LP_CORE_GENERATOR_H
#define LP_CORE_GENERATOR_H

#include <pthread.h>
#include <stdatomic.h>
#include "lampad/random.h"

#define LP_MT_WORDS 624

struct LpGenerator {
  _Atomic int32_t refcount;
  pthread_mutex_t lock;
  uint64_t seed;
  int32_t left;  /* PyTorch's counters: draws until the next twist plus one, */
  uint32_t next; /* and the next word to hand out */
  uint32_t state[LP_MT_WORDS];
  bool has_normal_float, has_normal_double;
  float normal_float;
  double normal_double;
};

/* NULL stands for the default generator; returns the generator locked. */
LpGenerator *lp_generator_lock(LpGenerator *g_or_null);
void lp_generator_unlock(LpGenerator *g);

/* n words of the stream, tempered. */
void lp_random_words(LpGenerator *g, uint32_t *out, int64_t n);

static inline uint32_t lp_random_32(LpGenerator *g) {
  uint32_t word;
  lp_random_words(g, &word, 1);
  return word;
}
/* The first word drawn is the high half. */
static inline uint64_t lp_random_64(LpGenerator *g) {
  uint32_t w[2];
  lp_random_words(g, w, 2);
  return (uint64_t)w[0] << 32 | w[1];
}
/* 53 random bits in [0, 1). */
static inline double lp_random_double(LpGenerator *g) {
  return (double)(lp_random_64(g) & ((UINT64_C(1) << 53) - 1)) * 0x1p-53;
}
/* A standard normal by Box-Muller in double, through the generator's slot. */
double lp_random_normal(LpGenerator *g);

#endif
