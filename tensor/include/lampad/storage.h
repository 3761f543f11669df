/* The memory behind tensors: whole storages as tensors, memory shared with child
 * processes, files mapped into memory, and what the library was built with. */
#ifndef LAMPAD_STORAGE_H
#define LAMPAD_STORAGE_H

#include "lampad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All of t's storage as a 1-d tensor of the dtype, sharing its memory; no history. */
LP_API LpTensor *lp_storage_tensor(LpTensor *t, LpDtype dtype);

/* Moves t's storage (with all tensors over it) to memory that processes forked later share.
 * Addresses from before are no longer valid. */
LP_API bool lp_storage_share(LpTensor *t);
LP_API bool lp_storage_is_shared(const LpTensor *t);

/* A 1-d tensor of the file's first `count` elements, read as they are touched. Not shared:
 * writes stay in memory. Shared: writes go to the file, which is made, or made larger, when
 * need be. Fails with LP_ERR_IO. */
LP_API LpTensor *lp_tensor_from_file(const char *path, bool shared, int64_t count,
                                     LpDtype dtype);

/* Compiler, BLAS, oneDNN and the chosen instruction set, one a line. */
LP_API const char *lp_build_info(void);

/* May float32 convolutions of 3 x 3 take Winograd's algorithm? It is up to three times faster than the direct one, with
 * rounding errors a few times larger (nn/cpu/winograd.h). On unless it was turned off; for the whole process. */
LP_API bool lp_allow_winograd(void);
LP_API void lp_set_allow_winograd(bool allow);
/* Whether tiny (subnormal) floats become zero in the calling thread; false where the
 * processor cannot. */
LP_API bool lp_set_flush_denormal(bool on);

#ifdef __cplusplus
}
#endif
#endif
