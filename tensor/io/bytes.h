/* Tensors over bytes of a file: what the formats share. Owned by bytes.c. */
#ifndef LP_IO_BYTES_H
#define LP_IO_BYTES_H

#include "core/tensor.h"

/* The whole file as a uint8 tensor, mapped; writes stay in memory. LP_ERR_IO when it
 * cannot be read. */
LpTensor *lp_bytes_map(const char *path);

/* The whole file as a uint8 tensor, read. LP_ERR_IO when it cannot be, or changes its
 * length meanwhile. */
LpTensor *lp_bytes_read(const char *path);

/* A contiguous tensor over little-endian elements at `data`, which lies in the storage of
 * `owner` and keeps that alive. Memory that is not aligned for the dtype, and booleans
 * other than 0 and 1, are copied. The caller has checked that the elements lie within the
 * storage. */
LpTensor *lp_bytes_view(LpTensor *owner, const uint8_t *data, LpInts sizes,
                        LpDtype dtype);

#endif
