/* Autocast from C: the state of a thread, the cache of weights, lists of tensors, and
 * failing allocations. */
#include <pthread.h>
#include "core/tensor.h"
#include "lampad/autocast.h"
#include "lampad/autograd.h"
#include "lampad/memory.h"
#include "lampad/ops.h"
#include "test.h"

static LpTensor *square(void) {
  const int64_t sizes[] = {3, 3};
  return lp_full(lp_ints(sizes, 2), lp_scalar_float(0.5), LP_FLOAT32, lp_cpu(), false);
}

static void enable(bool enabled, LpDtype dtype) {
  lp_set_autocast_state(LP_CPU, (LpAutocastState){enabled, dtype});
}

static LpDtype dtype_of_product(LpTensor *a, LpTensor *b) {
  LpTensor *product = lp_mm(a, b);
  const LpDtype dtype = product ? lp_dtype(product) : LP_DTYPE_NONE;
  lp_tensor_release(product);
  return dtype;
}

static void *elsewhere(void *a) {
  static bool off;
  off = !lp_autocast_state(LP_CPU).enabled && dtype_of_product(a, a) == LP_FLOAT32;
  return &off;
}

TEST(autocast_belongs_to_a_thread) {
  LpTensor *a = square();
  enable(true, LP_FLOAT16);
  EXPECT(dtype_of_product(a, a) == LP_FLOAT16);
  pthread_t thread;
  void *off;
  EXPECT(pthread_create(&thread, NULL, elsewhere, a) == 0);
  pthread_join(thread, &off);
  EXPECT(*(bool *)off);
  enable(false, LP_BFLOAT16);
  EXPECT(dtype_of_product(a, a) == LP_FLOAT32);
  lp_tensor_release(a);
}

TEST(autocast_keeps_a_weight_until_the_cache_is_cleared) {
  LpTensor *a = square(), *w = square();
  EXPECT(lp_set_requires_grad(w, true));
  enable(true, LP_BFLOAT16);
  EXPECT(lp_autocast_nest(1) == 1);
  EXPECT(dtype_of_product(a, w) == LP_BFLOAT16);
  EXPECT(atomic_load(&w->refcount) == 3); /* ours, the cache's, the accumulator's */
  EXPECT(dtype_of_product(a, w) == LP_BFLOAT16);
  EXPECT(atomic_load(&w->refcount) == 3 && atomic_load(&a->refcount) == 1);
  EXPECT(lp_autocast_nest(-1) == 0);
  lp_autocast_clear_cache();
  EXPECT(atomic_load(&w->refcount) == 1);
  lp_set_autocast_cache_enabled(false);
  EXPECT(dtype_of_product(a, w) == LP_BFLOAT16);
  EXPECT(atomic_load(&w->refcount) == 1);
  lp_set_autocast_cache_enabled(true);
  /* Weights that nobody else holds make room for others; the others stay. */
  LpMemoryStats before, after;
  lp_memory_stats(lp_cpu(), &before);
  EXPECT(dtype_of_product(a, w) == LP_BFLOAT16);
  for (int i = 0; i < 1000; i++) {
    LpTensor *other = square();
    EXPECT(lp_set_requires_grad(other, true) &&
           dtype_of_product(a, other) == LP_BFLOAT16);
    lp_tensor_release(other);
  }
  lp_memory_stats(lp_cpu(), &after);
  EXPECT(after.live_count - before.live_count <= 64);
  EXPECT(atomic_load(&w->refcount) == 3);
  lp_autocast_clear_cache();
  lp_memory_stats(lp_cpu(), &after);
  EXPECT(after.live_count == before.live_count);
  enable(false, LP_BFLOAT16);
  lp_tensor_release(w);
  lp_tensor_release(a);
}

/* A matrix product, a list in two dtypes, and a loss. */
static bool step(LpTensor *a, LpTensor *w) {
  LpTensor *product = lp_mm(a, w), *both[] = {product, a};
  LpTensor *joined = product ? lp_cat((LpTensors){both, 2}, 0) : NULL;
  const LpOptBool unset = {0};
  LpTensor *loss =
      joined ? lp_mse_loss(joined, joined, unset, unset, "mean", NULL) : NULL;
  const bool ok = loss != NULL;
  EXPECT(!ok || (lp_dtype(joined) == LP_FLOAT32 && lp_dtype(loss) == LP_FLOAT32));
  lp_tensor_release(loss);
  lp_tensor_release(joined);
  lp_tensor_release(product);
  lp_autocast_clear_cache();
  return ok;
}

TEST(autocast_survives_failing_allocations) {
  LpTensor *a = square(), *w = square();
  EXPECT(lp_set_requires_grad(w, true));
  enable(true, LP_BFLOAT16);
  int failures = 0;
  for (int64_t after = 0; after < 1000; after++) {
    lp_memory_fail_after(after);
    const bool ok = step(a, w);
    lp_memory_fail_after(-1);
    if (ok) break;
    EXPECT(lp_last_error()->code == LP_ERR_MEMORY);
    failures++;
  }
  EXPECT(failures > 10 && failures < 1000);
  EXPECT(step(a, w) && atomic_load(&w->refcount) == 1);
  enable(false, LP_BFLOAT16);
  lp_tensor_release(w);
  lp_tensor_release(a);
}
