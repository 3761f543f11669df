/* What the readers of the formats share: a loader, its storages by key, tensors made of a
 * file's bytes. Owned by load.c, which tells the formats apart; load_zip.c, load_legacy.c
 * and load_arrays.c read them. Internal to tensor/io. */
#ifndef LP_IO_LOAD_H
#define LP_IO_LOAD_H

#include "io/pickle.h"
#include "io/zip.h"

#define LP_MAX_PICKLE_BYTES ((uint64_t)1 << 30)
#define LP_MAX_KEY_BYTES 64

/* Note [Three ways to load]: a file's tensors are read into memory; or they are the pages
 * of the mapped file, where the format lets them be; or the file is only described:
 * everything is checked but the elements, which are not read. A described tensor lies
 * over the mapped file where it can, else over pages of zeros that take no memory. */
typedef enum LpLoadMode { LP_LOAD_READ, LP_LOAD_MAP, LP_LOAD_DESCRIBE } LpLoadMode;

typedef struct LpStored {
  const char *key;
  size_t key_bytes;
  LpIoValue *value;
} LpStored;

/* A tensor whose bytes are read once the pickle has been, all at once. */
typedef struct LpPending {
  const LpZipEntry *entry;
  LpTensor *tensor; /* owned */
} LpPending;

typedef struct LpLoader {
  LpSource *source;
  LpIoTree *tree;
  LpLoadMode mode;
  LpZip zip;
  const char *prefix; /* of the archive's names: "archive/" */
  size_t prefix_bytes;
  const char *folder; /* where storages lie: "data/" */
  bool is_big_endian;
  LpStored *stored; /* open addressing; capacity is a power of two */
  size_t stored_count, stored_capacity;
  LpPending *pending;
  size_t pending_count, pending_capacity;
  uint64_t claimed_bytes; /* of storages whose bytes follow later */
} LpLoader;

/* ('storage', class, key, location, number of elements, view): what a pickle keeps apart.
 */
typedef struct LpStorageId {
  LpDtype dtype;
  bool is_untyped;
  const char *key;
  size_t key_bytes;
  const LpIoValue *location, *view;
  int64_t numel;
  char buf[LP_MAX_KEY_BYTES];
} LpStorageId;

bool lp_load_damaged(const char *what);
/* Notes a fact about the file for lp_io_tree_info; the text is copied. */
bool lp_load_note(LpLoader *l, const char *name, const char *text, size_t size_bytes);
bool lp_load_note_int(LpLoader *l, const char *name, int64_t value);

/* Storages and tensors by key; find gives NULL when there is none. */
LpIoValue *lp_load_find(LpLoader *l, const char *key, size_t n);
bool lp_load_keep(LpLoader *l, const char *key, size_t n, LpIoValue *value);
void lp_load_forget_all(LpLoader *l);
/* The key as text: a string, or in the oldest files an integer, written to buf. */
bool lp_load_key(const LpIoValue *v, char *buf, const char **key, size_t *n);

bool lp_load_read_id(const LpIoValue *id, LpStorageId *s);
/* `known`, when it is the storage that the id asks for. */
LpIoValue *lp_load_check_known(LpIoValue *known, const LpStorageId *s);
/* A storage value over the tensor, which it takes over; NULL for NULL. */
LpIoValue *lp_load_new_storage(LpLoader *l, LpTensor *t, LpDtype dtype, bool is_untyped,
                               const LpIoValue *location);
/* The part of a storage that old files call a view. */
LpIoValue *lp_load_view(LpLoader *l, LpIoValue *root, int64_t offset, int64_t count);
/* Brings bytes that were read into the form of memory: byte order, and truths of 0 and 1.
 */
void lp_load_settle(LpLoader *l, LpTensor *t);
/* A tensor over bytes of the mapped file, which it keeps; NULL without an error when they
 * cannot be used there. */
LpTensor *lp_load_map(LpLoader *l, uint64_t at, LpInts sizes, LpDtype dtype);
/* A tensor of zeros that takes no memory, for descriptions. */
LpTensor *lp_load_placeholder(LpInts sizes, LpDtype dtype);

/* The formats: each sets the tree's root. */
bool lp_load_zip(LpLoader *l);
bool lp_load_npz(LpLoader *l); /* of the opened zip */
bool lp_load_legacy(LpLoader *l);
bool lp_load_tar_probe(LpSource *source);
bool lp_load_tar(LpLoader *l);
bool lp_load_npy(LpLoader *l);
bool lp_load_safetensors(LpLoader *l);

#endif
