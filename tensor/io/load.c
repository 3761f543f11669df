/* PyTorch's files into trees: the zip format (PyTorch 1.6 on, TorchScript), the pickles
 * with raw storages behind them from before, and the tar files from before those. Told
 * apart by content. The pickles themselves are read by pickle.c, what they name is made
 * by rebuild.c. */
#include <stdio.h>
#include "core/alloc.h"
#include "io/pickle.h"
#include "io/zip.h"

#define TAR_BLOCK ((size_t)512)
#define FIRST_WINDOW_BYTES ((size_t)4096)
#define MAX_PICKLE_BYTES ((uint64_t)1 << 30)
#define MAX_KEY_BYTES 64
#define LEGACY_PROTOCOL 1001

enum { /* more flags of storage values, of this file only */
       IS_VIEW = 64,
       IS_FILLED = 128 /* its bytes were read */
};

typedef struct Stored {
  const char *key;
  size_t key_bytes;
  LpIoValue *value;
} Stored;

typedef struct Loader {
  LpSource *source;
  LpIoTree *tree;
  LpZip zip;
  const char *prefix; /* of the archive's names: "archive/" */
  size_t prefix_bytes;
  const char *folder; /* where storages lie: "data/" */
  bool is_big_endian;
  Stored *stored; /* open addressing; capacity is a power of two */
  size_t stored_count, stored_capacity;
  uint64_t claimed_bytes; /* of storages whose bytes follow later */
} Loader;

static bool fail_damaged(const char *what) {
  return lp_fail(LP_ERR_IO, "the file is damaged: %s", what);
}

/* --- storages by key
 * ------------------------------------------------------------------------- */

static Stored *slot_of(Stored *slots, size_t capacity, const char *key, size_t n) {
  uint64_t hash = 1469598103934665603u;
  for (size_t i = 0; i < n; i++) hash = (hash ^ (uint8_t)key[i]) * 1099511628211u;
  size_t at = hash & (capacity - 1);
  while (slots[at].key &&
         (slots[at].key_bytes != n || memcmp(slots[at].key, key, n) != 0))
    at = (at + 1) & (capacity - 1);
  return &slots[at];
}

static LpIoValue *find_stored(Loader *l, const char *key, size_t n) {
  return l->stored_capacity ? slot_of(l->stored, l->stored_capacity, key, n)->value
                            : NULL;
}

static bool keep_stored(Loader *l, const char *key, size_t n, LpIoValue *value) {
  if (l->stored_count * 2 >= l->stored_capacity) {
    const size_t capacity = l->stored_capacity ? l->stored_capacity * 2 : 64;
    Stored *slots = lp_calloc(capacity * sizeof *slots);
    if (!slots) return false;
    for (size_t i = 0; i < l->stored_capacity; i++)
      if (l->stored[i].key)
        *slot_of(slots, capacity, l->stored[i].key, l->stored[i].key_bytes) =
            l->stored[i];
    lp_free(l->stored, l->stored_capacity * sizeof *slots);
    l->stored = slots;
    l->stored_capacity = capacity;
  }
  char *copy = lp_io_tree_alloc(l->tree, n + 1);
  if (!copy) return false;
  memcpy(copy, key, n);
  Stored *slot = slot_of(l->stored, l->stored_capacity, copy, n);
  l->stored_count += slot->key == NULL;
  *slot = (Stored){copy, n, value};
  return true;
}

/* The key as text: a string, or in the oldest files an integer. */
static bool key_text(const LpIoValue *v, char *buf, const char **key, size_t *n) {
  if (lp_io_is(v, LP_IO_STRING)) {
    *key = v->as.text.data;
    *n = v->as.text.size_bytes;
    return *n <= MAX_KEY_BYTES;
  }
  *key = buf;
  *n = 0;
  if (lp_io_is(v, LP_IO_INT))
    *n = (size_t)snprintf(buf, MAX_KEY_BYTES, "%lld", (long long)v->as.i);
  return *n > 0;
}

