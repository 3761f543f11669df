/* Parts of the .npy format that .npz archives use too. Owned by npy.c. */
#ifndef LP_IO_NPY_H
#define LP_IO_NPY_H

#include "core/tensor.h"
#include "io/source.h"
#include "lampad/npy.h"

#define LP_NPY_MAX_HEADER_BYTES 2048 /* 64 dims of 19 digits fit */

/* The archive in that source, which it keeps. Arrays of a mapped one lie over its pages
 * where they are not packed. */
LpNpz *lp_npz_of_source(LpSource *source);

/* An array ready to be written: the header, then the elements. */
typedef struct LpNpyImage {
  char header[LP_NPY_MAX_HEADER_BYTES];
  size_t header_bytes;
  LpTensor *packed; /* owned: keeps the elements; released by the caller */
  const void *data;
  size_t data_bytes;
} LpNpyImage;

/* Fails with LP_ERR_TYPE for dtypes that NumPy does not have. */
bool lp_npy_image(LpTensor *t, LpNpyImage *image);

#endif
