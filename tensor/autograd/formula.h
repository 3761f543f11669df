/* What generated op functions call: small helpers over nodes, kept arguments and lists.
 * Included by generated code only; owned by formula.c. */
#ifndef LP_AUTOGRAD_FORMULA_H
#define LP_AUTOGRAD_FORMULA_H

#include "autograd/node.h"

/* A string argument kept by a node; PyTorch's options ('mean', 'floor', ...) are short. */
typedef struct LpKeptText {
  bool present;
  char text[31];
} LpKeptText;

static inline int64_t lp_kept_count(LpInts ints) { return ints.count > 0 ? ints.count : 0; }
static inline LpInts lp_sizes_or_none(const LpTensor *t) { return t ? lp_sizes(t) : lp_ints_none(); }
static inline LpDtype lp_dtype_or_none(const LpTensor *t) { return t ? (LpDtype)t->dtype : LP_DTYPE_NONE; }
static inline bool lp_same_shape(const LpTensor *a, const LpTensor *b) {
  if (a->ndim != b->ndim) return false;
  for (int i = 0; i < a->ndim; i++)
    if (a->sizes[i] != b->sizes[i]) return false;
  return true;
}
LpKeptText lp_keep_text(const char *text);
static inline const char *lp_kept_text(const LpKeptText *kept) {
  return kept->present ? kept->text : NULL;
}

/* The sizes of the tensors along dim (wrapped; 0-d and legacy empty tensors count as 0). */
LpInts lp_node_keep_sizes_along(LpNode *node, LpTensors tensors, int64_t dim);
bool lp_node_set_edges(LpNode *node, int first, LpTensors inputs);
bool lp_node_save_list(LpNode *node, int first, LpTensors tensors);
/* Saves a copy of an input that is about to be overwritten in place. */
bool lp_node_save_original(LpNode *node, int slot, LpTensor *self);
/* All saved tensors of a list argument, owned: free with lp_node_list_free. */
bool lp_node_unpack_list(LpNode *node, int first, int count, LpTensors *result);
void lp_node_list_free(LpTensors *list);
/* The gradients of all outputs, zeros where undefined; NULL on error. */
LpTensor **lp_node_grad_list(LpNode *node, LpTensor *const *grads);
void lp_node_grad_list_free(LpNode *node, LpTensor *const *grads, LpTensor **items);
/* Moves the tensors of vec into results[first...], dropping those not wanted. */
bool lp_node_take_list(LpNode *node, int first, LpTensorVec *vec, LpTensor **results);

/* In-place and out forms of composites: the value was computed apart, now it is stored. */
bool lp_assign_inplace(LpTensor *self, LpTensor *value);
bool lp_assign_out(LpTensor *out, LpTensor *value);

#endif
