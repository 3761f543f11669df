/* What autograd knows of one tensor. Made on demand; owned by its tensor; internal to autograd/. */
#ifndef LP_AUTOGRAD_META_H
#define LP_AUTOGRAD_META_H

#include "autograd/node.h"

typedef struct LpAutograd {
  bool requires_grad; /* of a leaf */
  bool retains_grad;
  int32_t output_nr;
  LpTensor *grad;
  LpNode *grad_fn;      /* owned; NULL for leaves */
  LpNode *accumulator;  /* not owned: the live AccumulateGrad node of a leaf */
  LpTensor *base;       /* owned; the tensor a differentiable view looks into */
  uint32_t view_version; /* version of the memory when grad_fn was made (views) */
  LpHookEntry *hooks;    /* of a leaf; those of other tensors are on grad_fn */
  struct LpLeafHookEntry *post_hooks; /* of a leaf: after its grad was written (hooks.c) */
} LpAutograd;

/* The tensor's record, made when absent; NULL on out of memory. */
LpAutograd *lp_autograd_of(LpTensor *t);
/* Where the gradient of t goes: its grad_fn's output, or the accumulator of a leaf that requires grad.
 * An edge with a NULL node when t requires none. The node is retained. */
bool lp_gradient_edge(LpTensor *t, LpEdge *edge);
/* Renews the history of a view whose memory was written since; false on an error, with the old one kept. */
bool lp_refresh_history(LpTensor *t);
/* The view that a CopySlices node's inner op wrote, saved without history: gives it that of a view of the base as
 * it was after the writing. Returns the tensor to use instead (owned). */
LpTensor *lp_slices_output(LpNode *slices, LpTensor *view);
/* Gives t a history directly (retains node). */
bool lp_set_history(LpTensor *t, LpNode *node, int output_nr);
/* Makes the leaf's AccumulateGrad node, kept (unowned) in meta->accumulator; its one reference goes to
 * the caller through that pointer. engine.c. */
bool lp_accumulator_new(LpTensor *leaf);
/* Asks a node to put the gradient of its output into meta->grad (retain_grad); meta is held weakly
 * and must be unwatched before it ends. engine.c. */
bool lp_node_watch(LpNode *node, int output_nr, LpAutograd *meta);
void lp_node_unwatch(LpNode *node, LpAutograd *meta);
/* The leaf an AccumulateGrad node belongs to, NULL for other nodes. engine.c. */
LpTensor *lp_node_leaf(const LpNode *node);
void lp_hooks_free(LpHookEntry *hooks);
bool lp_post_hooks_run(LpTensor *leaf);
bool lp_post_hooks_remove(LpAutograd *meta, int64_t id);
void lp_post_hooks_free(struct LpLeafHookEntry *hooks);
int64_t lp_new_hook_id(void);
/* Can `to` be reached from any of the nodes? graph.c. */
bool lp_graph_reaches(LpNode *const *from, int64_t n_from, const LpNode *to, bool *result);

#endif
