/* Tensors for C hosts: creation, metadata, reference counts, raw data.
 * Ops are in lampad/ops.h (generated from the op schema), gradients in lampad/autograd.h.
 * Ownership: arguments are borrowed, returned tensors are owned by the caller. */
#ifndef LAMPAD_TENSOR_H
#define LAMPAD_TENSOR_H

#include "lampad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- dtypes ------------------------------------------------------------------------------ */
LP_API const char *lp_dtype_name(LpDtype dtype); /* "float32" */
LP_API size_t lp_dtype_size(LpDtype dtype);      /* bytes per element */
LP_API bool lp_dtype_is_floating(LpDtype dtype); /* float8s, float16, bfloat16, float32, float64 */
LP_API bool lp_dtype_is_complex(LpDtype dtype);
LP_API bool lp_dtype_is_integral(LpDtype dtype, bool include_bool);
/* uint16, uint32, uint64 and the float8s: see base.h. */
LP_API bool lp_dtype_is_limited(LpDtype dtype);
LP_API LpDtype lp_promote_types(LpDtype a, LpDtype b);
LP_API LpDtype lp_default_dtype(void);
LP_API bool lp_set_default_dtype(LpDtype dtype);
/* The dtype of the real part: complex64 -> float32; others unchanged. */
LP_API LpDtype lp_dtype_to_real(LpDtype dtype);
LP_API LpDtype lp_dtype_to_complex(LpDtype dtype);
/* The dtype a scalar has on its own: bool, int64, default float, default complex. */
LP_API LpDtype lp_scalar_dtype(LpScalar scalar);

/* --- life -------------------------------------------------------------------------------- */
/* Uninitialised contiguous tensor. */
LP_API LpTensor *lp_tensor_new(LpInts sizes, LpDtype dtype, LpDevice device);
/* Same with explicit strides (elements); the storage covers exactly the reachable elements. */
LP_API LpTensor *lp_tensor_new_strided(LpInts sizes, LpInts strides, LpDtype dtype, LpDevice device);
/* A contiguous CPU tensor over the caller's memory; free_fn(ctx, data) runs when the last user ends (may be NULL). */
LP_API LpTensor *lp_tensor_from_blob(void *data, LpInts sizes, LpDtype dtype,
                                     void (*free_fn)(void *ctx, void *data), void *ctx);
/* A 0-d CPU tensor holding the scalar in the given dtype. */
LP_API LpTensor *lp_tensor_from_scalar(LpScalar value, LpDtype dtype);
LP_API LpTensor *lp_tensor_retain(LpTensor *t);  /* NULL-safe; returns t */
LP_API void lp_tensor_release(LpTensor *t);      /* NULL-safe */
LP_API void lp_tensor_vec_free(LpTensorVec *vec);
/* A shape-sharing alias over any geometry of the same storage; no autograd history. */
LP_API LpTensor *lp_tensor_alias(LpTensor *t, LpInts sizes, LpInts strides, int64_t offset_elems);
/* The same geometry and storage without autograd history; shares the version counter. */
LP_API LpTensor *lp_tensor_shallow(LpTensor *t);

/* --- metadata ---------------------------------------------------------------------------- */
LP_API int64_t lp_ndim(const LpTensor *t);
LP_API int64_t lp_size(const LpTensor *t, int64_t dim);   /* dim already wrapped */
LP_API int64_t lp_stride(const LpTensor *t, int64_t dim); /* elements */
LP_API LpInts lp_sizes(const LpTensor *t);
LP_API LpInts lp_strides(const LpTensor *t);
LP_API int64_t lp_numel(const LpTensor *t);
LP_API int64_t lp_storage_offset(const LpTensor *t);
LP_API LpDtype lp_dtype(const LpTensor *t);
LP_API LpDevice lp_device(const LpTensor *t);
LP_API size_t lp_storage_bytes(const LpTensor *t);
LP_API bool lp_is_contiguous(const LpTensor *t, LpMemoryFormat format);
LP_API bool lp_is_same_storage(const LpTensor *a, const LpTensor *b);
/* Address of the first element. Who writes there tells of it by lp_bump_version: autograd and kept copies of weights
 * rely on it. */
LP_API void *lp_data(const LpTensor *t);
/* Counts in-place writes to the memory; shared by a tensor, its views and its detach(). */
LP_API uint32_t lp_version(const LpTensor *t);
LP_API void lp_bump_version(LpTensor *t);
/* The value of a one-element tensor. */
LP_API bool lp_item(LpTensor *t, LpScalar *result);

#ifdef __cplusplus
}
#endif
#endif