/* A storage value over the tensor, which it takes over. */
static LpIoValue *new_storage(Loader *l, LpTensor *t, LpDtype dtype, bool is_untyped,
                              const LpIoValue *location) {
  LpIoValue *v = t ? lp_io_new(l->tree, LP_IO_STORAGE) : NULL;
  if (!v) {
    lp_tensor_release(t);
    return NULL;
  }
  v->as.tensor.tensor = t;
  v->dtype = (int8_t)dtype;
  v->flags = is_untyped ? LP_IO_UNTYPED : 0;
  if (lp_io_is(location, LP_IO_STRING) && !lp_io_is_text(location, "cpu"))
    v->as.tensor.device = lp_io_slice(l->tree, LP_IO_DEVICE, location->as.text.data,
                                      location->as.text.size_bytes);
  return v;
}

/* The part of a storage that old files call a view. */
static LpIoValue *view_of(Loader *l, LpIoValue *root, int64_t offset, int64_t count) {
  LpTensor *base = root->as.tensor.tensor;
  int64_t one = 1;
  if (offset < 0 || count < 0 || offset > lp_numel(base) ||
      count > lp_numel(base) - offset)
    return fail_damaged("a view reaches outside of its storage"), NULL;
  LpTensor *t = lp_tensor_alias(base, lp_ints(&count, 1), lp_ints(&one, 1), offset);
  LpIoValue *v = new_storage(l, t, (LpDtype)root->dtype, false, NULL);
  if (v) v->as.tensor.device = root->as.tensor.device;
  return v;
}

static void swap_bytes(uint8_t *data, size_t size_bytes, size_t unit) {
  for (size_t at = 0; unit > 1 && at + unit <= size_bytes; at += unit)
    for (size_t i = 0; i < unit / 2; i++) {
      const uint8_t b = data[at + i];
      data[at + i] = data[at + unit - 1 - i];
      data[at + unit - 1 - i] = b;
    }
}

/* Brings bytes that were read into the form of memory: byte order, and truths of 0 and 1.
 */
static void settle(Loader *l, LpTensor *t) {
  const LpDtype dtype = lp_dtype(t);
  uint8_t *data = lp_data(t);
  const size_t count = (size_t)lp_numel(t);
  const size_t unit = lp_dtype_size(dtype) / (lp_dtype_is_complex(dtype) ? 2 : 1);
  if (l->is_big_endian) swap_bytes(data, count * lp_dtype_size(dtype), unit);
  for (size_t i = 0; dtype == LP_BOOL && i < count; i++)
    if (data[i] > 1) data[i] = 1;
}

/* ('storage', class, key, location, number of elements, view): what a pickle keeps apart.
 */
typedef struct StorageId {
  LpDtype dtype;
  bool is_untyped;
  const char *key;
  size_t key_bytes;
  const LpIoValue *location, *view;
  int64_t numel;
  char buf[MAX_KEY_BYTES];
} StorageId;

static bool read_id(const LpIoValue *id, StorageId *s) {
  if (!lp_io_is(id, LP_IO_TUPLE) || id->as.items.count < 5 ||
      !lp_io_is_text(id->as.items.data[0], "storage"))
    return fail_damaged("it keeps something apart that is no storage");
  LpIoValue **part = id->as.items.data;
  TRY(lp_rebuild_storage_type(part[1], &s->dtype, &s->is_untyped));
  if (!key_text(part[2], s->buf, &s->key, &s->key_bytes) || !lp_io_is(part[4], LP_IO_INT))
    return fail_damaged("a storage has a bad key or size");
  s->location = part[3];
  s->numel = part[4]->as.i;
  s->view = id->as.items.count > 5 ? part[5] : NULL;
  if (s->numel < 0 || s->numel > INT64_MAX / 16)
    return fail_damaged("a storage has a bad key or size");
  return true;
}

static LpIoValue *check_known(LpIoValue *known, const StorageId *s) {
  if (known->kind != LP_IO_STORAGE || known->dtype != (int8_t)s->dtype ||
      lp_numel(known->as.tensor.tensor) < s->numel)
    return fail_damaged("a storage is used with two dtypes or sizes"), NULL;
  return known;
}

