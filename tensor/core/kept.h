/* Weights in the form that a kernel wants, kept with the storage of the weights.
 *
 * Note [Kept weights]: without a gradient the same weights serve call after call. Packed
 * for the kernel (for Winograd already transformed) they stay with their storage until
 * its stamp says that it was written to. Where a gradient is recorded the weights change
 * with every step, and packing anew is cheaper than holding both forms. All forms
 * together take at most a quarter of the machine's memory. */
#ifndef LP_CORE_KEPT_H
#define LP_CORE_KEPT_H

#include "core/tensor.h"

typedef struct LpKept LpKept;

/* Forms of our own kernels: a key begins with one of these, so that no two are alike.
 * The library's form has its description as a key, which is longer than all of them. */
enum {
  LP_KEPT_SPLIT_B = 1,
  LP_KEPT_WINOGRAD,
  LP_KEPT_TILES,
  LP_KEPT_WINDOWS,
  LP_KEPT_RNN_PANELS,
  LP_KEPT_RNN_TILES
};

/* Writes the packed form; false when it cannot. */
typedef bool (*LpPack)(void *ctx, void *memory);

/* The packed form of `bytes` bytes, made by pack(ctx, memory) unless it is there; the key
 * tells one form from others. Hand back with lp_kept_leave. NULL, and no error, when
 * there is no memory for it, or when the contents of the weights may change without the
 * engine's knowledge, or weight is NULL: then go without. */
LpKept *lp_kept_enter(const LpTensor *weight, const void *key, size_t key_bytes,
                      size_t bytes, LpPack pack, void *ctx);
/* Was this form asked for before, while the weights had the same contents? Where they may
 * be anybody's, the second use tells that there will be more. */
bool lp_kept_met(const LpTensor *weight, const void *key, size_t key_bytes);
void *lp_kept_memory(const LpKept *kept);
void lp_kept_leave(LpKept *kept);

#endif
