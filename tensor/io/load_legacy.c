/* PyTorch's formats before 1.6: pickles with raw storages behind them, and tar files
 * before those. See load.h. */
#include <stdio.h>
#include "io/bytes.h"
#include "io/load.h"

#define TAR_BLOCK ((size_t)512)
#define FIRST_WINDOW_BYTES ((size_t)4096)
#define LEGACY_PROTOCOL 1001

enum { /* more flags of storage values, of this file only */
       IS_VIEW = 64,
       IS_FILLED = 128 /* its bytes were read */
};

/* --- pickles one after the other
 * ------------------------------------------------------------ */

/* The pickle at *at, which moves behind it. How long it is shows only when it is read:
 * more and more of the file is taken until it ends within. */
static LpIoValue *read_pickle_at(LpLoader *l, size_t *at, size_t end, LpPickleHost host) {
  for (uint64_t window = FIRST_WINDOW_BYTES;; window *= 16) {
    const size_t n = end - *at < window ? end - *at : (size_t)window;
    CHECK(n <= LP_MAX_PICKLE_BYTES, LP_ERR_IO,
          "the file's pickle is larger than the limit of %llu MiB",
          (unsigned long long)LP_MAX_PICKLE_BYTES >> 20);
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

static bool read_int64(LpLoader *l, size_t *at, int64_t *result) {
  uint8_t b[8];
  TRY(lp_source_read(l->source, *at, b, 8));
  uint64_t n = 0;
  for (int i = 8; i-- > 0;) n = n << 8 | b[i];
  if (l->is_big_endian) n = __builtin_bswap64(n);
  *result = (int64_t)n;
  *at += 8;
  return true;
}

/* Room for elements that are read, or would be, if the file were not only described. */
static LpTensor *new_tensor(LpLoader *l, const int64_t *count, LpDtype dtype) {
  const LpInts sizes = lp_ints(count, 1);
  return l->mode == LP_LOAD_DESCRIBE ? lp_load_placeholder(sizes, dtype)
                                     : lp_bytes_new(sizes, dtype);
}

/* A number of elements and their bytes, to t's memory. */
static bool read_elements(LpLoader *l, size_t *at, LpTensor *t) {
  int64_t count;
  TRY(read_int64(l, at, &count));
  if (count != lp_numel(t))
    return lp_load_damaged("a storage has another size than it should");
  const size_t bytes = (size_t)count * lp_dtype_size(lp_dtype(t));
  if (l->mode == LP_LOAD_DESCRIBE) {
    if (bytes > l->source->size_bytes - *at)
      return lp_load_damaged("its storages are larger than the file (truncated?)");
    *at += bytes;
    return true;
  }
  TRY(lp_source_read(l->source, *at, lp_data(t), bytes));
  *at += bytes;
  lp_load_settle(l, t);
  return true;
}

/* --- the format before PyTorch 1.6
 * ---------------------------------------------------------- */

static const uint8_t legacy_magic[] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                       0x20, 0x6a, 0xa8, 0x50, 0x19};

static LpIoValue *load_legacy_storage(LpLoader *l, const LpStorageId *s) {
  const uint64_t bytes = (uint64_t)s->numel * lp_dtype_size(s->dtype);
  if (bytes > l->source->size_bytes - l->claimed_bytes)
    return lp_load_damaged("its storages are larger than the file (truncated?)"), NULL;
  l->claimed_bytes += bytes;
  LpTensor *t = new_tensor(l, &s->numel, s->dtype);
  LpIoValue *v = lp_load_new_storage(l, t, s->dtype, s->is_untyped, s->location);
  return v && lp_load_keep(l, s->key, s->key_bytes, v) ? v : NULL;
}

static LpIoValue *load_from_legacy(void *ctx, LpIoValue *id) {
  LpLoader *l = ctx;
  LpStorageId s;
  char buf[LP_MAX_KEY_BYTES];
  if (lp_io_is(id, LP_IO_TUPLE) && id->as.items.count >= 2 &&
      lp_io_is_text(id->as.items.data[0], "module"))
    return id->as.items.data[1]; /* a class, with its source text behind it */
  TRY(lp_load_read_id(id, &s));
  LpIoValue *root = lp_load_find(l, s.key, s.key_bytes);
  root = root ? lp_load_check_known(root, &s) : load_legacy_storage(l, &s);
  if (!root || !s.view || s.view->kind == LP_IO_NONE) return root;
  LpIoValue **part = s.view->as.items.data;
  const char *key;
  size_t n;
  if (!lp_io_is(s.view, LP_IO_TUPLE) || s.view->as.items.count != 3 ||
      !lp_load_key(part[0], buf, &key, &n) || !lp_io_is(part[1], LP_IO_INT) ||
      !lp_io_is(part[2], LP_IO_INT))
    return lp_load_damaged("a view of a storage is none"), NULL;
  LpIoValue *v = lp_load_find(l, key, n);
  if (v) return v->kind == LP_IO_STORAGE ? v : NULL;
  v = lp_load_view(l, root, part[1]->as.i, part[2]->as.i);
  if (v) v->flags |= IS_VIEW;
  return v && lp_load_keep(l, key, n, v) ? v : NULL;
}

bool lp_load_legacy(LpLoader *l) {
  const size_t end = l->source->size_bytes;
  const LpPickleHost none = {0}, host = {l, load_from_legacy};
  size_t at = 0;
  char buf[LP_MAX_KEY_BYTES];
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
  if (l->mode == LP_LOAD_DESCRIBE)
    TRY(lp_load_note(l, "byteorder", l->is_big_endian ? "big" : "little",
                     l->is_big_endian ? 3 : 6));
  LpIoValue *root = read_pickle_at(l, &at, end, host);
  LpIoValue *keys = root ? read_pickle_at(l, &at, end, none) : NULL;
  if (!keys) return false;
  if (keys->kind != LP_IO_LIST)
    return lp_load_damaged("the list of its storages is none");
  for (size_t i = 0; i < keys->as.items.count; i++) {
    const char *key;
    size_t n;
    LpIoValue *v = lp_load_key(keys->as.items.data[i], buf, &key, &n)
                       ? lp_load_find(l, key, n)
                       : NULL;
    if (!lp_io_is(v, LP_IO_STORAGE))
      return lp_load_damaged("it has a storage that nothing uses");
    if (v->flags & IS_VIEW) return lp_load_damaged("a view has bytes of its own");
    TRY(read_elements(l, &at, v->as.tensor.tensor));
    v->flags |= IS_FILLED;
  }
  for (size_t i = 0; i < l->stored_capacity; i++) {
    const LpIoValue *v = l->stored[i].value;
    if (v && !(v->flags & (IS_VIEW | IS_FILLED)) && lp_numel(v->as.tensor.tensor))
      return lp_load_damaged("it has no bytes for a storage");
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
static bool find_in_tar(LpLoader *l, const char *name, Member *result) {
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

bool lp_load_tar_probe(LpSource *source) {
  char magic[5];
  return source->size_bytes >= 2 * TAR_BLOCK && lp_source_read(source, 257, magic, 5) &&
         memcmp(magic, "ustar", 5) == 0;
}

static bool read_count(LpLoader *l, Member *m, int64_t *count) {
  const LpIoValue *v = read_pickle_at(l, &m->at, m->end, (LpPickleHost){0});
  if (!v) return false;
  if (v->kind != LP_IO_INT || v->as.i < 0)
    return lp_load_damaged("a number of things is none");
  *count = v->as.i;
  return true;
}

/* A pickled tuple of n values. */
static LpIoValue **read_tuple(LpLoader *l, Member *m, size_t n) {
  const LpIoValue *v = read_pickle_at(l, &m->at, m->end, (LpPickleHost){0});
  if (!v) return NULL;
  if (v->kind != LP_IO_TUPLE || v->as.items.count != n)
    return lp_load_damaged("a description has not the form it should have"), NULL;
  return v->as.items.data;
}

static bool keep_by_value(LpLoader *l, const LpIoValue *key, LpIoValue *value) {
  char buf[LP_MAX_KEY_BYTES];
  const char *text;
  size_t n;
  if (!value) return false;
  if (!lp_load_key(key, buf, &text, &n)) return lp_load_damaged("a bad key");
  return lp_load_keep(l, text, n, value);
}

static LpIoValue *find_by_value(LpLoader *l, const LpIoValue *key) {
  char buf[LP_MAX_KEY_BYTES];
  const char *text;
  size_t n;
  LpIoValue *v = lp_load_key(key, buf, &text, &n) ? lp_load_find(l, text, n) : NULL;
  if (!v) lp_load_damaged("it points at a storage or tensor that is not there");
  return v;
}

static bool load_tar_storages(LpLoader *l) {
  Member m;
  int64_t count;
  if (!find_in_tar(l, "storages", &m)) return lp_load_damaged("it has no storages");
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
      return lp_load_damaged("a storage is larger than the file");
    LpTensor *t = new_tensor(l, &elements, dtype);
    if (t && !read_elements(l, &m.at, t)) lp_drop(&t);
    TRY(keep_by_value(l, part[0], lp_load_new_storage(l, t, dtype, is_untyped, part[1])));
  }
  if (m.at == m.end) return true; /* writers other than PyTorch leave the views out */
  const LpIoValue *views = read_pickle_at(l, &m.at, m.end, (LpPickleHost){0});
  if (!views) return false;
  if (views->kind != LP_IO_LIST) return lp_load_damaged("its list of views is none");
  for (size_t i = 0; i < views->as.items.count; i++) {
    const LpIoValue *view = views->as.items.data[i];
    LpIoValue **part = view->as.items.data;
    if (view->kind != LP_IO_TUPLE || view->as.items.count != 4 ||
        !lp_io_is(part[2], LP_IO_INT) || !lp_io_is(part[3], LP_IO_INT))
      return lp_load_damaged("its list of views is none");
    LpIoValue *root = find_by_value(l, part[1]);
    if (!root) return false;
    if (root->kind != LP_IO_STORAGE) return lp_load_damaged("a view is of no storage");
    TRY(keep_by_value(l, part[0], lp_load_view(l, root, part[2]->as.i, part[3]->as.i)));
  }
  return true;
}

static LpIoValue *read_ints(LpLoader *l, Member *m, int64_t count) {
  LpIoValue *list = lp_io_new(l->tree, LP_IO_LIST);
  for (int64_t i = 0; list && i < count; i++) {
    int64_t n;
    LpIoValue *item = read_int64(l, &m->at, &n) ? lp_io_int(l->tree, n) : NULL;
    if (!item || !lp_io_append(l->tree, list, item)) return NULL;
  }
  return list;
}

static bool load_tar_tensors(LpLoader *l) {
  Member m;
  int64_t count, ndim, offset;
  if (!find_in_tar(l, "tensors", &m)) return true; /* the pickle then makes them */
  TRY(read_count(l, &m, &count));
  for (int64_t i = 0; i < count; i++) {
    LpIoValue **part = read_tuple(l, &m, 3);
    LpIoValue *storage = part ? find_by_value(l, part[1]) : NULL;
    if (!storage) return false;
    if (storage->kind != LP_IO_STORAGE) return lp_load_damaged("a tensor has no storage");
    TRY(read_int64(l, &m.at, &ndim));
    ndim &= INT32_MAX; /* four bytes, and four that may hold anything */
    if (ndim > LP_MAX_DIMS) return lp_load_damaged("a tensor has too many dims");
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
  LpStorageId s;
  TRY(lp_load_read_id(id, &s));
  LpIoValue *v = find_by_value(ctx, id->as.items.data[2]);
  return v ? lp_load_check_known(v, &s) : NULL;
}

bool lp_load_tar(LpLoader *l) {
  Member m;
  lp_io_tree_set_format(l->tree, "tar");
  CHECK(find_in_tar(l, "pickle", &m), LP_ERR_IO, "the tar archive is no PyTorch file");
  TRY(load_tar_storages(l) && load_tar_tensors(l));
  LpIoValue *root =
      read_pickle_at(l, &m.at, m.end, (LpPickleHost){l, load_from_tar, true});
  lp_io_tree_set_root(l->tree, root);
  return root != NULL;
}