/* --- the zip format
 * -------------------------------------------------------------------------- */

static void release_source(void *ctx, void *data) {
  lp_source_release(ctx);
}

/* The member's bytes in the mapped file, when they can be used there. */
static LpTensor *map_member(Loader *l, const LpZipEntry *e, LpDtype dtype,
                            int64_t count) {
  const uint8_t *data = l->source->data + e->data_at;
  LpTensor *t = lp_tensor_from_blob((void *)data, lp_ints(&count, 1), dtype,
                                    release_source, l->source);
  if (t) lp_source_retain(l->source);
  return t;
}

static LpTensor *read_member(Loader *l, const StorageId *s) {
  char name[MAX_KEY_BYTES + 16];
  const int n =
      snprintf(name, sizeof name, "%s%.*s", l->folder, (int)s->key_bytes, s->key);
  const LpZipEntry *e = lp_zip_find(&l->zip, l->prefix, l->prefix_bytes, name, (size_t)n);
  const size_t unit = lp_dtype_size(s->dtype);
  if (!e && s->numel == 0)
    return lp_tensor_new(lp_ints(&s->numel, 1), s->dtype, lp_cpu());
  CHECK(e, LP_ERR_IO, "the file is damaged: it has no bytes for storage '%s'", name);
  CHECK(e->size_bytes >= (uint64_t)s->numel * unit, LP_ERR_IO,
        "the file is damaged: storage '%s' has %llu bytes, and %lld elements of %s need "
        "%llu",
        name, (unsigned long long)e->size_bytes, (long long)s->numel,
        lp_dtype_name(s->dtype), (unsigned long long)s->numel * unit);
  /* Mappings begin on a page. */
  const bool is_aligned = e->data_at % unit == 0;
  LpTensor *t;
  if (l->source->is_mapped && e->method == 0 && is_aligned && !l->is_big_endian &&
      s->numel) {
    t = map_member(l, e, s->dtype, s->numel);
  } else {
    /* Room for all of the member; the tensor is over what it should have. */
    const int64_t count = (int64_t)((e->size_bytes + unit - 1) / unit);
    int64_t one = 1;
    t = lp_tensor_new(lp_ints(&count, 1), s->dtype, lp_cpu());
    if (t && !lp_zip_read(&l->zip, e, lp_data(t))) lp_drop(&t);
    if (t && count != s->numel) {
      t->storage->size_bytes = (size_t)s->numel * unit;
      if (!lp_tensor_set_geometry(t, lp_ints(&s->numel, 1), lp_ints(&one, 1), 0))
        lp_drop(&t);
    }
  }
  CHECK(!t || !l->is_big_endian || !s->is_untyped, LP_ERR_IO,
        "untyped storages of big-endian files are not read");
  if (t) settle(l, t);
  return t;
}

static LpIoValue *load_from_zip(void *ctx, LpIoValue *id) {
  Loader *l = ctx;
  StorageId s;
  TRY(read_id(id, &s));
  LpIoValue *v = find_stored(l, s.key, s.key_bytes);
  if (v) return check_known(v, &s);
  v = new_storage(l, read_member(l, &s), s.dtype, s.is_untyped, s.location);
  return v && keep_stored(l, s.key, s.key_bytes, v) ? v : NULL;
}

static const LpZipEntry *find_member(const Loader *l, const char *name) {
  return lp_zip_find(&l->zip, l->prefix, l->prefix_bytes, name, strlen(name));
}

