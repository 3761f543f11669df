/* The safetensors format (github.com/huggingface/safetensors): a JSON header, then the
 * bytes of the tensors. Reading checks the whole header against the file first, and
 * copies nothing. */
#ifndef LAMPAD_SAFETENSORS_H
#define LAMPAD_SAFETENSORS_H

#include "lampad/io.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An opened file or buffer: names, types, shapes and texts; the tensors are made on
 * demand. */
typedef struct LpSafetensors LpSafetensors;

/* Opens a file: mapped into memory, or read (use_mmap = false), so that nobody who cuts
 * it short meanwhile can end the process. Fails with LP_ERR_IO when it cannot be read or
 * breaks a rule of the format: a header that is no JSON object or has a key twice; an
 * unknown dtype; offsets that leave the file, overlap, leave holes, or do not fit dtype
 * and shape. Close with lp_safetensors_close; tensors taken from it live on. */
LP_API LpSafetensors *lp_safetensors_open(const char *path, bool use_mmap);
/* The same over the bytes of a contiguous CPU tensor of any dtype. Its memory is kept
 * alive by the result and by the tensors taken, and must not be resized meanwhile. */
LP_API LpSafetensors *lp_safetensors_parse(LpTensor *bytes);
LP_API void lp_safetensors_close(LpSafetensors *s); /* NULL-safe */
/* Do these bytes begin as a safetensors file of file_bytes? (The header is not read.) */
LP_API bool lp_safetensors_recognise(const void *data, size_t size_bytes,
                                     uint64_t file_bytes);

/* Tensors are numbered from 0 in the order of their bytes. Texts and sizes are borrowed.
 */
LP_API int64_t lp_safetensors_count(const LpSafetensors *s);
LP_API int64_t lp_safetensors_find(const LpSafetensors *s,
                                   const char *name); /* -1: none */
LP_API const char *lp_safetensors_name(const LpSafetensors *s, int64_t i);
LP_API const char *lp_safetensors_type(const LpSafetensors *s,
                                       int64_t i); /* "F32", "F8_E4M3", ... */
LP_API LpDtype lp_safetensors_dtype(const LpSafetensors *s,
                                    int64_t i); /* NONE: the engine has none */
LP_API LpInts lp_safetensors_sizes(const LpSafetensors *s, int64_t i);
LP_API size_t lp_safetensors_bytes(const LpSafetensors *s, int64_t i);
/* The tensor over the file's own memory (a copy where that is not aligned for its dtype,
 * or holds booleans that are neither 0 nor 1). Writes to it do not reach the file. Owned.
 * LP_ERR_TYPE for types that the engine does not have. */
LP_API LpTensor *lp_safetensors_tensor(const LpSafetensors *s, int64_t i);

typedef struct LpTextPair {
  const char *key, *value;
} LpTextPair;

/* The texts under "__metadata__". */
LP_API int64_t lp_safetensors_metadata_count(const LpSafetensors *s);
LP_API LpTextPair lp_safetensors_metadata(const LpSafetensors *s, int64_t i);

/* Writes the tensors, which must be contiguous and not share memory, and the texts to a
 * file (atomically) or to memory (for lp_bytes_free), byte by byte as the Python package
 * does: ordered by dtype, then name. Names are UTF-8 and differ. complex128 has no type
 * in this format. */
LP_API bool lp_safetensors_save_file(const char *path, const LpNamedTensor *tensors,
                                     int64_t count, const LpTextPair *metadata,
                                     int64_t metadata_count);
LP_API bool lp_safetensors_save(const LpNamedTensor *tensors, int64_t count,
                                const LpTextPair *metadata, int64_t metadata_count,
                                uint8_t **data, size_t *size_bytes);

#ifdef __cplusplus
}
#endif
#endif
