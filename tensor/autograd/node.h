/* Nodes of the dynamic graph: what one differentiable call leaves behind. Used by the generated op
 * functions and by the engine (engine.c); owned by node.c.
 *
 * Note: order. A node is always made after the nodes it leads to, so descending `sequence` is a
 * topological order and backward needs no dependency counts.
 *
 * Note: saved outputs. A node that saves its own result would own itself; so a result is saved
 * without its history, which lp_node_unpack puts back.
 *
 * Note: gates. The backward of ReLU and its like is a gate: the gradient passes where a tensor lies within bounds,
 * and is 0 elsewhere. A node that applies the gate of the node before it while it reads its gradient saves a
 * pass over memory. So when it runs next, and nobody sees the gradient between the two or adds to it, the engine hands
 * it the gradient from before the gate, and the gate (lp_gate). */
#ifndef LP_AUTOGRAD_NODE_H
#define LP_AUTOGRAD_NODE_H

#include <stdatomic.h>
#include "core/tensor.h"
#include "lampad/autograd.h"

typedef struct LpGate {
  LpTensor *of;    /* of the gradient's shape and dtype; NULL: no gate */
  double low;      /* closed where of <= low */
  LpOptFloat high; /* and, with an upper bound, unless of < high */
} LpGate;

typedef struct LpNodeClass {
  const char *name; /* "SigmoidBackward0" */
  /* grads: one per output, NULL where undefined. results: one per edge, zeroed; fill those
   * lp_node_wants() asks for with owned tensors (or leave NULL for zero). */
  bool (*backward)(LpNode *node, LpTensor *const *grads, LpTensor **results);
  /* Frees what the node owns beside its saved tensors; may be NULL. */
  void (*finalize)(LpNode *node);
  /* After a backward that does not keep the graph: drops what the node saved in its own way; may be NULL. */
  void (*release)(LpNode *node);
  /* When the backward is a gate on its only gradient: fills it in, `of` owned; else NULL. */
  bool (*gate)(LpNode *node, LpGate *gate);
  bool takes_gate; /* backward applies lp_gate() to the gradient of output 0 */
} LpNodeClass;

typedef struct LpEdge {
  LpNode *node;    /* owned; NULL: no gradient wanted */
  int32_t output_nr; /* which output of that node the gradient is for */
} LpEdge;

typedef struct LpSaved {
  LpTensor *tensor;  /* owned; NULL: absent, or packed by the host's hooks */
  void *packed;      /* owned: what a pack hook made of the tensor; else NULL */
  const LpSavedHooks *hooks; /* those that packed it */
  LpEdge edge;       /* of an input with history: where its gradient goes */
  uint32_t version;  /* of the memory when saved */
  int16_t output_nr; /* -1: an input */
} LpSaved;

typedef struct LpOutputMeta {
  LpInts sizes; /* owned copy */
  LpDtype dtype;
  LpDevice device;
} LpOutputMeta;

typedef struct LpHookEntry {
  int64_t id;
  int32_t output_nr;
  LpTensorHook hook;
  void *ctx;
  void (*free_ctx)(void *ctx);
  struct LpHookEntry *next;
} LpHookEntry;

typedef struct LpNodeHook {
  int64_t id;
  LpNodeHookFn fn;
  void *ctx;
  void (*free_ctx)(void *ctx);
  struct LpNodeHook *next;
} LpNodeHook;

struct LpNode {
  _Atomic int32_t refcount;
  const LpNodeClass *cls;
  const char *label; /* shown instead of cls->name; NULL: none. Static text */
  uint64_t sequence;
  uint64_t location; /* the host's token of the forward line; 0: unknown */
  int32_t n_edges, n_saved, n_ints_used, n_outputs;
  bool freed; /* saved tensors were released by a backward */
  LpEdge *edges;
  LpSaved *saved;
  int64_t *ints;
  LpOutputMeta *outputs; /* n_outputs entries when the node has several outputs, else NULL */
  LpNode *slices;        /* not owned: the CopySlices node that runs this one, which wrote a view; else NULL */
  LpHookEntry *hooks;    /* on the gradients of its outputs, in order of registration */
  LpNodeHook *pre_hooks, *post_hooks; /* of the node itself (hooks.c) */
  char *trace;           /* under anomaly detection: the host's traceback of the forward; malloc'd */
  void *host;            /* what the host keeps with the node */
  void (*free_host)(void *host);
  size_t alloc_bytes;
};

extern _Thread_local bool lp_tls_grad_enabled;
/* Is the op that was just called recorded for backward? For rows with tells_recording, at their beginning. */
extern _Thread_local bool lp_tls_recorded;

