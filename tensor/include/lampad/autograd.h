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
LP_API bool lp_is_inference(const LpTensor *t); /* made in inference mode? */

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

/* Runs after a gradient was added to the leaf's grad. Ids and removal as above. */
typedef bool (*LpLeafHook)(void *ctx, LpTensor *leaf);
LP_API int64_t lp_register_post_accumulate_hook(LpTensor *leaf, LpLeafHook hook, void *ctx,
                                                void (*free_ctx)(void *ctx));

/* A node's own hooks. Before its backward (pre) they see grad_outputs and may put owned replacements into
 * replaced[n_outputs]; after it they see grad_inputs too and may replace those, replaced[n_inputs]. Entries
 * may be NULL. */
typedef bool (*LpNodeHookFn)(void *ctx, LpTensor *const *grad_inputs, int n_inputs,
                             LpTensor *const *grad_outputs, int n_outputs, LpTensor **replaced);
LP_API int64_t lp_node_register_hook(LpNode *node, bool pre, LpNodeHookFn hook, void *ctx,
                                     void (*free_ctx)(void *ctx));
LP_API void lp_node_remove_hook(LpNode *node, int64_t id);

/* Hooks on what nodes save: pack makes something of a tensor when it is saved (*packed, freed with
 * free_packed), unpack a tensor of that (owned) when backward asks for it. */
typedef struct LpSavedHooks {
  bool (*pack)(void *ctx, LpTensor *t, void **packed);
  bool (*unpack)(void *packed, LpTensor **result);
  void (*free_packed)(void *packed);
} LpSavedHooks;
/* For the calling thread, from now on; NULL: none. */
LP_API void lp_set_saved_hooks(const LpSavedHooks *hooks, void *ctx);

/* --- anomaly detection --------------------------------------------------------------------------
 * Nodes made while it is on note the host's traceback, which errors of their backward then show; with
 * check_nan a backward that gives a NaN is an error. */
LP_API void lp_set_anomaly(bool enabled, bool check_nan);
LP_API bool lp_anomaly_enabled(void);
LP_API bool lp_anomaly_check_nan_enabled(void);
/* capture returns a malloc'd text or NULL. */
LP_API void lp_set_trace_hook(char *(*capture)(void));
/* Where the host saw the first NaN of the forward, as text that the engine frees, or NULL; it becomes part of the
 * error about a NaN in backward. */
LP_API void lp_set_nan_origin_hook(char *(*origin)(void));

/* --- custom functions --------------------------------------------------------------------------
 * A node whose backward is a callback: grads[n_outputs] (entries may be NULL) in, results[n_inputs]
 * (owned or NULL) out. */
typedef struct LpCustomBackward {
  const char *name; /* shown as grad_fn=<name>; copied */
  bool (*backward)(void *ctx, LpTensor *const *grads, int n_grads, LpTensor **results, int n_results);
  void (*free_ctx)(void *ctx);
  void *ctx;
  bool raw_grads; /* undefined gradients arrive as NULL, not as zeros */
  /* After a backward that does not keep the graph: what backward saved may go. NULL: a second backward is refused. */
  void (*release)(void *ctx);
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
LP_API int lp_node_next_nr(const LpNode *node, int i);     /* which output of that node */
LP_API uint64_t lp_node_sequence(const LpNode *node);
LP_API LpTensor *lp_node_variable(const LpNode *node);     /* the leaf of an AccumulateGrad node, else NULL */
/* Something of the host's that lives as long as the node. */
LP_API void *lp_node_host(const LpNode *node);
LP_API void lp_node_set_host(LpNode *node, void *host, void (*free_host)(void *host));
LP_API int lp_output_nr(const LpTensor *t);
/* The backward that runs in this thread: a number of its own (0: none), the node at work, and whether it
 * will reach the node that t's gradient goes to. */
LP_API int64_t lp_backward_id(void);
LP_API LpNode *lp_running_node(void);
LP_API bool lp_will_execute(LpTensor *t, bool *result);
/* A header over t's data whose history is output_nr of the node (a saved output, again). Owned. */
LP_API LpTensor *lp_output_again(LpTensor *t, LpNode *node, int output_nr);
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
