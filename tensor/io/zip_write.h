/* Writing zip archives: PyTorch's checkpoints and NumPy's .npz. Owned by zip_write.c;
 * knows nothing of tensors. */
#ifndef LP_IO_ZIP_WRITE_H
#define LP_IO_ZIP_WRITE_H

#include "io/write.h"

#define LP_ZIP_ALIGN_BYTES 64

enum {                   /* how a member is written */
       LP_ZIP_ALIGN = 1, /* its bytes begin at a multiple of LP_ZIP_ALIGN_BYTES */
       LP_ZIP_DEFLATE = 2,
       LP_ZIP_LONG = 4 /* with 64-bit sizes even when they are small, as NumPy does */
};

typedef struct LpZipWriter {
  LpWriter *writer; /* borrowed: opened and finished by the caller */
  struct LpZipWritten *members;
  size_t count, capacity;
} LpZipWriter;

/* Appends a member: the parts one after the other. Names are UTF-8 and at most 65535
 * bytes long. On failure the writer may be aborted already. */
bool lp_zip_put(LpZipWriter *zip, const char *name, const LpBytes *parts,
                size_t part_count, int how);
/* Writes the directory, the archive's end. */
bool lp_zip_put_end(LpZipWriter *zip);
/* What the writer of the archive itself holds; whether it succeeded or not. */
void lp_zip_writer_free(LpZipWriter *zip);

#endif
