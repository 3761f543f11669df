/* Tensors over bytes of a file: what the formats share. Owned by bytes.c. */
#ifndef LP_IO_BYTES_H
#define LP_IO_BYTES_H

#include "core/tensor.h"
#include "io/source.h"

/* A new tensor that bytes are going to be read to. Huge pages back it but for its end: a
 * file of many tensors would otherwise take a megabyte more than it has for each. */
LpTensor *lp_bytes_new(LpInts sizes, LpDtype dtype);

/* The whole file as a uint8 tensor, mapped; writes stay in memory. LP_ERR_IO when it
 * cannot be read. */
LpTensor *lp_bytes_map(const char *path);

/* The whole file as a uint8 tensor, read. LP_ERR_IO when it cannot be, or changes its
 * length meanwhile. */
LpTensor *lp_bytes_read(const char *path);

/* A contiguous tensor over the elements at that place of a mapped file, which it keeps;
 * NULL without an error when the file is not mapped or they are not aligned there. */
LpTensor *lp_bytes_of_source(LpSource *source, uint64_t at, LpInts sizes, LpDtype dtype);

/* A contiguous tensor over little-endian elements at `data`, which lies in the storage of
 * `owner` and keeps that alive. Memory that is not aligned for the dtype, and booleans
 * other than 0 and 1, are copied. The caller has checked that the elements lie within the
 * storage. */
LpTensor *lp_bytes_view(LpTensor *owner, const uint8_t *data, LpInts sizes,
                        LpDtype dtype);

#endif