/* Would an op on these tensors be recorded? NULL-safe. */
static inline bool lp_wants_grad(const LpTensor *t) {
  return t && t->autograd && lp_tls_grad_enabled && lp_requires_grad(t);
}
bool lp_any_wants_grad(LpTensors tensors);
/* Is t one of the tensors? */
static inline bool lp_list_holds(LpTensors tensors, const LpTensor *t) {
  for (int64_t i = 0; i < tensors.count; i++)
    if (tensors.data[i] == t) return true;
  return false;
}

/* Can tensors of this dtype carry gradients? */
static inline bool lp_dtype_is_differentiable(LpDtype dtype) {
  return lp_dtype_is_floating(dtype) || lp_dtype_is_complex(dtype);
}

/* One allocation: struct_bytes (beginning with the LpNode), the edges, the saved slots, n_ints integers. */
LpNode *lp_node_new(const LpNodeClass *cls, size_t struct_bytes, int n_edges, int n_saved, int64_t n_ints);
bool lp_node_set_edge(LpNode *node, int i, LpTensor *input); /* input may be NULL */
/* The sequence number that the next node gets. */
uint64_t lp_node_mark(void);
/* Gives the history of a composite op's result the op's name: the last node, when it was made since the mark.
 * result and label may be NULL. Returns result. */
LpTensor *lp_node_name_result(LpTensor *result, uint64_t mark, const char *label);
/* Saves an input (output_nr -1) or a result; t may be NULL. */
bool lp_node_save(LpNode *node, int slot, LpTensor *t, int output_nr);
/* The saved tensor, owned, NULL when it was absent; false when it was modified since or freed. */
bool lp_node_unpack(LpNode *node, int slot, LpTensor **result);
/* Copies into the node's integers (reserved by n_ints). */
LpInts lp_node_keep_ints(LpNode *node, LpInts ints);
LpFloats lp_node_keep_floats(LpNode *node, LpFloats floats);
/* Makes the node the history of its results; results may hold NULL and non-differentiable dtypes. */
bool lp_node_attach(LpNode *node, LpTensor *const *results, int n_results);
/* The gate that the gradient of the node whose backward runs now has not passed yet. */
const LpGate *lp_gate(void);
/* Is the gradient for edge i asked for in the backward that runs now? */
bool lp_node_wants(const LpNode *node, int i);
bool lp_node_wants_range(const LpNode *node, int first, int count);
/* Zeros for output i of a node with several outputs. */
LpTensor *lp_node_zeros(LpNode *node, int i);
void lp_node_free_saved(LpNode *node);

/* --- hooks and anomalies (hooks.c) --- */
/* Before backward: hooks may replace gradients of the outputs. After it: of the inputs. */
bool lp_node_run_pre_hooks(LpNode *node, LpTensor **grads);
bool lp_node_run_post_hooks(LpNode *node, LpTensor **results, LpTensor *const *grads);
void lp_node_free_extras(LpNode *node);
/* Puts what a hook returned, owned, in the place of a gradient; refuses another shape or dtype. */
bool lp_hook_replace(LpTensor **at, LpTensor *replacement);
/* Anomaly detection: notes the forward's traceback in a new node; refuses NaNs that a backward gave; adds
 * the traceback to an error. */
void lp_anomaly_note(LpNode *node);
bool lp_anomaly_check(LpNode *node, LpTensor *const *results);
void lp_anomaly_explain(const LpNode *node);
/* Hands the tensor to the pack hooks in force: *done when there are some. */
bool lp_saved_pack(LpSaved *s, LpTensor *t, bool *done);
void lp_saved_drop_packed(LpSaved *s);

/* --- in-place and views (meta.c) --- */
/* Refuses a leaf that requires grad, and tensors made in inference mode; call before the kernel runs. */
bool lp_inplace_check(LpTensor *self);
/* After the kernel: bumps the version and makes `node` (NULL: no history wanted) the tensor's new
 * history; for a view, its base's. */
bool lp_inplace_done(LpTensor *self, LpNode *node);
/* Before the kernel of a non-differentiable in-place op: the history that ends self's (NULL: it has none), for
 * lp_inplace_done. */
bool lp_inplace_cut(LpTensor *self, LpNode **node);
bool lp_view_attach(LpTensor *view, LpTensor *self);
/* Refuses out= when gradients would be lost. */
bool lp_out_check(LpTensor *const *outs, int n_outs, bool any_input_wants_grad);

/* The gradient as its argument wants it: summed to its shape (count -1: same shape), cast to its dtype,
 * real when the argument is real. Takes ownership of grad; NULL on error. */
LpTensor *lp_grad_fit(LpTensor *grad, LpInts sizes, LpDtype dtype);

#endif