/* The pickle of a member; its storages are in `folder`. */
static LpIoValue *read_zip_pickle(Loader *l, const LpZipEntry *e, const char *folder) {
  CHECK(e->size_bytes <= MAX_PICKLE_BYTES, LP_ERR_IO,
        "the file's pickle is larger than the limit of %llu MiB",
        (unsigned long long)MAX_PICKLE_BYTES >> 20);
  uint8_t *bytes = lp_io_tree_alloc(l->tree, (size_t)e->size_bytes + 1);
  if (!bytes || !lp_zip_read(&l->zip, e, bytes)) return NULL;
  l->folder = folder;
  LpPickle p = {.tree = l->tree,
                .data = bytes,
                .size_bytes = (size_t)e->size_bytes,
                .host = {l, load_from_zip}};
  LpIoValue *v = lp_pickle_read(&p);
  CHECK(!v || p.at == p.size_bytes, LP_ERR_IO,
        "the file is damaged: bytes follow its pickle");
  return v;
}

static bool read_byte_order(Loader *l) {
  char order[8];
  const LpZipEntry *e = find_member(l, "byteorder");
  if (!e) return true;
  CHECK(e->size_bytes < sizeof order, LP_ERR_IO,
        "the file is damaged: unknown byte order");
  TRY(lp_zip_read(&l->zip, e, order));
  l->is_big_endian = e->size_bytes == 3 && memcmp(order, "big", 3) == 0;
  CHECK(l->is_big_endian || (e->size_bytes == 6 && memcmp(order, "little", 6) == 0),
        LP_ERR_IO, "the file is damaged: unknown byte order");
  return true;
}

/* The pickle at the archive's top: NAME/data.pkl. */
static const LpZipEntry *find_pickle(Loader *l) {
  static const char name[] = "data.pkl";
  const size_t n = sizeof name - 1;
  const LpZipEntry *best = NULL;
  for (size_t i = 0; i < l->zip.count; i++) {
    const LpZipEntry *e = &l->zip.entries[i];
    if (e->name_bytes < n || memcmp(e->name + e->name_bytes - n, name, n) != 0) continue;
    if (e->name_bytes > n && e->name[e->name_bytes - n - 1] != '/') continue;
    if (!best || e->name_bytes < best->name_bytes) best = e;
  }
  if (!best) return NULL;
  l->prefix = best->name;
  l->prefix_bytes = best->name_bytes - n;
  return best;
}

/* {"module": ..., "constants": (...)}: of a TorchScript archive, whose code is not read.
 */
static LpIoValue *add_constants(Loader *l, LpIoValue *module,
                                const LpZipEntry *constants) {
  /* Keys of the two folders have nothing to do with each other. */
  lp_free(l->stored, l->stored_capacity * sizeof *l->stored);
  l->stored = NULL;
  l->stored_count = l->stored_capacity = 0;
  LpIoValue *values = read_zip_pickle(l, constants, "constants/");
  LpIoValue *both = values ? lp_io_new(l->tree, LP_IO_DICT) : NULL;
  LpIoValue *first = lp_io_slice(l->tree, LP_IO_STRING, "module", 6);
  LpIoValue *second = lp_io_slice(l->tree, LP_IO_STRING, "constants", 9);
  const bool ok = both && first && second &&
                  lp_rebuild_set(l->tree, both, first, module) &&
                  lp_rebuild_set(l->tree, both, second, values);
  return ok ? both : NULL;
}

static bool load_zip(Loader *l) {
  TRY(lp_zip_open(&l->zip, l->source));
  const LpZipEntry *pickle = find_pickle(l);
  LpIoValue *root = NULL;
  if (!pickle) {
    lp_fail(LP_ERR_IO, "the zip archive is no PyTorch file: it has no data.pkl");
  } else if (read_byte_order(l)) {
    const LpZipEntry *constants = find_member(l, "constants.pkl");
    lp_io_tree_set_format(l->tree, constants ? "torchscript" : "zip");
    root = read_zip_pickle(l, pickle, "data/");
    if (root && constants) root = add_constants(l, root, constants);
  }
  lp_io_tree_set_root(l->tree, root);
  lp_zip_close(&l->zip);
  return root != NULL;
}

/* --- pickles one after the other
 * ------------------------------------------------------------ */

/* The pickle at *at, which moves behind it. How long it is shows only when it is read:
 * more and more of the file is taken until it ends within. */
