/* The tree of values: see tree.h and lampad/checkpoint.h. Knows nothing of files. */
#include "io/tree.h"
#include "core/alloc.h"

#if defined(__SANITIZE_ADDRESS__) || defined(LP_NO_CACHE)
#define CHUNK_BYTES                                                                      \
  ((size_t)0) /* each block its own, so that steps past its end are seen */
#else
#define CHUNK_BYTES ((size_t)1 << 16)
#endif
#define BLOCK_VALUES ((size_t)512)
#define SHARED_INTS 1024              /* 0 to 1023: most sizes, strides and offsets */
#define LIMIT_BYTES ((size_t)2 << 30) /* of all */
/* An opcode of one byte makes a value and its place in a list, some hundred bytes. What
 * takes more than this has the file copy a large value again and again. */
#define PICKLE_BASE_BYTES ((size_t)1 << 20)
#define PICKLE_FACTOR 256

typedef struct Chunk {
  struct Chunk *next;
  size_t size_bytes, used_bytes;
} Chunk;

typedef struct Block {
  LpIoValue values[BLOCK_VALUES];
} Block;

struct LpIoTree {
  Chunk *chunks;
  Block **blocks;
  size_t block_count, block_capacity, value_count;
  size_t total_bytes, limit_bytes;
  LpIoValue *root, *info;
  LpIoValue *none, *truths[2], *ints[SHARED_INTS];
  const char *format;
};

LpIoTree *lp_io_tree_new(void) {
  LpIoTree *tree = lp_calloc(sizeof *tree);
  if (tree) tree->format = "", tree->limit_bytes = LIMIT_BYTES;
  return tree;
}

void lp_io_tree_free(LpIoTree *tree) {
  if (!tree) return;
  for (size_t i = 0; i < tree->value_count; i++) {
    LpIoValue *v = lp_io_tree_value(tree, i);
    if (v->kind == LP_IO_TENSOR || v->kind == LP_IO_STORAGE)
      lp_tensor_release(v->as.tensor.tensor);
  }
  for (size_t i = 0; i < tree->block_count; i++) lp_free(tree->blocks[i], sizeof(Block));
  lp_free(tree->blocks, tree->block_capacity * sizeof *tree->blocks);
  while (tree->chunks) {
    Chunk *next = tree->chunks->next;
    lp_free(tree->chunks, tree->chunks->size_bytes);
    tree->chunks = next;
  }
  lp_free(tree, sizeof *tree);
}

LpIoValue *lp_io_tree_root(const LpIoTree *tree) {
  return tree->root;
}

void lp_io_tree_set_root(LpIoTree *tree, LpIoValue *root) {
  tree->root = root;
}

const char *lp_io_tree_format(const LpIoTree *tree) {
  return tree->format;
}

LpIoValue *lp_io_tree_info(const LpIoTree *tree) {
  return tree->info;
}

bool lp_io_tree_note(LpIoTree *tree, LpIoValue *key, LpIoValue *value) {
  if (!tree->info) tree->info = lp_io_new(tree, LP_IO_DICT);
  return tree->info && lp_io_append(tree, tree->info, key) &&
         lp_io_append(tree, tree->info, value);
}

void lp_io_tree_set_format(LpIoTree *tree, const char *format) {
  tree->format = format;
}

LpIoValue *lp_io_tree_value(const LpIoTree *tree, size_t number) {
  if (number >= tree->value_count) return NULL;
  return &tree->blocks[number / BLOCK_VALUES]->values[number % BLOCK_VALUES];
}

void lp_io_tree_limit(LpIoTree *tree, size_t pickle_bytes) {
  const size_t room = LIMIT_BYTES - tree->total_bytes;
  tree->limit_bytes = LIMIT_BYTES;
  if (pickle_bytes && pickle_bytes < (room - room / 16) / PICKLE_FACTOR)
    tree->limit_bytes =
        tree->total_bytes + PICKLE_BASE_BYTES + pickle_bytes * PICKLE_FACTOR;
}

