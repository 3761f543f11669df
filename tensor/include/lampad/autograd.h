/* Automatic differentiation for C hosts and the binding. */
#ifndef LAMPAD_AUTOGRAD_H
#define LAMPAD_AUTOGRAD_H

#include "lampad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct LpNode LpNode;

/* --- modes of the calling thread ------------------------------------------------------------ */
LP_API bool lp_grad_enabled(void);
LP_API void lp_set_grad_enabled(bool enabled);
LP_API bool lp_inference_enabled(void);
LP_API void lp_set_inference_enabled(bool enabled);

/* --- leaf state ------------------------------------------------------------------------------ */
LP_API bool lp_requires_grad(const LpTensor *t);
LP_API bool lp_set_requires_grad(LpTensor *t, bool requires_grad);
LP_API bool lp_is_leaf(const LpTensor *t);
LP_API LpTensor *lp_grad(const LpTensor *t);               /* borrowed; NULL when none */
LP_API bool lp_set_grad(LpTensor *t, LpTensor *grad);      /* NULL clears */
LP_API LpNode *lp_grad_fn(LpTensor *t);                    /* borrowed; NULL for leaves */
LP_API bool lp_retain_grad(LpTensor *t);
LP_API bool lp_retains_grad(const LpTensor *t);
LP_API LpTensor *lp_data_of(LpTensor *t);                  /* `.data`: no history, own version counter */
LP_API bool lp_set_data(LpTensor *t, LpTensor *data);      /* `t.data = data`: takes its memory and geometry */
LP_API bool lp_detach_history(LpTensor *t);                /* detach_(): makes t a leaf */
LP_API bool lp_is_view(const LpTensor *t);
LP_API LpTensor *lp_base(const LpTensor *t);               /* borrowed; NULL unless a view */

/* --- running backward ------------------------------------------------------------------------ */
/* Accumulates into the leaves' grad. gradients[i] may be NULL for a one-element tensors[i].
 * inputs.count < 0: all leaves. */
LP_API bool lp_backward(LpTensors tensors, LpTensors gradients, bool retain_graph, bool create_graph,
                        LpTensors inputs);
/* torch.autograd.grad: results[i] is owned, NULL only where allow_unused permits. */
LP_API bool lp_autograd_grad(LpTensors outputs, LpTensors inputs, LpTensors grad_outputs, bool retain_graph,
                             bool create_graph, bool allow_unused, LpTensor **results);

/* --- hooks -------------------------------------------------------------------------------------
 * A tensor hook sees the gradient and may return a replacement (owned) in *result, or leave it NULL.
 * False: the hook failed with the error recorded. */
typedef bool (*LpTensorHook)(void *ctx, LpTensor *grad, LpTensor **result);
/* Returns an id > 0 for lp_remove_hook, or 0 with the error recorded. free_ctx may be NULL. */
LP_API int64_t lp_register_hook(LpTensor *t, LpTensorHook hook, void *ctx, void (*free_ctx)(void *ctx));
LP_API void lp_remove_hook(LpTensor *t, int64_t id);

/* --- custom functions --------------------------------------------------------------------------
 * A node whose backward is a callback: grads[n_outputs] (entries may be NULL) in, results[n_inputs]
 * (owned or NULL) out. */
typedef struct LpCustomBackward {
  const char *name; /* shown as grad_fn=<name>; copied */
  bool (*backward)(void *ctx, LpTensor *const *grads, int n_grads, LpTensor **results, int n_results);
  void (*free_ctx)(void *ctx);
  void *ctx;
} LpCustomBackward;
/* Makes outputs depend on inputs through a custom node (takes ctx over, also on failure). */
LP_API bool lp_attach_custom(const LpCustomBackward *fn, LpTensors inputs, LpTensors outputs);

/* --- levels of torch.func ------------------------------------------------------------------------
 * A transform differentiates with respect to leaves of its own, aliases of its arguments. What it returns
 * keeps its history only when that leads to leaves that are not its own. */
LP_API LpTensor *lp_func_leaf(LpTensor *t); /* a new leaf over t's data that requires grad; owned */
LP_API void lp_func_leaf_end(LpTensor *leaf); /* the transform has returned */
/* *result: does the history of some tensor lead to a leaf other than those? false on out of memory. */
LP_API bool lp_depends_on_others(LpTensors tensors, LpTensors own, bool *result);
/* Does the batch behind a batched tensor (or the batch behind that, ...) require grad? */
LP_API bool lp_requires_grad_below(const LpTensor *t);

/* --- nodes ------------------------------------------------------------------------------------ */
LP_API const char *lp_node_name(const LpNode *node);       /* "AddBackward0" */
LP_API int lp_node_input_count(const LpNode *node);
LP_API LpNode *lp_node_next(const LpNode *node, int i);    /* borrowed; NULL for inputs without grad */
LP_API LpNode *lp_node_retain(LpNode *node);
LP_API void lp_node_release(LpNode *node);
/* The host's notes of where the forward ran: capture returns a token (0: unknown), asked for each new
 * node; describe writes "train.lua:12" for one. NULL switches it off. */
LP_API void lp_set_location_hook(uint64_t (*capture)(void),
                                 bool (*describe)(uint64_t token, char *buf, size_t buf_bytes));
LP_API bool lp_node_location(const LpNode *node, char *buf, size_t buf_bytes);

#ifdef __cplusplus
}
#endif
#endif
