/* The tree of values behind lampad/checkpoint.h: an arena of values and bytes with a
 * limit. Owned by tree.c; used by the readers and the writer of tensor/io. */
#ifndef LP_IO_TREE_H
#define LP_IO_TREE_H

#include <string.h>
#include "core/tensor.h"
#include "lampad/checkpoint.h"

/* Bytes that live as long as the tree; NULL when there is no memory or the limit is hit.
 */
void *lp_io_tree_alloc(LpIoTree *tree, size_t size_bytes);
/* Bounds what may be taken from here on by the size of the pickle that is read; 0: only
 * the limit of all holds again. */
void lp_io_tree_limit(LpIoTree *tree, size_t pickle_bytes);
/* Counts bytes taken elsewhere; false when that is over the limit. */
bool lp_io_tree_charge(LpIoTree *tree, size_t size_bytes);
/* As lp_io_text, but the bytes are borrowed: they live as long as the tree. */
LpIoValue *lp_io_slice(LpIoTree *tree, LpIoKind kind, const char *data,
                       size_t size_bytes);
/* Values that nobody may change: the tree has each small integer, truth and None once. */
LpIoValue *lp_io_int(LpIoTree *tree, int64_t i);
LpIoValue *lp_io_bool(LpIoTree *tree, bool b);
LpIoValue *lp_io_none(LpIoTree *tree);
/* A new dict or list with room of its own. */
bool lp_io_has_items(const LpIoValue *v);
/* Adds to lp_io_tree_info. */
bool lp_io_tree_note(LpIoTree *tree, LpIoValue *key, LpIoValue *value);
void lp_io_tree_set_format(LpIoTree *tree, const char *format);

static inline bool lp_io_is(const LpIoValue *v, LpIoKind kind) {
  return v && v->kind == kind;
}
static inline bool lp_io_is_text(const LpIoValue *v, const char *text) {
  return v && (v->kind == LP_IO_STRING || v->kind == LP_IO_BYTES) &&
         v->as.text.size_bytes == strlen(text) &&
         memcmp(v->as.text.data, text, v->as.text.size_bytes) == 0;
}
/* The value of a string key, or NULL. */
LpIoValue *lp_io_get(const LpIoValue *dict, const char *key);
/* "int", "dict", ...: for messages. */
const char *lp_io_kind_name(const LpIoValue *v);

#endif
