/* Reading pickles: the machine (pickle.c) and what it may make of named classes
 * (rebuild.c). Nothing here runs anything: a class or function that is not in rebuild.c's
 * table gives an inert record. */
#ifndef LP_IO_PICKLE_H
#define LP_IO_PICKLE_H

#include "io/tree.h"

/* Who reads the pickle: gives the objects that it stores apart (storages, tensors). */
typedef struct LpPickleHost {
  void *ctx;
  LpIoValue *(*load)(void *ctx, LpIoValue *id); /* NULL with the error recorded */
  bool takes_tuples; /* ids also stand bare among a function's arguments */
} LpPickleHost;

typedef struct LpPickle {
  LpIoTree *tree;
  const uint8_t *data; /* lives as long as the tree: strings point into it */
  size_t size_bytes;
  LpPickleHost host;
  size_t at;    /* out: the bytes read */
  bool ran_out; /* out: it failed because the bytes end too early */
} LpPickle;

/* The value of the pickle that starts at p->at; NULL with LP_ERR_IO recorded. */
LpIoValue *lp_pickle_read(LpPickle *p);

/* --- rebuild.c
 * ----------------------------------------------------------------------------- */
/* What a pickle names: a dtype, a known function or class, or an inert one. */
LpIoValue *lp_rebuild_global(LpIoTree *tree, const char *module, size_t module_bytes,
                             const char *name, size_t name_bytes);
/* callee(*args, **kwargs), as far as it is known; kwargs may be NULL. */
LpIoValue *lp_rebuild_call(LpIoTree *tree, LpIoValue *callee, LpIoValue *args,
                           LpIoValue *kwargs);
/* object.__setstate__(state) */
bool lp_rebuild_state(LpIoTree *tree, LpIoValue *object, LpIoValue *state);
/* object.append(item), object[key] = item */
bool lp_rebuild_append(LpIoTree *tree, LpIoValue *object, LpIoValue *item);
bool lp_rebuild_set(LpIoTree *tree, LpIoValue *object, LpIoValue *key, LpIoValue *item);
/* The dtype of a storage class (torch.FloatStorage); is_untyped: torch.UntypedStorage. */
bool lp_rebuild_storage_type(const LpIoValue *v, LpDtype *dtype, bool *is_untyped);
/* A tensor over a storage value, every bound checked. */
LpIoValue *lp_rebuild_tensor(LpIoTree *tree, LpIoValue *storage, LpDtype dtype,
                             int64_t offset, const LpIoValue *sizes,
                             const LpIoValue *strides, int flags);

#endif
