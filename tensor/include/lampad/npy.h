/* NumPy's files: .npy (numpy.org/doc/stable/reference/generated/numpy.lib.format.html):
 * one array with its type and shape. */
#ifndef LAMPAD_NPY_H
#define LAMPAD_NPY_H

#include "lampad/io.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Does a .npy file begin so? */
LP_API bool lp_npy_recognise(const void *data, size_t size_bytes);

/* Reads the array of a file, versions 1.0 to 3.0, of any byte order, C or Fortran order
 * (which gives a tensor with Fortran's strides); what follows the array is ignored. With
 * use_mmap the file is mapped instead of read, and writes stay in memory. Fails with
 * LP_ERR_IO for a damaged file, with LP_ERR_TYPE for types that the engine does not have;
 * pickled objects are refused. Owned. */
LP_API LpTensor *lp_npy_load(const char *path, bool use_mmap);
/* The same over the bytes of a contiguous CPU tensor, whose memory the result shares
 * where the elements lie aligned and in the machine's byte order. */
LP_API LpTensor *lp_npy_parse(LpTensor *bytes);

/* Writes the tensor to a file (atomically) or to memory (for lp_bytes_free), byte by byte
 * as numpy.save: little-endian, in Fortran order when that is how it lies in memory, else
 * in C order. */
LP_API bool lp_npy_save_file(const char *path, LpTensor *t);
LP_API bool lp_npy_save(LpTensor *t, uint8_t **data, size_t *size_bytes);

/* An opened .npz archive: the names of its arrays, without ".npy"; arrays are read on
 * demand. */
typedef struct LpNpz LpNpz;

/* Fails with LP_ERR_IO for what is no zip archive or a damaged one. */
LP_API LpNpz *lp_npz_open(const char *path);
LP_API void lp_npz_close(LpNpz *npz); /* NULL-safe */
/* In the order of the archive; members that are no .npy files are left out. Names are
 * borrowed. */
LP_API int64_t lp_npz_count(const LpNpz *npz);
LP_API const char *lp_npz_name(const LpNpz *npz, int64_t i);
/* Reads (and unpacks) an array, its checksum tested. Owned. */
LP_API LpTensor *lp_npz_tensor(LpNpz *npz, int64_t i);

/* Writes an archive (atomically) as numpy.savez, or with `compress` as
 * numpy.savez_compressed. Names are UTF-8, without ".npy", and differ. */
LP_API bool lp_npz_save_file(const char *path, const LpNamedTensor *tensors,
                             int64_t count, bool compress);

#ifdef __cplusplus
}
#endif
#endif
