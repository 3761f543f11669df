/* Plans of Fourier transforms and their cache; see fft_plan.h. */
#include "cpu/fft_plan.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include "core/alloc.h"
#include "core/check.h"

/* --- memory ------------------------------------------------------------------------- */

/* Tables of a plan are chained, so that releasing one needs no list of its members. */
typedef struct LpFftBlock {
  struct LpFftBlock *next;
  size_t capacity_bytes;
} LpFftBlock;

static void *plan_alloc(LpFftPlan *plan, size_t size_bytes) {
  size_t capacity;
  LpFftBlock *block = lp_block_alloc(size_bytes + LP_ALIGNMENT, &capacity);
  if (!block) return NULL;
  block->next = plan->blocks;
  block->capacity_bytes = capacity;
  plan->blocks = block;
  plan->size_bytes += capacity;
  return (char *)block + LP_ALIGNMENT;
}

static void plan_free(LpFftPlan *plan) {
  if (plan->inner) lp_fft_plan_release(plan->inner);
  if (plan->half) lp_fft_plan_release(plan->half);
  for (LpFftBlock *block = plan->blocks, *next; block; block = next) {
    next = block->next;
    lp_block_free(block, block->capacity_bytes);
  }
  lp_free(plan, sizeof *plan);
}

void lp_fft_plan_release(LpFftPlan *plan) {
  if (plan && atomic_fetch_sub_explicit(&plan->refcount, 1, memory_order_acq_rel) == 1)
    plan_free(plan);
}

/* --- roots of unity ----------------------------------------------------------------- */

/* cos and sin of 2 pi k / n, the argument brought into [0, pi/4] by whole numbers first.
 */
static void unit_root(uint64_t k, uint64_t n, double *re, double *im) {
  const double turn = 6.283185307179586476925;
  unsigned __int128 eighths = (unsigned __int128)(k % n) * 8;
  int octant = (int)(eighths / n);
  uint64_t rest = (uint64_t)(eighths % n);
  /* Odd octants count back from the next axis or diagonal. */
  double angle = turn * (double)(octant % 2 ? n - rest : rest) / (8.0 * (double)n);
  double c = cos(angle), s = sin(angle), x = c, y = s;
  if ((octant + 1) / 2 % 2) x = s, y = c;
  *re = octant >= 2 && octant < 6 ? -x : x;
  *im = octant >= 4 ? -y : y;
}

/* All powers of exp(-2 pi i / n) as products of two tables of about sqrt(n) entries. */
typedef struct Roots {
  uint64_t n;
  int shift;
  double *high, *low; /* n >> shift and 1 << shift entries */
  size_t capacity;
} Roots;

static bool roots_new(Roots *r, uint64_t n) {
  r->n = n;
  r->shift = 0;
  while ((uint64_t)1 << 2 * r->shift < n) r->shift++;
  uint64_t low = (uint64_t)1 << r->shift, high = (n >> r->shift) + 1;
  r->low = lp_block_alloc((low + high) * 2 * sizeof(double), &r->capacity);
  if (!r->low) return false;
  r->high = r->low + 2 * low;
  for (uint64_t k = 0; k < low; k++) unit_root(k, n, &r->low[2 * k], &r->low[2 * k + 1]);
  for (uint64_t k = 0; k < high; k++)
    unit_root(k << r->shift, n, &r->high[2 * k], &r->high[2 * k + 1]);
  return true;
}

static void roots_free(Roots *r) {
  lp_block_free(r->low, r->capacity);
}

/* Writes exp(-2 pi i k / n), k < n, to entries at and at + apart of a table. */
static void put_root(const Roots *r, uint64_t k, bool is_double, void *table, int64_t at,
                     int64_t apart) {
  const double *a = r->high + 2 * (k >> r->shift),
               *b = r->low + 2 * (k & (((uint64_t)1 << r->shift) - 1));
  double re = a[0] * b[0] - a[1] * b[1], im = -(a[0] * b[1] + a[1] * b[0]);
  if (is_double) {
    ((double *)table)[at] = re;
    ((double *)table)[at + apart] = im;
  } else {
    ((float *)table)[at] = (float)re;
    ((float *)table)[at + apart] = (float)im;
  }
}

