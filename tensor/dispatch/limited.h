/* Which ops take the limited dtypes (lp_dtype_is_limited). Owned by limited.c. */
#ifndef LP_DISPATCH_LIMITED_H
#define LP_DISPATCH_LIMITED_H

#include "core/value.h"
#include "vmap/vmap.h"

/* Note [Limited dtypes]: kernels have no rows for them, so no op but those that limited.c
 * names may see one. From the first such tensor or dtype argument on, lp_vmap_in_use is
 * never 0 again: every op then asks lp_vmap_try, which asks here first. Programs that use
 * none pay nothing.
 *
 * 0: the op goes on. 1: it was computed in a wider dtype, into results. -1: it does not
 * take such a dtype; the error is recorded. */
int lp_limited_try(const LpOpInfo *op, LpVmapForm form, const LpValue *args,
                   LpValue *results);

#endif
