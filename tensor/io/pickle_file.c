/* A file that holds one pickle and nothing else, as data sets in Python's format are. */
#include "io/pickle.h"
#include "io/source.h"

#define MAX_PICKLE_BYTES ((size_t)1 << 31)

static bool read_all(LpIoTree *tree, LpSource *source) {
  const size_t n = source->size_bytes;
  CHECK(n > 0, LP_ERR_IO, "the file is empty");
  CHECK(n <= MAX_PICKLE_BYTES, LP_ERR_IO,
        "the pickle is larger than the limit of %zu MiB", MAX_PICKLE_BYTES >> 20);
  uint8_t *bytes = lp_io_tree_alloc(tree, n + 1);
  if (!bytes || !lp_source_read(source, 0, bytes, n)) return false;
  LpPickle p = {.tree = tree, .data = bytes, .size_bytes = n};
  LpIoValue *root = lp_pickle_read(&p);
  if (!root) return false;
  lp_io_tree_set_root(tree, root);
  lp_io_tree_set_format(tree, "pickle");
  return true;
}

LpIoTree *lp_pickle_open(const char *path) {
  LpSource *source = lp_source_open(path, false);
  if (!source) return NULL;
  LpIoTree *tree = lp_io_tree_new();
  const bool ok = tree && read_all(tree, source);
  lp_source_release(source);
  if (ok) return tree;
  lp_io_tree_free(tree);
  return NULL;
}
