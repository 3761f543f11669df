/* Autocast for C hosts: ops that choose their precision by themselves, as torch.autocast
 * does. The state belongs to the calling thread; a new thread starts without. */
#ifndef LAMPAD_AUTOCAST_H
#define LAMPAD_AUTOCAST_H

#include "lampad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct LpAutocastState {
  bool enabled;
  LpDtype dtype; /* of ops that run in lower precision */
} LpAutocastState;

/* Of tensors on devices of the type. */
LP_API LpAutocastState lp_autocast_state(LpDeviceType type);
LP_API void lp_set_autocast_state(LpDeviceType type, LpAutocastState state);

/* Weights (leaves of float32 that require grad) are cast once while the cache is enabled,
 * and kept until it is cleared, which the outermost region does at its end:
 * lp_autocast_nest(-1) then returns 0. */
LP_API bool lp_autocast_cache_enabled(void);
LP_API void lp_set_autocast_cache_enabled(bool enabled);
LP_API void lp_autocast_clear_cache(void);
/* Enters (1) or leaves (-1) a region; how many are open then. */
LP_API int lp_autocast_nest(int step);

#ifdef __cplusplus
}
#endif
#endif
