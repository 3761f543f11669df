/* Autocast inside the engine: how an op gets its arguments in the dtype that its row asks
 * for. Owned by autocast.c; called by generated code.
 *
 * Note [Autocast]. While it is on in a thread, the generated function of an op asks
 * lp_autocast_try before it does anything else. That casts the tensors among the
 * arguments as the row's `autocast` says and calls the op again, with autocast off, so
 * that what the op itself calls computes as it stands. The casts are ops, so gradients
 * pass through them and come out in the dtype of what was cast.
 *
 * A composite without a class runs on as it is: what it calls has classes of its own. A
 * native op without one is called with autocast off all the same, as its C code relies on
 * the dtypes of the ops that it calls. Neither the in-place nor the out form of an op
 * casts: there the caller has chosen the dtype. */
#ifndef LP_DISPATCH_AUTOCAST_H
#define LP_DISPATCH_AUTOCAST_H

#include "core/value.h"
#include "lampad/autocast.h"
#include "vmap/vmap.h"

/* Do ops of the calling thread cast now? Off outside of a region and, inside of one,
 * while an op works. */
extern _Thread_local bool lp_tls_autocast;

/* Calls the op with its arguments cast: 1, or -1 with the error recorded. The form is
 * PLAIN. */
int lp_autocast_try(const LpOpInfo *op, LpVmapForm form, const LpValue *args,
                    LpValue *results);

/* Switches casting off for what follows, and back on. */
void lp_autocast_pause(void);
void lp_autocast_resume(void);

#endif
