/* Chains of ops in C: every intermediate tensor is noted in a Steps and released at the
 * end.
 *
 *     Steps s = {0};
 *     STEP(product, lp_mul(a, b));          // declares `product`; on failure releases
 * all, returns NULL return steps_finish(&s, product);     // releases all but product
 */
#ifndef LP_COMPOSITE_STEPS_H
#define LP_COMPOSITE_STEPS_H

#include "core/tensor.h"

#define STEPS_MAX 96

typedef struct Steps {
  int count;
  LpTensor *tensors[STEPS_MAX];
} Steps;

/* Takes t over; returns it. */
static inline LpTensor *steps_note(Steps *s, LpTensor *t) {
  ASSERT(s->count < STEPS_MAX);
  s->tensors[s->count++] = t;
  return t;
}
/* Releases what was noted; returns NULL. */
static inline void *steps_drop(Steps *s) {
  for (int i = 0; i < s->count; i++) lp_tensor_release(s->tensors[i]);
  s->count = 0;
  return NULL;
}
/* Releases what was noted except one reference to t, which the caller owns now. */
static inline LpTensor *steps_finish(Steps *s, LpTensor *t) {
  lp_tensor_retain(t);
  steps_drop(s);
  return t;
}

#define STEP(name, call)                                                                 \
  LpTensor *name = steps_note(&s, (call));                                               \
  if (LP_UNLIKELY(!name)) return steps_drop(&s)
/* The same for a variable that exists. */
#define RESTEP(name, call)                                                               \
  do {                                                                                   \
    name = steps_note(&s, (call));                                                       \
    if (LP_UNLIKELY(!name)) return steps_drop(&s);                                       \
  } while (0)
/* A failed check releases the intermediates too. */
#define STEP_CHECK(cond, code, ...)                                                      \
  do {                                                                                   \
    if (LP_UNLIKELY(!(cond))) {                                                          \
      lp_fail((code), __VA_ARGS__);                                                      \
      return steps_drop(&s);                                                             \
    }                                                                                    \
  } while (0)

#endif