static LpIoValue *read_pickle_at(Loader *l, size_t *at, size_t end, LpPickleHost host) {
  for (uint64_t window = FIRST_WINDOW_BYTES;; window *= 16) {
    const size_t n = end - *at < window ? end - *at : (size_t)window;
    CHECK(n <= MAX_PICKLE_BYTES, LP_ERR_IO,
          "the file's pickle is larger than the limit of %llu MiB",
          (unsigned long long)MAX_PICKLE_BYTES >> 20);
    uint8_t *bytes = lp_io_tree_alloc(l->tree, n + 1);
    if (!bytes || !lp_source_read(l->source, *at, bytes, n)) return NULL;
    LpPickle p = {.tree = l->tree, .data = bytes, .size_bytes = n, .host = host};
    LpIoValue *v = lp_pickle_read(&p);
    if (v) {
      *at += p.at;
      return v;
    }
    if (!p.ran_out || n == end - *at) return NULL;
  }
}

static bool read_int64(Loader *l, size_t *at, int64_t *result) {
  uint8_t b[8];
  TRY(lp_source_read(l->source, *at, b, 8));
  uint64_t n = 0;
  for (int i = 8; i-- > 0;) n = n << 8 | b[i];
  if (l->is_big_endian) n = __builtin_bswap64(n);
  *result = (int64_t)n;
  *at += 8;
  return true;
}

/* A number of elements and their bytes, to t's memory. */
static bool read_elements(Loader *l, size_t *at, LpTensor *t) {
  int64_t count;
  TRY(read_int64(l, at, &count));
  if (count != lp_numel(t))
    return fail_damaged("a storage has another size than it should");
  const size_t bytes = (size_t)count * lp_dtype_size(lp_dtype(t));
  TRY(lp_source_read(l->source, *at, lp_data(t), bytes));
  *at += bytes;
  settle(l, t);
  return true;
}

/* --- the format before PyTorch 1.6
 * ---------------------------------------------------------- */

static const uint8_t legacy_magic[] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                       0x20, 0x6a, 0xa8, 0x50, 0x19};

static LpIoValue *load_legacy_storage(Loader *l, const StorageId *s) {
  const uint64_t bytes = (uint64_t)s->numel * lp_dtype_size(s->dtype);
  if (bytes > l->source->size_bytes - l->claimed_bytes)
    return fail_damaged("its storages are larger than the file (truncated?)"), NULL;
  l->claimed_bytes += bytes;
  LpTensor *t = lp_tensor_new(lp_ints(&s->numel, 1), s->dtype, lp_cpu());
  LpIoValue *v = new_storage(l, t, s->dtype, s->is_untyped, s->location);
  return v && keep_stored(l, s->key, s->key_bytes, v) ? v : NULL;
}

static LpIoValue *load_from_legacy(void *ctx, LpIoValue *id) {
  Loader *l = ctx;
  StorageId s;
  char buf[MAX_KEY_BYTES];
  if (lp_io_is(id, LP_IO_TUPLE) && id->as.items.count >= 2 &&
      lp_io_is_text(id->as.items.data[0], "module"))
    return id->as.items.data[1]; /* a class, with its source text behind it */
  TRY(read_id(id, &s));
  LpIoValue *root = find_stored(l, s.key, s.key_bytes);
  root = root ? check_known(root, &s) : load_legacy_storage(l, &s);
  if (!root || !s.view || s.view->kind == LP_IO_NONE) return root;
  LpIoValue **part = s.view->as.items.data;
  const char *key;
  size_t n;
  if (!lp_io_is(s.view, LP_IO_TUPLE) || s.view->as.items.count != 3 ||
      !key_text(part[0], buf, &key, &n) || !lp_io_is(part[1], LP_IO_INT) ||
      !lp_io_is(part[2], LP_IO_INT))
    return fail_damaged("a view of a storage is none"), NULL;
  LpIoValue *v = find_stored(l, key, n);
  if (v) return v->kind == LP_IO_STORAGE ? v : NULL;
  v = view_of(l, root, part[1]->as.i, part[2]->as.i);
  if (v) v->flags |= IS_VIEW;
  return v && keep_stored(l, key, n, v) ? v : NULL;
}