static size_t scalar_size(const LpFftPlan *plan) {
  return plan->is_double ? sizeof(double) : sizeof(float);
}

/* --- factors ------------------------------------------------------------------------ */

/* Radices of n: eights, fours, a two, then odd primes; their number, or 0 when a prime is
 * too large. */
static int factorise(int64_t n, int *radices) {
  int count = 0, twos = 0;
  while (n % 2 == 0) n /= 2, twos++;
  /* 2^4 is 4 * 4 rather than 8 * 2, 2^1 alone has to be a two. */
  while (twos >= 3 && twos != 4) radices[count++] = 8, twos -= 3;
  while (twos >= 2) radices[count++] = 4, twos -= 2;
  if (twos) radices[count++] = 2;
  for (int prime = 3; n > 1; prime += 2) {
    if (prime > LP_FFT_MAX_PRIME) return 0;
    while (n % prime == 0) n /= prime, radices[count++] = prime;
  }
  return count;
}

static bool is_smooth(int64_t n) {
  int radices[LP_FFT_MAX_PASSES];
  return n == 1 || factorise(n, radices) > 0;
}

static bool make_lanes(LpFftPlan *plan, LpFftLanes *f, int64_t n) {
  int radices[LP_FFT_MAX_PASSES];
  f->n_passes = n == 1 ? 0 : factorise(n, radices);
  int64_t left = n, s = 1;
  for (int i = 0; i < f->n_passes; i++) {
    LpFftPass *pass = &f->passes[i];
    int radix = radices[i], half = radix / 2;
    *pass = (LpFftPass){.radix = radix, .m = left / radix, .s = s};
    Roots roots;
    TRY(roots_new(&roots, (uint64_t)left));
    void *twiddles =
        plan_alloc(plan, (size_t)(pass->m * (radix - 1) * 2) * scalar_size(plan));
    for (int64_t p = 0, at = 0; twiddles && p < pass->m; p++)
      for (int k = 1; k < radix; k++, at += 2)
        put_root(&roots, (uint64_t)(p * k), plan->is_double, twiddles, at, 1);
    roots_free(&roots);
    TRY(twiddles);
    pass->twiddles = twiddles;
    left /= radix;
    s *= radix;
    if (radix % 2 == 0) continue;
    void *table = plan_alloc(plan, (size_t)(half * half * 2) * scalar_size(plan));
    TRY(table);
    for (int k = 1, at = 0; k <= half; k++)
      for (int j = 1; j <= half; j++, at += 2) {
        double re, im;
        unit_root((uint64_t)(j * k), (uint64_t)radix, &re, &im);
        if (plan->is_double)
          ((double *)table)[at] = re, ((double *)table)[at + 1] = im;
        else
          ((float *)table)[at] = (float)re, ((float *)table)[at + 1] = (float)im;
      }
    pass->roots = table;
  }
  f->n = n; /* last: a plan with n has all its tables */
  return true;
}

static int64_t blocks_of(int64_t n, int lanes) {
  return (n + lanes - 1) / lanes;
}

/* The factor n1 of n that leaves the fewest idle lanes and passes, and both parts short
 * enough for the caches; 0 when there is none. */
static int64_t choose_split(int64_t n, int lanes) {
  int64_t best = 0;
  double best_cost = INFINITY;
  for (int64_t d = 2; d * d <= n; d++) {
    if (n % d) continue;
    for (int turn = 0; turn < 2; turn++) {
      int64_t n1 = turn ? n / d : d, n2 = n / n1;
      double a = (double)(blocks_of(n2, lanes) * n1),
             b = (double)(blocks_of(n1, lanes) * n2);
      double cost = a * (3 + log2((double)n1)) + b * (3 + log2((double)n2));
      cost *= 1 + 0.03 * log2((double)(n1 > n2 ? n1 : n2));
      if (cost < best_cost) best_cost = cost, best = n1;
    }
  }
  return best;
}

