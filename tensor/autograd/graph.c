/* Looking at the graph without running it: whose leaves does a result depend on? Used by
 * torch.func, whose levels end with their own leaves. */
#include <string.h>

#include "autograd/formula.h"
#include "autograd/meta.h"
#include "core/alloc.h"

/* The nodes seen so far, an open-addressing set that is its own queue. */
typedef struct NodeSet {
  LpNode **slots, **order;
  int64_t capacity, count;
} NodeSet;

static int64_t slot_of(LpNode *const *slots, int64_t capacity, const LpNode *node) {
  uint64_t h = ((uint64_t)(uintptr_t)node >> 4) * 0x9e3779b97f4a7c15ull;
  int64_t i = (int64_t)(h >> 20) & (capacity - 1);
  while (slots[i] && slots[i] != node) i = (i + 1) & (capacity - 1);
  return i;
}

static void set_free(NodeSet *s) {
  lp_free(s->slots, (size_t)s->capacity * sizeof(LpNode *));
  lp_free(s->order, (size_t)s->capacity * sizeof(LpNode *));
}

static bool set_add(NodeSet *s, LpNode *node) {
  if (s->count * 2 >= s->capacity) {
    NodeSet bigger = {.capacity = s->capacity ? s->capacity * 2 : 256, .count = s->count};
    bigger.slots = lp_calloc((size_t)bigger.capacity * sizeof(LpNode *));
    bigger.order = lp_calloc((size_t)bigger.capacity * sizeof(LpNode *));
    if (!bigger.slots || !bigger.order) {
      set_free(&bigger);
      return false;
    }
    for (int64_t i = 0; i < s->count; i++) {
      bigger.order[i] = s->order[i];
      bigger.slots[slot_of(bigger.slots, bigger.capacity, s->order[i])] = s->order[i];
    }
    set_free(s);
    *s = bigger;
  }
  const int64_t at = slot_of(s->slots, s->capacity, node);
  if (!s->slots[at]) s->slots[at] = s->order[s->count++] = node;
  return true;
}

/* Is the node the accumulator of a leaf that somebody outside waits for? */
static bool is_foreign(const LpNode *node, LpTensors own) {
  const LpTensor *leaf = lp_node_leaf(node);
  if (!leaf || (leaf->flags & LP_FLAG_ENDED_LEVEL)) return false;
  for (int64_t i = 0; i < own.count; i++)
    if (own.data[i]->autograd && own.data[i]->autograd->accumulator == node) return false;
  return true;
}

bool lp_depends_on_others(LpTensors tensors, LpTensors own, bool *result) {
  NodeSet set = {0};
  bool ok = true;
  *result = false;
  for (int64_t i = 0; ok && !*result && i < tensors.count; i++) {
    LpTensor *t = tensors.data[i];
    LpNode *fn = t ? lp_grad_fn(t) : NULL;
    if (fn)
      ok = set_add(&set, fn);
    else if (t && lp_requires_grad(t) && !(t->flags & LP_FLAG_ENDED_LEVEL)) {
      *result = true;
      for (int64_t k = 0; k < own.count; k++)
        if (own.data[k]->autograd == t->autograd) *result = false;
    }
  }
  for (int64_t at = 0; ok && !*result && at < set.count; at++) {
    LpNode *node = set.order[at];
    *result = is_foreign(node, own);
    for (int i = 0; ok && i < node->n_edges; i++)
      if (node->edges[i].node) ok = set_add(&set, node->edges[i].node);
  }
  set_free(&set);
  return ok;
}

bool lp_graph_reaches(LpNode *const *from, int64_t n_from, const LpNode *to,
                      bool *result) {
  NodeSet set = {0};
  bool ok = true;
  *result = false;
  for (int64_t i = 0; ok && i < n_from; i++) ok = set_add(&set, from[i]);
  for (int64_t at = 0; ok && !*result && at < set.count; at++) {
    LpNode *node = set.order[at];
    *result = node == to;
    for (int i = 0; ok && i < node->n_edges; i++)
      if (node->edges[i].node) ok = set_add(&set, node->edges[i].node);
  }
  set_free(&set);
  return ok;
}

bool lp_requires_grad_below(const LpTensor *t) {
  for (t = t->physical; t; t = t->physical)
    if (lp_requires_grad(t)) return true;
  return false;
}

LpTensor *lp_func_leaf(LpTensor *t) {
  CHECK(lp_dtype_is_differentiable((LpDtype)t->dtype), LP_ERR_TYPE,
        "only Tensors of floating point and complex dtype can require gradients, got %s",
        lp_dtype_name((LpDtype)t->dtype));
  LpTensor *leaf = lp_tensor_shallow(t);
  if (leaf && !lp_set_requires_grad(leaf, true)) lp_drop(&leaf);
  return leaf;
}

void lp_func_leaf_end(LpTensor *leaf) {
  leaf->flags |= LP_FLAG_ENDED_LEVEL;
}
