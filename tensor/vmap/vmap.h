/* torch.vmap inside the engine.
 *
 * Note [Batched tensors]. A batched tensor is a header with one example's sizes and
 * strides over the whole batch's memory, and `physical`, the batch itself with the
 * examples along dim 0. Whatever asks for sizes, dtypes or versions needs no change. An
 * op called on one does not reach its kernel: the generated function asks lp_vmap_try,
 * which calls the same op (or others) on the physical tensors and wraps the results.
 * Several levels nest: a physical tensor may itself be a batch of an outer level.
 *
 * Note [Batches and gradients]. Each header may have an autograd record of its own. The
 * generated function records an op on the logical tensors first, when they ask for it
 * (torch.func.grad inside vmap); then vmap calls the op on the physical tensors, where it
 * is recorded again if they ask for it (a backward outside of vmap). So both orders of
 * nesting, and any depth, come out right without knowing of each other.
 *
 * Owned by vmap.c; the rules of ops are in rules*.c. Called by generated code and by
 * autograd. */
#ifndef LP_VMAP_VMAP_H
#define LP_VMAP_VMAP_H

#include "core/tensor.h"
#include "core/value.h"
#include "lampad/vmap.h"

/* How many levels are in force in this thread. Ops look at lp_vmap_in_use
 * (core/tensor.h), which is 0 where nobody uses vmap: that look is all they pay for it.
 */
extern _Thread_local int lp_tls_vmap_depth;

typedef enum LpVmapForm { LP_VMAP_PLAIN, LP_VMAP_INPLACE, LP_VMAP_OUT } LpVmapForm;

/* What a generated function asks with its arguments boxed: lp_vmap_try, lp_autocast_try.
 */
typedef int LpBoxedTry(const LpOpInfo *op, LpVmapForm form, const LpValue *args,
                       LpValue *results);

/* Runs the op over a batch: 0 when there is nothing to do (no argument is batched), 1
 * when the results (owned, as LpOpInfo.call gives them) are filled in, -1 on an error. In
 * place, args[0] is written. */
int lp_vmap_try(const LpOpInfo *op, LpVmapForm form, const LpValue *args,
                LpValue *results);

/* t with a batch dim for every open level, repeated where it has none. Owned; outside of
 * vmap t itself. */
LpTensor *lp_vmap_batch_fully(LpTensor *t);
/* The same with memory for every example, so that anything may be written into it. Takes
 * t over. */
LpTensor *lp_vmap_writable(LpTensor *owned);
/* Memory for a tensor of this geometry, batched as `like` is. Owned, not initialised. */
LpTensor *lp_vmap_new_strided(LpTensor *like, LpInts sizes, LpInts strides,
                              LpDtype dtype);

#endif