static bool make_split(LpFftPlan *plan) {
  int64_t n1 = choose_split(plan->n, plan->lanes);
  if (n1 == 0) return true;
  int64_t n2 = plan->n / n1, lanes = plan->lanes;
  TRY(make_lanes(plan, &plan->first, n1));
  TRY(make_lanes(plan, &plan->second, n2));
  int64_t blocks = blocks_of(n2, plan->lanes);
  size_t item = 2 * scalar_size(plan);
  void *within = plan_alloc(plan, (size_t)(n1 * lanes) * item);
  void *across = plan_alloc(plan, (size_t)(blocks * n1) * item);
  Roots roots;
  TRY(within && across && roots_new(&roots, (uint64_t)plan->n));
  for (int64_t k = 0; k < n1; k++)
    for (int64_t l = 0; l < lanes; l++)
      put_root(&roots, (uint64_t)(l * k) % (uint64_t)plan->n, plan->is_double, within,
               2 * lanes * k + l, lanes);
  for (int64_t block = 0, at = 0; block < blocks; block++)
    for (int64_t k = 0; k < n1; k++, at += 2)
      put_root(&roots, (uint64_t)(block * lanes * k), plan->is_double, across, at, 1);
  roots_free(&roots);
  plan->split_within = within;
  plan->split_across = across;
  plan->n1 = n1;
  plan->n2 = n2;
  return true;
}

/* --- Bluestein ---------------------------------------------------------------------- */

/* The smallest length >= least of the form f 2^k that splits well. */
static int64_t good_length(int64_t least) {
  static const int factors[] = {1, 3, 5, 9, 15, 25};
  int64_t best = INT64_MAX;
  for (int i = 0; i < (int)(sizeof factors / sizeof *factors); i++) {
    int64_t m = (int64_t)factors[i] * 16;
    while (m < least) m *= 2;
    if (m < best) best = m;
  }
  return best;
}

static bool make_bluestein(LpFftPlan *plan) {
  int64_t n = plan->n, m = good_length(2 * n - 1);
  size_t item = 2 * scalar_size(plan);
  TRY(plan->inner = lp_fft_plan(m, plan->is_double, false));
  char *chirp = plan_alloc(plan, (size_t)n * item),
       *filter = plan_alloc(plan, (size_t)m * item);
  size_t capacity;
  Roots roots;
  TRY(chirp && filter && roots_new(&roots, 2 * (uint64_t)n));
  for (int64_t k = 0; k < n; k++) {
    uint64_t square = (uint64_t)((unsigned __int128)k * (uint64_t)k % (2 * (uint64_t)n));
    put_root(&roots, square, plan->is_double, chirp, 2 * k, 1);
  }
  roots_free(&roots);
  /* The filter is the chirp's conjugate, even in k and wrapped round; 1 / m belongs to
   * the way back. */
  memset(filter, 0, (size_t)m * item);
  for (int64_t k = 0; k < n; k++) {
    int64_t to[2] = {k, k ? m - k : 0};
    for (int i = 0; i < 2; i++) {
      if (plan->is_double) {
        ((double *)filter)[2 * to[i]] = ((double *)chirp)[2 * k];
        ((double *)filter)[2 * to[i] + 1] = -((double *)chirp)[2 * k + 1];
      } else {
        ((float *)filter)[2 * to[i]] = ((float *)chirp)[2 * k];
        ((float *)filter)[2 * to[i] + 1] = -((float *)chirp)[2 * k + 1];
      }
    }
  }
  void *work = lp_block_alloc(lp_fft_work_bytes(plan->inner), &capacity);
  TRY(work);
  bool ok =
      lp_fft_transform(plan->inner, filter, filter, true, 1.0 / (double)m, work, false);
  lp_block_free(work, capacity);
  if (!ok) {
    lp_interrupt_take();
    return lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt");
  }
  plan->chirp = chirp;
  plan->filter = filter;
  return true;
}

/* --- plans -------------------------------------------------------------------------- */

static bool make_real(LpFftPlan *plan) {
  int64_t n = plan->n;
  TRY(plan->half = lp_fft_plan(n % 2 ? n : n / 2, plan->is_double, false));
  if (n % 2) return true;
  int64_t count = n / 4 + 1;
  void *table = plan_alloc(plan, (size_t)(count * 2) * scalar_size(plan));
  Roots roots;
  TRY(table && roots_new(&roots, (uint64_t)n));
  for (int64_t k = 0; k < count; k++)
    put_root(&roots, (uint64_t)k, plan->is_double, table, 2 * k, 1);
  roots_free(&roots);
  plan->real = table;
  return true;
}

