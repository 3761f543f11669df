/* Random generators: life, seeding, PyTorch's state bytes, and the stream of words. */
#include "core/generator.h"

#include <math.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include "core/alloc.h"
#include "core/check.h"
#include "core/thread.h"
#include "cpu/random.h"

#define DEFAULT_SEED                                                                     \
  67280421310721ull /* the seed PyTorch documents for default generators */

/* PyTorch's CPUGeneratorImplState, byte for byte: what torch.get_rng_state() returns. */
typedef struct StateBytes {
  uint64_t seed;
  int32_t left, seeded;
  uint64_t next;
  uint64_t state[LP_MT_WORDS];
  double normal_x, normal_y,
      normal_rho; /* only normal_y is in use: the double Box-Muller slot */
  int32_t normal_is_valid;
  float normal_float;
  uint8_t normal_float_is_valid, unused[7];
} StateBytes;
_Static_assert(sizeof(StateBytes) == LP_GENERATOR_STATE_BYTES,
               "PyTorch's state is 5056 bytes");

static void seed_words(LpGenerator *g, uint64_t seed) {
  g->seed = seed;
  g->state[0] = (uint32_t)seed;
  for (uint32_t j = 1; j < LP_MT_WORDS; j++)
    g->state[j] = 1812433253u * (g->state[j - 1] ^ (g->state[j - 1] >> 30)) + j;
  g->left = 1;
  g->next = 0;
  g->has_normal_float = g->has_normal_double = false;
}

static LpGenerator default_generator = {.refcount = 1, .lock = PTHREAD_MUTEX_INITIALIZER};

__attribute__((constructor)) static void seed_default_generator(void) {
  seed_words(&default_generator, DEFAULT_SEED);
}

LpGenerator *lp_default_generator(void) {
  if (lp_tls_thread && lp_tls_thread->generator) return lp_tls_thread->generator;
  return &default_generator;
}

LpGenerator *lp_generator_new(uint64_t seed) {
  LpGenerator *g = lp_calloc(sizeof *g);
  if (!g) return NULL;
  atomic_init(&g->refcount, 1);
  pthread_mutex_init(&g->lock, NULL);
  seed_words(g, seed);
  return g;
}

LpGenerator *lp_generator_retain(LpGenerator *g) {
  if (g) atomic_fetch_add_explicit(&g->refcount, 1, memory_order_relaxed);
  return g;
}

void lp_generator_release(LpGenerator *g) {
  if (!g || atomic_fetch_sub_explicit(&g->refcount, 1, memory_order_acq_rel) != 1) return;
  pthread_mutex_destroy(&g->lock);
  lp_free(g, sizeof *g);
}

LpGenerator *lp_generator_lock(LpGenerator *g) {
  if (!g) g = lp_default_generator();
  pthread_mutex_lock(&g->lock);
  return g;
}

void lp_generator_unlock(LpGenerator *g) {
  pthread_mutex_unlock(&g->lock);
}

/* Moves all that draws read between the two. */
static void copy_stream(LpGenerator *to, const LpGenerator *from) {
  to->seed = from->seed;
  to->left = from->left;
  to->next = from->next;
  memcpy(to->state, from->state, sizeof to->state);
  to->has_normal_float = from->has_normal_float;
  to->has_normal_double = from->has_normal_double;
  to->normal_float = from->normal_float;
  to->normal_double = from->normal_double;
}

void lp_generator_swap(LpGenerator *a, LpGenerator *b) {
  if (a == b) return;
  LpGenerator kept;
  pthread_mutex_lock(a < b ? &a->lock : &b->lock); /* in one order, whoever calls */
  pthread_mutex_lock(a < b ? &b->lock : &a->lock);
  copy_stream(&kept, a);
  copy_stream(a, b);
  copy_stream(b, &kept);
  pthread_mutex_unlock(&a->lock);
  pthread_mutex_unlock(&b->lock);
}