bool lp_io_tree_charge(LpIoTree *tree, size_t size_bytes) {
  CHECK(size_bytes <= tree->limit_bytes &&
            tree->total_bytes <= tree->limit_bytes - size_bytes,
        LP_ERR_IO,
        "the values take more than %zu MiB, the limit for a pickle of this size",
        tree->limit_bytes >> 20);
  tree->total_bytes += size_bytes;
  return true;
}

void *lp_io_tree_alloc(LpIoTree *tree, size_t size_bytes) {
  CHECK(size_bytes <= LIMIT_BYTES, LP_ERR_IO,
        "the values take more than the limit of %zu MiB", LIMIT_BYTES >> 20);
  size_bytes = (size_bytes + 15) / 16 * 16;
  Chunk *chunk = tree->chunks;
  if (!chunk || chunk->size_bytes - chunk->used_bytes < size_bytes) {
    const size_t head = (sizeof *chunk + 15) / 16 * 16;
    /* What is large gets a chunk of its own, behind the one in use. */
    const bool own = chunk && size_bytes > CHUNK_BYTES / 8;
    const size_t total = size_bytes > CHUNK_BYTES / 8 ? head + size_bytes : CHUNK_BYTES;
    TRY(lp_io_tree_charge(tree, total));
    Chunk *more = lp_alloc(total);
    if (!more) return NULL;
    *more = (Chunk){own ? chunk->next : chunk, total, head};
    if (own)
      chunk->next = more;
    else
      tree->chunks = more;
    chunk = more;
  }
  void *result = (char *)chunk + chunk->used_bytes;
  chunk->used_bytes += size_bytes;
  return result;
}

static bool add_block(LpIoTree *tree) {
  if (tree->block_count == tree->block_capacity) {
    size_t capacity = tree->block_capacity ? tree->block_capacity * 2 : 8;
    Block **blocks = lp_alloc(capacity * sizeof *blocks);
    if (!blocks) return false;
    if (tree->block_count)
      memcpy(blocks, tree->blocks, tree->block_count * sizeof *blocks);
    lp_free(tree->blocks, tree->block_capacity * sizeof *blocks);
    tree->blocks = blocks;
    tree->block_capacity = capacity;
  }
  TRY(lp_io_tree_charge(tree, sizeof(Block)));
  Block *block = lp_alloc(sizeof *block);
  if (!block) return false;
  tree->blocks[tree->block_count++] = block;
  return true;
}

LpIoValue *lp_io_new(LpIoTree *tree, LpIoKind kind) {
  if (tree->value_count == tree->block_count * BLOCK_VALUES && !add_block(tree))
    return NULL;
  LpIoValue *v = &tree->blocks[tree->value_count / BLOCK_VALUES]
                      ->values[tree->value_count % BLOCK_VALUES];
  memset(v, 0, sizeof *v);
  v->kind = (uint8_t)kind;
  v->dtype = LP_DTYPE_NONE;
  v->number = (uint32_t)tree->value_count++;
  return v;
}

LpIoValue *lp_io_slice(LpIoTree *tree, LpIoKind kind, const char *data,
                       size_t size_bytes) {
  LpIoValue *v = lp_io_new(tree, kind);
  if (!v) return NULL;
  v->as.text.data = data;
  v->as.text.size_bytes = size_bytes;
  return v;
}

LpIoValue *lp_io_text(LpIoTree *tree, LpIoKind kind, const char *data,
                      size_t size_bytes) {
  char *copy = lp_io_tree_alloc(tree, size_bytes + 1);
  if (!copy) return NULL;
  if (size_bytes) memcpy(copy, data, size_bytes);
  copy[size_bytes] = 0;
  return lp_io_slice(tree, kind, copy, size_bytes);
}