static LpFftPlan *plan_new(int64_t n, bool is_double, bool is_real) {
  LpFftPlan *plan = lp_calloc(sizeof *plan);
  if (!plan) return NULL;
  plan->n = n;
  plan->is_double = is_double;
  plan->is_real = is_real;
  plan->lanes = lp_fft_kernel_set(is_double)->lanes;
  plan->refcount = 1;
  bool ok;
  if (is_real)
    ok = make_real(plan);
  else if (is_smooth(n))
    ok = make_split(plan) &&
         ((plan->n1 && n > LP_FFT_MAX_DIRECT) || make_lanes(plan, &plan->direct, n));
  else
    ok = make_bluestein(plan);
  if (ok) return plan;
  plan_free(plan);
  return NULL;
}

/* --- cache -------------------------------------------------------------------------- */

#define CACHE_PLANS 64
#define CACHE_BYTES ((size_t)64 << 20)

static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;
static LpFftPlan *cache[CACHE_PLANS]; /* each holds one reference */
static size_t cache_bytes;
static uint64_t cache_clock;

static LpFftPlan *cache_find(int64_t n, bool is_double, bool is_real) {
  int lanes = lp_fft_kernel_set(is_double)->lanes;
  LpFftPlan *found = NULL;
  pthread_mutex_lock(&cache_lock);
  for (int i = 0; i < CACHE_PLANS && !found; i++) {
    LpFftPlan *plan = cache[i];
    if (!plan || plan->n != n || plan->is_double != is_double ||
        plan->is_real != is_real || plan->lanes != lanes)
      continue;
    atomic_fetch_add_explicit(&plan->refcount, 1, memory_order_relaxed);
    plan->used = ++cache_clock;
    found = plan;
  }
  pthread_mutex_unlock(&cache_lock);
  return found;
}

static int free_place(void) {
  for (int i = 0; i < CACHE_PLANS; i++)
    if (!cache[i]) return i;
  return -1;
}

/* That of the plan unused the longest; there is one. */
static int oldest_place(void) {
  int oldest = -1;
  for (int i = 0; i < CACHE_PLANS; i++)
    if (cache[i] && (oldest < 0 || cache[i]->used < cache[oldest]->used)) oldest = i;
  return oldest;
}

static void cache_empty(void) {
  LpFftPlan *dropped[CACHE_PLANS];
  pthread_mutex_lock(&cache_lock);
  memcpy(dropped, cache, sizeof cache);
  memset(cache, 0, sizeof cache);
  cache_bytes = 0;
  pthread_mutex_unlock(&cache_lock);
  for (int i = 0; i < CACHE_PLANS; i++)
    if (dropped[i]) lp_fft_plan_release(dropped[i]);
}

/* Keeps the plan, unless it would fill the cache by itself. Two threads may make the same
 * plan at the same time; both are kept until the older one is dropped. */
static void cache_keep(LpFftPlan *plan) {
  if (plan->size_bytes > CACHE_BYTES / 2) return;
  lp_memory_set_cache_hook(cache_empty);
  LpFftPlan *dropped[CACHE_PLANS];
  int n_dropped = 0;
  pthread_mutex_lock(&cache_lock);
  int at = free_place();
  while (at < 0 || cache_bytes + plan->size_bytes > CACHE_BYTES) {
    at = oldest_place();
    cache_bytes -= cache[at]->size_bytes;
    dropped[n_dropped++] = cache[at];
    cache[at] = NULL;
  }
  atomic_fetch_add_explicit(&plan->refcount, 1, memory_order_relaxed);
  plan->used = ++cache_clock;
  cache[at] = plan;
  cache_bytes += plan->size_bytes;
  pthread_mutex_unlock(&cache_lock);
  for (int i = 0; i < n_dropped; i++) lp_fft_plan_release(dropped[i]);
}

LpFftPlan *lp_fft_plan(int64_t n, bool is_double, bool is_real) {
  LpFftPlan *plan = cache_find(n, is_double, is_real);
  if (plan) return plan;
  if ((plan = plan_new(n, is_double, is_real))) cache_keep(plan);
  return plan;
}