static bool load_legacy(Loader *l) {
  const size_t end = l->source->size_bytes;
  const LpPickleHost none = {0}, host = {l, load_from_legacy};
  size_t at = 0;
  char buf[MAX_KEY_BYTES];
  lp_io_tree_set_format(l->tree, "legacy");
  LpIoValue *magic = read_pickle_at(l, &at, end, none);
  if (!magic) return false;
  CHECK(magic->kind == LP_IO_BIGINT && magic->as.text.size_bytes == sizeof legacy_magic &&
            memcmp(magic->as.text.data, legacy_magic, sizeof legacy_magic) == 0,
        LP_ERR_IO, "the file is a pickle, but none that torch.save wrote");
  LpIoValue *protocol = read_pickle_at(l, &at, end, none);
  if (!protocol) return false;
  CHECK(protocol->kind == LP_IO_INT && protocol->as.i == LEGACY_PROTOCOL, LP_ERR_IO,
        "the file has a version of the old format that is not known");
  LpIoValue *info = read_pickle_at(l, &at, end, none);
  if (!info) return false;
  const LpIoValue *little = lp_io_get(info, "little_endian");
  l->is_big_endian = lp_io_is(little, LP_IO_BOOL) && !little->as.i;
  LpIoValue *root = read_pickle_at(l, &at, end, host);
  LpIoValue *keys = root ? read_pickle_at(l, &at, end, none) : NULL;
  if (!keys) return false;
  if (keys->kind != LP_IO_LIST) return fail_damaged("the list of its storages is none");
  for (size_t i = 0; i < keys->as.items.count; i++) {
    const char *key;
    size_t n;
    LpIoValue *v =
        key_text(keys->as.items.data[i], buf, &key, &n) ? find_stored(l, key, n) : NULL;
    if (!lp_io_is(v, LP_IO_STORAGE))
      return fail_damaged("it has a storage that nothing uses");
    if (v->flags & IS_VIEW) return fail_damaged("a view has bytes of its own");
    TRY(read_elements(l, &at, v->as.tensor.tensor));
    v->flags |= IS_FILLED;
  }
  for (size_t i = 0; i < l->stored_capacity; i++) {
    const LpIoValue *v = l->stored[i].value;
    if (v && !(v->flags & (IS_VIEW | IS_FILLED)) && lp_numel(v->as.tensor.tensor))
      return fail_damaged("it has no bytes for a storage");
  }
  lp_io_tree_set_root(l->tree, root);
  return true;
}

/* --- the tar format
 * -------------------------------------------------------------------------- */

typedef struct Member {
  size_t at, end;
} Member;