void lp_generator_seed(LpGenerator *g, uint64_t seed) {
  lp_generator_lock(g);
  seed_words(g, seed);
  lp_generator_unlock(g);
}

uint64_t lp_generator_seed_random(LpGenerator *g) {
  uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    seed = (uint64_t)now.tv_sec * 1000000007ull ^ (uint64_t)now.tv_nsec;
  }
  seed &= (UINT64_C(1) << 53) - 1; /* as PyTorch: a seed that a double holds exactly */
  lp_generator_seed(g, seed);
  return seed;
}

uint64_t lp_generator_initial_seed(const LpGenerator *g) {
  return g->seed;
}

void lp_generator_get_state(const LpGenerator *generator, uint8_t *state) {
  LpGenerator *g = lp_generator_lock((LpGenerator *)generator);
  StateBytes s = {.seed = g->seed, .left = g->left, .seeded = 1, .next = g->next};
  for (int j = 0; j < LP_MT_WORDS; j++) s.state[j] = g->state[j];
  s.normal_is_valid = g->has_normal_double;
  s.normal_y = g->has_normal_double ? g->normal_double : 0;
  s.normal_float_is_valid = g->has_normal_float;
  s.normal_float = g->has_normal_float ? g->normal_float : 0;
  lp_generator_unlock(g);
  memcpy(state, &s, sizeof s);
}

bool lp_generator_set_state(LpGenerator *g, const uint8_t *state, size_t size_bytes) {
  CHECK(size_bytes == LP_GENERATOR_STATE_BYTES, LP_ERR_ARGUMENT,
        "a random state has %d bytes, got %zu: pass what get_rng_state() returned",
        LP_GENERATOR_STATE_BYTES, size_bytes);
  StateBytes s;
  memcpy(&s, state, sizeof s);
  bool valid = s.seeded == 1 && s.left > 0 && s.left <= LP_MT_WORDS &&
               s.next <= LP_MT_WORDS &&
               (s.left == 1 || s.next + (uint64_t)s.left <= LP_MT_WORDS + 1);
  CHECK(valid, LP_ERR_ARGUMENT,
        "the bytes are no state of an mt19937 generator: pass what get_rng_state() "
        "returned");
  lp_generator_lock(g);
  g->seed = s.seed;
  g->left = s.left;
  g->next = (uint32_t)s.next;
  for (int j = 0; j < LP_MT_WORDS; j++) g->state[j] = (uint32_t)s.state[j];
  g->has_normal_double = s.normal_is_valid != 0;
  g->normal_double = s.normal_y;
  g->has_normal_float = s.normal_float_is_valid != 0;
  g->normal_float = s.normal_float;
  lp_generator_unlock(g);
  return true;
}

LP_DISPATCH(LpMt19937Kernels, lp_mt19937_kernels)

void lp_random_words(LpGenerator *g, uint32_t *out, int64_t n) {
  const LpMt19937Kernels *kernels = lp_mt19937_kernels();
  while (n > 0) {
    if (g->left == 1) { /* `left` counts one more than the words that remain */
      kernels->advance(g->state);
      g->left = LP_MT_WORDS + 1;
      g->next = 0;
    }
    int64_t take = g->left - 1 < n ? g->left - 1 : n;
    kernels->temper(out, g->state + g->next, take);
    out += take;
    n -= take;
    g->next += (uint32_t)take;
    g->left -= (int32_t)take;
  }
}

double lp_random_normal(LpGenerator *g) {
  if (g->has_normal_double) {
    g->has_normal_double = false;
    return g->normal_double;
  }
  double u1 = lp_random_double(g), u2 = lp_random_double(g);
  double radius = sqrt(-2.0 * log1p(-u2)), theta = 2.0 * 3.14159265358979323846 * u1;
  g->normal_double = radius * sin(theta);
  g->has_normal_double = true;
  return radius * cos(theta);
}
