/* Random ops under vmap obey the level's randomness: refused, the same for every example,
 * or different. 'different' draws for the whole batch at once, as one call on the batch
 * would. See rules.h. */
#include "vmap/rules.h"

#include <string.h>

#include "lampad/ops.h"

static Outcome result(VmapCall *c, LpTensor *t) {
  c->results[0].tensor = t;
  return t ? VMAP_DONE : VMAP_FAILED;
}
static Outcome called(VmapCall *c) {
  return vmap_call(c) ? VMAP_DONE : VMAP_FAILED;
}

static Outcome fail(const char *text) {
  lp_fail(LP_ERR_ARGUMENT, "%s", text);
  return VMAP_FAILED;
}
static Outcome refused(void) {
  return fail("vmap: called random operation while in randomness error mode. Please "
              "either use the 'same' or "
              "'different' randomness flags on vmap or perform the randomness operation "
              "out of vmap");
}

static bool any_batched(const VmapCall *c) {
  for (int i = 0; i < c->op->n_args; i++)
    if (vmap_is_tensor(c->op->args[i].type) && vmap_batched(c, c->args[i].tensor))
      return true;
  return false;
}

/* The call as it stands, one level further out; its results belong to no batch of this
 * level. */
static Outcome outside(VmapCall *c) {
  if (!vmap_call(c)) return VMAP_FAILED;
  return VMAP_WRAPPED;
}

/* rand, randn, randint, normal(float, float): sizes get the batch in front. */
static Outcome factory(VmapCall *c) {
  if (c->randomness == LP_VMAP_ERROR) return refused();
  if (c->randomness == LP_VMAP_SAME) return outside(c);
  const int at = vmap_arg(c, "size");
  const LpInts given = c->args[at].ints;
  int64_t *sizes = vmap_ints(c, given.count + 1);
  if (!sizes) return VMAP_FAILED;
  sizes[0] = c->batch;
  if (given.count) memcpy(sizes + 1, given.data, (size_t)given.count * sizeof *sizes);
  c->a[at].ints = lp_ints(sizes, given.count + 1);
  return called(c);
}

static Outcome permutation(VmapCall *c) {
  if (c->randomness == LP_VMAP_ERROR) return refused();
  return c->randomness == LP_VMAP_SAME ? outside(c) : VMAP_LOOP;
}

Outcome vmap_like(VmapCall *c);

/* rand_like and its kin: only the shape of self counts. */
static Outcome random_like(VmapCall *c) {
  if (c->randomness == LP_VMAP_ERROR) return refused();
  LpTensor *self = c->args[0].tensor;
  if (c->randomness == LP_VMAP_SAME) {
    if (vmap_batched(c, self))
      c->a[0].tensor = vmap_keep(c, lp_select(self->physical, 0, 0));
    return c->a[0].tensor ? outside(c) : VMAP_FAILED;
  }
  if (vmap_batched(c, self)) return vmap_like(c);
  c->a[0].tensor = vmap_front(c, self);
  return c->a[0].tensor ? called(c) : VMAP_FAILED;
}

/* normal_, uniform_, ...: args[0] is written. */
static Outcome fill(VmapCall *c) {
  if (c->randomness == LP_VMAP_ERROR) return refused();
  LpTensor *self = c->args[0].tensor;
  const int p = vmap_arg(c, "p");
  const bool by_tensor =
      p >= 0 && vmap_is_tensor(c->op->args[p].type) && vmap_batched(c, c->args[p].tensor);
  if (!vmap_batched(c, self)) {
    if (by_tensor || c->randomness == LP_VMAP_DIFFERENT)
      return fail("vmap: Cannot ask for different inplace randomness on an unbatched "
                  "tensor. This will appear "
                  "like same randomness. If this is necessary for your usage, please "
                  "file an issue with functorch");
    return outside(c);
  }
  if (c->randomness == LP_VMAP_SAME) {
    if (by_tensor)
      return fail(
          "Vmap does not currently support same randomness with a batched tensor input");
    LpTensor *one = vmap_keep(c, lp_select(self->physical, 0, 0));
    LpTensor *drawn = one ? vmap_keep(c, lp_empty_like(one, LP_DTYPE_NONE,
                                                       (LpDevice){LP_DEVICE_NONE, 0},
                                                       LP_FORMAT_NONE, false))
                          : NULL;
    if (!drawn) return VMAP_FAILED;
    c->a[0].tensor = drawn;
    if (!vmap_call(c) || !lp_copy_(self->physical, drawn, false)) return VMAP_FAILED;
    return VMAP_DONE;
  }
  c->a[0].tensor = self->physical;
  if (by_tensor && !(c->a[p].tensor = vmap_lift(c, c->args[p].tensor, self->ndim)))
    return VMAP_FAILED;
  return called(c);
}