/* The first regular member of the name; false without an error when there is none. */
static bool find_in_tar(Loader *l, const char *name, Member *result) {
  uint8_t head[TAR_BLOCK];
  for (size_t at = 0; l->source->size_bytes - at >= TAR_BLOCK;) {
    uint64_t size = 0;
    if (!lp_source_read(l->source, at, head, TAR_BLOCK) || !head[0]) return false;
    for (int i = 124; i < 136 && head[i] >= '0' && head[i] <= '7'; i++)
      size = size * 8 + (uint64_t)(head[i] - '0');
    at += TAR_BLOCK;
    if (size > l->source->size_bytes - at) return false;
    head[100] = 0;
    const char *own = (const char *)head + (memcmp(head, "./", 2) == 0 ? 2 : 0);
    if ((head[156] == '0' || head[156] == 0) && strcmp(own, name) == 0) {
      *result = (Member){at, at + (size_t)size};
      return true;
    }
    const size_t padded = (size_t)((size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK);
    if (padded > l->source->size_bytes - at) return false;
    at += padded;
  }
  return false;
}

static bool probe_tar(LpSource *source) {
  char magic[5];
  return source->size_bytes >= 2 * TAR_BLOCK && lp_source_read(source, 257, magic, 5) &&
         memcmp(magic, "ustar", 5) == 0;
}

static bool read_count(Loader *l, Member *m, int64_t *count) {
  const LpIoValue *v = read_pickle_at(l, &m->at, m->end, (LpPickleHost){0});
  if (!v) return false;
  if (v->kind != LP_IO_INT || v->as.i < 0)
    return fail_damaged("a number of things is none");
  *count = v->as.i;
  return true;
}

/* A pickled tuple of n values. */
static LpIoValue **read_tuple(Loader *l, Member *m, size_t n) {
  const LpIoValue *v = read_pickle_at(l, &m->at, m->end, (LpPickleHost){0});
  if (!v) return NULL;
  if (v->kind != LP_IO_TUPLE || v->as.items.count != n)
    return fail_damaged("a description has not the form it should have"), NULL;
  return v->as.items.data;
}

static bool keep_by_value(Loader *l, const LpIoValue *key, LpIoValue *value) {
  char buf[MAX_KEY_BYTES];
  const char *text;
  size_t n;
  if (!value) return false;
  if (!key_text(key, buf, &text, &n)) return fail_damaged("a bad key");
  return keep_stored(l, text, n, value);
}

static LpIoValue *find_by_value(Loader *l, const LpIoValue *key) {
  char buf[MAX_KEY_BYTES];
  const char *text;
  size_t n;
  LpIoValue *v = key_text(key, buf, &text, &n) ? find_stored(l, text, n) : NULL;
  if (!v) fail_damaged("it points at a storage or tensor that is not there");
  return v;
}

static bool load_tar_storages(Loader *l) {
  Member m;
  int64_t count;
  if (!find_in_tar(l, "storages", &m)) return fail_damaged("it has no storages");
  TRY(read_count(l, &m, &count));
  for (int64_t i = 0; i < count; i++) {
    LpDtype dtype;
    bool is_untyped;
    LpIoValue **part = read_tuple(l, &m, 3);
    if (!part || !lp_rebuild_storage_type(part[2], &dtype, &is_untyped)) return false;
    size_t at = m.at;
    int64_t elements;
    TRY(read_int64(l, &at, &elements));
    if (elements < 0 || m.at > m.end ||
        (uint64_t)elements > (m.end - m.at) / lp_dtype_size(dtype))
      return fail_damaged("a storage is larger than the file");
    LpTensor *t = lp_tensor_new(lp_ints(&elements, 1), dtype, lp_cpu());
    if (t && !read_elements(l, &m.at, t)) lp_drop(&t);
    TRY(keep_by_value(l, part[0], new_storage(l, t, dtype, is_untyped, part[1])));
  }
  if (m.at == m.end) return true; /* writers other than PyTorch leave the views out */
  const LpIoValue *views = read_pickle_at(l, &m.at, m.end, (LpPickleHost){0});
  if (!views) return false;
  if (views->kind != LP_IO_LIST) return fail_damaged("its list of views is none");
  for (size_t i = 0; i < views->as.items.count; i++) {
    const LpIoValue *view = views->as.items.data[i];
    LpIoValue **part = view->as.items.data;
    if (view->kind != LP_IO_TUPLE || view->as.items.count != 4 ||
        !lp_io_is(part[2], LP_IO_INT) || !lp_io_is(part[3], LP_IO_INT))
      return fail_damaged("its list of views is none");
    LpIoValue *root = find_by_value(l, part[1]);
    if (!root) return false;
    if (root->kind != LP_IO_STORAGE) return fail_damaged("a view is of no storage");
    TRY(keep_by_value(l, part[0], view_of(l, root, part[2]->as.i, part[3]->as.i)));
  }
  return true;
}

static LpIoValue *read_ints(Loader *l, Member *m, int64_t count) {
  LpIoValue *list = lp_io_new(l->tree, LP_IO_LIST);
  for (int64_t i = 0; list && i < count; i++) {
    int64_t n;
    LpIoValue *item = read_int64(l, &m->at, &n) ? lp_io_int(l->tree, n) : NULL;
    if (!item || !lp_io_append(l->tree, list, item)) return NULL;
  }
  return list;
}

static bool load_tar_tensors(Loader *l) {
  Member m;
  int64_t count, ndim, offset;
  if (!find_in_tar(l, "tensors", &m)) return true; /* the pickle then makes them */
  TRY(read_count(l, &m, &count));
  for (int64_t i = 0; i < count; i++) {
    LpIoValue **part = read_tuple(l, &m, 3);
    LpIoValue *storage = part ? find_by_value(l, part[1]) : NULL;
    if (!storage) return false;
    if (storage->kind != LP_IO_STORAGE) return fail_damaged("a tensor has no storage");
    TRY(read_int64(l, &m.at, &ndim));
    ndim &= INT32_MAX; /* four bytes, and four that may hold anything */
    if (ndim > LP_MAX_DIMS) return fail_damaged("a tensor has too many dims");
    LpIoValue *sizes = read_ints(l, &m, ndim),
              *strides = sizes ? read_ints(l, &m, ndim) : NULL;
    if (!strides || !read_int64(l, &m.at, &offset)) return false;
    TRY(keep_by_value(l, part[0],
                      lp_rebuild_tensor(l->tree, storage, (LpDtype)storage->dtype, offset,
                                        sizes, strides, 0)));
  }
  return true;
}

/* A tensor's or storage's number; in other writers' files a storage as later formats have
 * it. */
static LpIoValue *load_from_tar(void *ctx, LpIoValue *id) {
  if (!lp_io_is(id, LP_IO_TUPLE) || !id->as.items.count) return find_by_value(ctx, id);
  if (!lp_io_is_text(id->as.items.data[0], "storage")) return id->as.items.data[0];
  StorageId s;
  TRY(read_id(id, &s));
  LpIoValue *v = find_by_value(ctx, id->as.items.data[2]);
  return v ? check_known(v, &s) : NULL;
}

static bool load_tar(Loader *l) {
  Member m;
  lp_io_tree_set_format(l->tree, "tar");
  CHECK(find_in_tar(l, "pickle", &m), LP_ERR_IO, "the tar archive is no PyTorch file");
  TRY(load_tar_storages(l) && load_tar_tensors(l));
  LpIoValue *root =
      read_pickle_at(l, &m.at, m.end, (LpPickleHost){l, load_from_tar, true});
  lp_io_tree_set_root(l->tree, root);
  return root != NULL;
}

/* --- entry points
 * --------------------------------------------------------------------------- */

static bool load_any(Loader *l, bool use_mmap) {
  uint8_t head[1] = {0};
  CHECK(l->source->size_bytes > 0, LP_ERR_IO, "the file is empty");
  TRY(lp_source_read(l->source, 0, head, 1));
  if (lp_zip_probe(l->source)) return load_zip(l);
  CHECK(!use_mmap, LP_ERR_ARGUMENT,
        "mmap = true is for files in the zip format of torch.save; this one is not");
  if (probe_tar(l->source)) return load_tar(l);
  if (head[0] == 0x80) return load_legacy(l);
  return lp_fail(LP_ERR_IO,
                 "it is no file that torch.save wrote (neither a zip archive, nor a "
                 "pickle, nor a tar archive)");
}

/* Takes the source over. */
static LpIoTree *load(LpSource *source, bool use_mmap) {
  if (!source) return NULL;
  Loader l = {.source = source};
  l.tree = lp_io_tree_new();
  const bool ok = l.tree && load_any(&l, use_mmap);
  lp_free(l.stored, l.stored_capacity * sizeof *l.stored);
  lp_source_release(source);
  if (ok) return l.tree;
  lp_io_tree_free(l.tree);
  return NULL;
}

LpIoTree *lp_checkpoint_open(const char *path, bool use_mmap) {
  return load(lp_source_open(path, use_mmap), use_mmap);
}

LpIoTree *lp_checkpoint_read(const void *data, size_t size_bytes) {
  return load(lp_source_memory(data, size_bytes), false);
}
