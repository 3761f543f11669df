/* flash_attention and its gradients: tensors to cpu/attention.h's memory. */
#include "cpu/attention.h"

#include <string.h>
#include "dispatch/nn_util.h"
#include "dispatch/shape.h"
#include "impl.h"

/* t (batch, heads, rows, features), or a copy, with rows that a product can walk. */
static LpTensor *walkable(LpTensor *t) {
  const int64_t width = t->sizes[3] > 1 ? t->sizes[3] : 1;
  const bool rows = t->sizes[2] <= 1 || t->strides[2] >= width;
  return rows && (t->sizes[3] <= 1 || t->strides[3] == 1) ? lp_tensor_retain(t)
                                                          : lp_contiguous_raw(t);
}

/* Zeros of t's shape whose memory runs batch, rows, heads: what a model makes of them
 * next is then a view. */
static LpTensor *rows_first(const int64_t *sizes, LpDtype dtype) {
  const int64_t turned[4] = {sizes[0], sizes[2], sizes[1], sizes[3]};
  LpTensor *memory = nn_zeros(turned, 4, dtype);
  if (!memory) return NULL;
  const int64_t strides[4] = {memory->strides[0], memory->strides[2], memory->strides[1],
                              memory->strides[3]};
  if (lp_tensor_set_geometry(memory, lp_ints(sizes, 4), lp_ints(strides, 4), 0))
    return memory;
  lp_tensor_release(memory);
  return NULL;
}

typedef struct Call {
  LpTensor *q, *k, *v, *mask, *out, *logsumexp, *grad;
  LpAttention a;
} Call;

static void take_strides(int64_t *to, const LpTensor *t) {
  memcpy(to, t->strides, 3 * sizeof *to);
}

static bool call_begin(Call *c, LpTensor *q, LpTensor *k, LpTensor *v, LpTensor *mask,
                       bool is_causal, double scale) {
  LpAttention *a = &c->a;
  c->q = walkable(q);
  c->k = c->q ? walkable(k) : NULL;
  c->v = c->k ? walkable(v) : NULL;
  TRY(c->v);
  *a = (LpAttention){.dtype = lp_dtype(q),
                     .batch = q->sizes[0],
                     .heads = q->sizes[1],
                     .groups = k->sizes[1],
                     .length = q->sizes[2],
                     .sources = k->sizes[2],
                     .features = q->sizes[3],
                     .value_features = v->sizes[3],
                     .is_causal = is_causal,
                     .scale = scale,
                     .q = lp_data(c->q),
                     .k = lp_data(c->k),
                     .v = lp_data(c->v)};
  take_strides(a->q_strides, c->q);
  take_strides(a->k_strides, c->k);
  take_strides(a->v_strides, c->v);
  if (!mask) return true;
  const int64_t all[4] = {a->batch, a->heads, a->length, a->sources};
  c->mask = lp_expand_alias(mask, lp_ints(all, 4));
  TRY(c->mask);
  a->mask = lp_data(c->mask);
  a->mask_is_bool = lp_dtype(mask) == LP_BOOL;
  memcpy(a->mask_strides, c->mask->strides, sizeof a->mask_strides);
  return true;
}

static void call_end(Call *c) {
  LpTensor **all[] = {&c->q, &c->k, &c->v, &c->mask, &c->out, &c->logsumexp, &c->grad};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) lp_drop(all[i]);
}

bool lp_impl_flash_attention(LpTensor *query, LpTensor *key, LpTensor *value,
                             LpTensor *mask, bool is_causal, double scale,
                             LpTensor **results) {
  Call c = {0};
  bool ok = call_begin(&c, query, key, value, mask, is_causal, scale);
  LpAttention *a = &c.a;
  if (ok) {
    const int64_t sizes[4] = {a->batch, a->heads, a->length, a->value_features};
    c.out = rows_first(sizes, a->dtype);
    c.logsumexp = c.out ? nn_empty(sizes, 3, a->dtype) : NULL;
    ok = c.logsumexp;
  }
  if (ok) {
    a->out = lp_data(c.out);
    a->logsumexp = lp_data(c.logsumexp);
    take_strides(a->out_strides, c.out);
    ok = lp_attention_run(a);
  }
  if (ok) {
    results[0] = lp_tensor_retain(c.out);
    results[1] = lp_tensor_retain(c.logsumexp);
  }
  call_end(&c);
  return ok;
}

bool lp_impl_flash_attention_backward(LpTensor *grad, LpTensor *query, LpTensor *key,
                                      LpTensor *value, LpTensor *mask, LpTensor *output,
                                      LpTensor *logsumexp, bool is_causal, double scale,
                                      LpTensor **results) {
  Call c = {0};
  bool ok = call_begin(&c, query, key, value, mask, is_causal, scale);
  LpAttention *a = &c.a;
  LpTensor *gradients[3] = {NULL, NULL, NULL}, *of[3] = {query, key, value};
  if (ok) {
    c.grad = walkable(grad);
    c.out = c.grad ? walkable(output) : NULL;
    c.logsumexp = c.out ? lp_contiguous_raw(logsumexp) : NULL;
    ok = c.logsumexp;
  }
  for (int i = 0; ok && i < 3; i++)
    ok = (gradients[i] = rows_first(of[i]->sizes, a->dtype)) != NULL;
  if (ok) {
    a->grad = lp_data(c.grad);
    a->out = lp_data(c.out);
    a->logsumexp = lp_data(c.logsumexp);
    take_strides(a->grad_strides, c.grad);
    take_strides(a->out_strides, c.out);
    a->q_grad = lp_data(gradients[0]);
    a->k_grad = lp_data(gradients[1]);
    a->v_grad = lp_data(gradients[2]);
    take_strides(a->q_grad_strides, gradients[0]);
    take_strides(a->k_grad_strides, gradients[1]);
    take_strides(a->v_grad_strides, gradients[2]);
    ok = lp_attention_gradients(a);
  }
  for (int i = 0; i < 3; i++) {
    if (ok) results[i] = lp_tensor_retain(gradients[i]);
    lp_drop(&gradients[i]);
  }
  call_end(&c);
  return ok;
}