/* The value of that kind and number, made unless it is there. */
static LpIoValue *shared(LpIoTree *tree, LpIoValue **place, LpIoKind kind, int64_t i) {
  if (*place) return *place;
  LpIoValue *v = lp_io_new(tree, kind);
  if (v) v->as.i = i;
  return *place = v;
}

LpIoValue *lp_io_int(LpIoTree *tree, int64_t i) {
  LpIoValue *own = NULL;
  const bool is_shared = i >= 0 && i < SHARED_INTS;
  return shared(tree, is_shared ? &tree->ints[i] : &own, LP_IO_INT, i);
}

LpIoValue *lp_io_bool(LpIoTree *tree, bool b) {
  return shared(tree, &tree->truths[b], LP_IO_BOOL, b);
}

LpIoValue *lp_io_none(LpIoTree *tree) {
  return shared(tree, &tree->none, LP_IO_NONE, 0);
}

LpIoValue *lp_io_tensor(LpIoTree *tree, LpTensor *tensor, int flags) {
  LpIoValue *v = lp_io_new(tree, LP_IO_TENSOR);
  if (!v) return NULL;
  v->flags = (uint8_t)flags;
  v->as.tensor.tensor = lp_tensor_retain(tensor);
  return v;
}

LpTensor *lp_io_own_tensor(const LpIoValue *value) {
  LpTensor *t = value->as.tensor.tensor;
  const bool is_ours = atomic_load_explicit(&t->refcount, memory_order_relaxed) == 1;
  return is_ours ? lp_tensor_retain(t) : lp_tensor_shallow(t);
}

LpIoValue *lp_io_global(LpIoTree *tree, const char *module, const char *name) {
  const size_t module_bytes = strlen(module) + 1, name_bytes = strlen(name) + 1;
  char *copy = lp_io_tree_alloc(tree, module_bytes + name_bytes);
  LpIoValue *v = copy ? lp_io_new(tree, LP_IO_GLOBAL) : NULL;
  if (!v) return NULL;
  memcpy(copy, module, module_bytes);
  memcpy(copy + module_bytes, name, name_bytes);
  v->as.global.module = copy;
  v->as.global.name = copy + module_bytes;
  return v;
}

bool lp_io_has_items(const LpIoValue *v) {
  return v && v->kind >= LP_IO_LIST && v->kind <= LP_IO_ORDERED_DICT;
}

bool lp_io_append(LpIoTree *tree, LpIoValue *container, LpIoValue *item) {
  if (container->as.items.count == container->as.items.capacity) {
    size_t capacity = container->as.items.capacity ? container->as.items.capacity * 2 : 4;
    LpIoValue **data = lp_io_tree_alloc(tree, capacity * sizeof *data);
    if (!data) return false;
    if (container->as.items.count)
      memcpy(data, container->as.items.data, container->as.items.count * sizeof *data);
    container->as.items.data = data;
    container->as.items.capacity = capacity;
  }
  container->as.items.data[container->as.items.count++] = item;
  return true;
}

LpIoValue *lp_io_get(const LpIoValue *dict, const char *key) {
  if (!dict || (dict->kind != LP_IO_DICT && dict->kind != LP_IO_ORDERED_DICT))
    return NULL;
  for (size_t i = dict->as.items.count; i >= 2; i -= 2)
    if (lp_io_is_text(dict->as.items.data[i - 2], key)) return dict->as.items.data[i - 1];
  return NULL;
}

const char *lp_io_kind_name(const LpIoValue *v) {
  static const char *const names[] = {
      "None",    "bool",      "int",        "int",    "float",
      "complex", "str",       "bytes",      "list",   "tuple",
      "set",     "frozenset", "torch.Size", "dict",   "OrderedDict",
      "tensor",  "storage",   "dtype",      "device", "class or function",
      "object"};
  return v && v->kind < sizeof names / sizeof *names ? names[v->kind] : "nothing";
}