/* bernoulli, poisson, normal by tensors of parameters: draws for every element of the
 * batch. */
static Outcome sample(VmapCall *c) {
  if (c->randomness == LP_VMAP_ERROR) return refused();
  if (c->randomness == LP_VMAP_SAME) {
    if (any_batched(c))
      return fail(
          "Vmap does not currently support same randomness with a batched tensor input");
    return outside(c);
  }
  int ndim = 0;
  for (int i = 0; i < c->op->n_args; i++)
    if (vmap_is_tensor(c->op->args[i].type) && c->args[i].tensor &&
        c->args[i].tensor->ndim > ndim)
      ndim = c->args[i].tensor->ndim;
  const bool batched = any_batched(c);
  for (int i = 0; i < c->op->n_args; i++) {
    LpTensor *t = vmap_is_tensor(c->op->args[i].type) ? c->args[i].tensor : NULL;
    if (!t) continue;
    if (vmap_batched(c, t))
      c->a[i].tensor = vmap_lift(c, t, ndim);
    else if (!batched && t->ndim == ndim)
      c->a[i].tensor = vmap_front(c, t);
    if (!c->a[i].tensor) return VMAP_FAILED;
  }
  return called(c);
}

/* multinomial takes one or two dims: rows of several examples are folded. */
static Outcome multinomial(VmapCall *c) {
  if (c->randomness == LP_VMAP_ERROR) return refused();
  LpTensor *self = c->args[0].tensor;
  if (c->randomness == LP_VMAP_SAME) {
    if (vmap_batched(c, self))
      return fail(
          "Vmap does not currently support same randomness with a batched tensor input");
    return outside(c);
  }
  LpTensor *front = vmap_front(c, self);
  if (!front) return VMAP_FAILED;
  if (self->ndim != 2) {
    c->a[0].tensor = front;
    return called(c);
  }
  const int64_t flat[] = {c->batch * self->sizes[0], self->sizes[1]};
  if (!(c->a[0].tensor = vmap_reshape(c, front, flat, 2)) || !vmap_call(c))
    return VMAP_FAILED;
  LpTensor *drawn = vmap_keep(c, c->results[0].tensor);
  const int64_t sizes[] = {c->batch, self->sizes[0], c->args[1].i};
  return result(c, drawn ? lp_reshape(drawn, lp_ints(sizes, 3)) : NULL);
}

const VmapEntry lp_vmap_random_rules[] = {{"rand", factory},
                                          {"randn", factory},
                                          {"randint", factory},
                                          {"randint_low", factory},
                                          {"normal_float_float", factory},
                                          {"randperm", permutation},
                                          {"rand_like", random_like},
                                          {"randn_like", random_like},
                                          {"randint_like", random_like},
                                          {"randint_like_low_dtype", random_like},
                                          {"uniform", fill},
                                          {"normal", fill},
                                          {"exponential", fill},
                                          {"log_normal", fill},
                                          {"cauchy", fill},
                                          {"geometric", fill},
                                          {"random", fill},
                                          {"random_from", fill},
                                          {"random_to", fill},
                                          {"bernoulli_float", fill},
                                          {"bernoulli_tensor", fill},
                                          {"bernoulli", sample},
                                          {"bernoulli_p", sample},
                                          {"poisson", sample},
                                          {"binomial", sample},
                                          {"normal_float_tensor", sample},
                                          {"normal_tensor_float", sample},
                                          {"normal_tensor_tensor", sample},
                                          {"multinomial", multinomial},
                                          {NULL, NULL}};
