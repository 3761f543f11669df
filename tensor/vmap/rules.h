/* What the rules of vmap share: one call under way, and the steps rules are made of.
 * Internal to vmap/.
 *
 * A rule prepares `a`, the arguments of a physical call, from `args`, the logical ones;
 * calls; and leaves results that are batches (examples along dim 0), which the caller
 * wraps. */
#ifndef LP_VMAP_RULES_H
#define LP_VMAP_RULES_H

#include "vmap/vmap.h"

typedef enum Outcome {
  VMAP_FAILED = -1,
  VMAP_AS_IS,   /* run the op as it stands: it is made of others that have rules */
  VMAP_DONE,    /* results are physical batches */
  VMAP_WRAPPED, /* results are as they shall be */
  VMAP_LOOP     /* the rule does not cover this call: example by example */
} Outcome;

#define CALL_INTS 320

typedef struct VmapCall {
  const LpOpInfo *op;
  LpVmapForm form;
  const LpValue *args;
  LpValue a[LP_MAX_ARGS];
  LpValue *results;
  uint32_t level;
  int place; /* of the level among the open ones: what lies below it has this depth */
  int depth; /* of the caller: rules run below the level, and come back to this depth for
                logical calls */
  int64_t batch;
  LpVmapRandomness randomness;
  int n_ints;
  int64_t ints[CALL_INTS]; /* changed sizes and dims of `a` */
  LpTensor **owned;        /* released when the call ends */
  int64_t n_owned, owned_capacity;
} VmapCall;

typedef Outcome (*VmapRule)(VmapCall *c);

typedef struct VmapEntry {
  const char *op; /* C name */
  VmapRule rule;
} VmapEntry;
extern const VmapEntry lp_vmap_rules[], lp_vmap_nn_rules[],
    lp_vmap_random_rules[]; /* end with a NULL op */

/* Keeps an owned tensor until the call ends; NULL stays NULL (the error is recorded). */
LpTensor *vmap_keep(VmapCall *c, LpTensor *owned);
/* Room for n integers that lives as long as the call; NULL with the error recorded. */
int64_t *vmap_ints(VmapCall *c, int64_t n);

static inline bool vmap_is_tensor(LpArgType type) {
  return type == LP_ARG_TENSOR || type == LP_ARG_OPT_TENSOR;
}
static inline bool vmap_is_list(LpArgType type) {
  return type == LP_ARG_TENSORS || type == LP_ARG_OPT_TENSORS;
}
static inline bool vmap_batched(const VmapCall *c, const LpTensor *t) {
  return t && t->physical && t->vmap_level == c->level;
}
/* The batch behind argument i or, when it has none, the tensor itself. */
static inline LpTensor *vmap_behind(const VmapCall *c, int i) {
  LpTensor *t = c->args[i].tensor;
  return vmap_batched(c, t) ? t->physical : t;
}
/* Argument i's tensor as a batch: [batch, ...]; repeated when it has none. Kept. */
LpTensor *vmap_front(VmapCall *c, LpTensor *t);
/* The batch of t with 1s put behind the batch dim, so that an example has `ndim` dims.
 * Kept. */
LpTensor *vmap_lift(VmapCall *c, LpTensor *t, int64_t ndim);
/* A header of the same batch without autograd's record, for rules made of other ops.
 * Kept. */
LpTensor *vmap_bare(VmapCall *c, LpTensor *t);
/* Calls the op on `a` (below the level). */
bool vmap_call(VmapCall *c);
/* Runs `body` of a rule below the level: pairs of these. */
int vmap_descend(const VmapCall *c);
void vmap_ascend(int depth);
/* Wraps an owned physical batch. NULL stays NULL. */
LpTensor *vmap_wrap_owned(LpTensor *physical, uint32_t level);
/* Example by example, through the boxed call of the op. */
Outcome vmap_loop(VmapCall *c);
/* The position of the argument of this name, or -1. */
int vmap_arg(const VmapCall *c, const char *name);
/* Reshapes and keeps. */
LpTensor *vmap_reshape(VmapCall *c, LpTensor *t, const int64_t *sizes, int64_t ndim);

#endif
