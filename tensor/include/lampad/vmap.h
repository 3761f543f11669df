/* Batched tensors for C hosts: what torch.vmap is made of. Inside a level, a batched
 * tensor looks like one example: its sizes lack the mapped dim, and every op of
 * lampad/ops.h on it computes the whole batch. */
#ifndef LAMPAD_VMAP_H
#define LAMPAD_VMAP_H

#include "lampad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What random ops do inside a level: refuse, draw the same numbers for every example, or
 * different ones. */
typedef enum LpVmapRandomness {
  LP_VMAP_ERROR,
  LP_VMAP_SAME,
  LP_VMAP_DIFFERENT
} LpVmapRandomness;

/* Opens a level for batches of `batch` examples in the calling thread; its number (> 0),
 * or 0 with the error recorded. Levels nest; lp_vmap_leave closes the level and those
 * inside it. */
LP_API uint32_t lp_vmap_enter(int64_t batch, LpVmapRandomness randomness);
LP_API void lp_vmap_leave(uint32_t level);

/* How many levels are open in the calling thread. */
LP_API int lp_vmap_depth(void);

/* t as a batch of the level: the examples are along `dim` (in [-ndim, ndim)). Owned. */
LP_API LpTensor *lp_vmap_wrap(LpTensor *t, int64_t dim, uint32_t level);
/* The batch behind t with the examples along `dim` of the result; a t that the level does
 * not batch is repeated for every example. Owned. */
LP_API LpTensor *lp_vmap_unwrap(LpTensor *t, int64_t dim, uint32_t level);
/* Is t a batch of this level (0: of any)? */
LP_API bool lp_vmap_is_batched(const LpTensor *t, uint32_t level);
/* The level of a batched tensor, 0 for others, and the batch behind it, its examples
 * along dim 0 (borrowed). */
LP_API uint32_t lp_vmap_level_of(const LpTensor *t);
LP_API LpTensor *lp_vmap_physical(const LpTensor *t);

#ifdef __cplusplus
}
#endif
#endif
