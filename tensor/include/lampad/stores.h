/* Readers of LMDB and HDF5 files. Their libraries are opened at the first use; where they are not installed, that is an
 * error which says so. Nothing else needs them. */
#ifndef LAMPAD_STORES_H
#define LAMPAD_STORES_H

#include "lampad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- LMDB: keys and values ---------------------------------------------------------------------- */
typedef struct LpLmdb LpLmdb;
/* A folder with data.mdb, or the file itself, read only. Opening it again in one process gives the same one: threads may share
 * it. NULL with LP_ERR_IO. */
LP_API LpLmdb *lp_lmdb_open(const char *path);
LP_API void lp_lmdb_close(LpLmdb *db); /* NULL-safe */
LP_API bool lp_lmdb_count(LpLmdb *db, int64_t *count);
/* The value's bytes, uint8 (n), owned. NULL with *found false, and no error, when there is no such key. */
LP_API LpTensor *lp_lmdb_get(LpLmdb *db, const void *key, size_t key_bytes, bool *found);
/* Calls visit with every key in their order, until it returns false. */
LP_API bool lp_lmdb_keys(LpLmdb *db, bool (*visit)(void *ctx, const void *key, size_t key_bytes), void *ctx);

/* --- HDF5: arrays by name ------------------------------------------------------------------------- */
typedef struct LpHdf5 LpHdf5;
LP_API LpHdf5 *lp_hdf5_open(const char *path);
LP_API void lp_hdf5_close(LpHdf5 *file); /* NULL-safe */
/* Calls visit with the path of every array of numbers ("/group/name"), until it returns false. */
LP_API bool lp_hdf5_names(LpHdf5 *file, bool (*visit)(void *ctx, const char *name), void *ctx);
/* At most 16 dims. */
LP_API bool lp_hdf5_shape(LpHdf5 *file, const char *name, int64_t sizes[16], int64_t *ndim, LpDtype *dtype);
/* Rows [start, start + count) of the first dim; count -1: all of the array, also one without dims. Owned. */
LP_API LpTensor *lp_hdf5_read(LpHdf5 *file, const char *name, int64_t start, int64_t count);

#ifdef __cplusplus
}
#endif
#endif
