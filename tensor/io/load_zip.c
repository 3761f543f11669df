/* The zip format of PyTorch 1.6 and later, and TorchScript archives: see load.h. The
 * archive's members are read by zip.c. */
#include <stdio.h>
#include "core/alloc.h"
#include "io/bytes.h"
#include "io/load.h"

/* The tensor is filled later, by read_pending. */
static bool read_later(LpLoader *l, const LpZipEntry *e, LpTensor *t) {
  if (l->pending_count == l->pending_capacity) {
    const size_t old = l->pending_capacity, capacity = old ? old * 2 : 64;
    LpPending *pending = lp_alloc(capacity * sizeof *pending);
    if (!pending) return false;
    if (old) memcpy(pending, l->pending, old * sizeof *pending);
    lp_free(l->pending, old * sizeof *pending);
    l->pending = pending;
    l->pending_capacity = capacity;
  }
  l->pending[l->pending_count++] = (LpPending){e, lp_tensor_retain(t)};
  return true;
}

/* Note [Read at the end]: while the pickle is read, its tensors only get their memory;
 * then all members are read at once, by all threads, so that no thread waits for another
 * at the end of each. */
static bool read_pending(LpLoader *l) {
  const size_t count = l->pending_count;
  LpZipRead *reads = lp_alloc(count * sizeof *reads + 1);
  if (!reads) return false;
  for (size_t i = 0; i < count; i++)
    reads[i] = (LpZipRead){l->pending[i].entry, lp_data(l->pending[i].tensor)};
  const bool ok = lp_zip_read_all(&l->zip, reads, count);
  lp_free(reads, count * sizeof *reads + 1);
  for (size_t i = 0; ok && i < count; i++) lp_load_settle(l, l->pending[i].tensor);
  return ok;
}

static void free_pending(LpLoader *l) {
  for (size_t i = 0; i < l->pending_count; i++) lp_tensor_release(l->pending[i].tensor);
  lp_free(l->pending, l->pending_capacity * sizeof *l->pending);
}

static LpTensor *member_tensor(LpLoader *l, const LpStorageId *s) {
  char name[LP_MAX_KEY_BYTES + 16];
  const int n =
      snprintf(name, sizeof name, "%s%.*s", l->folder, (int)s->key_bytes, s->key);
  const LpZipEntry *e = lp_zip_find(&l->zip, l->prefix, l->prefix_bytes, name, (size_t)n);
  const size_t unit = lp_dtype_size(s->dtype);
  const LpInts sizes = lp_ints(&s->numel, 1);
  if (!e && s->numel == 0) return lp_tensor_new(sizes, s->dtype, lp_cpu());
  CHECK(e, LP_ERR_IO, "the file is damaged: it has no bytes for storage '%s'", name);
  CHECK(e->size_bytes >= (uint64_t)s->numel * unit, LP_ERR_IO,
        "the file is damaged: storage '%s' has %llu bytes, and %lld elements of %s need "
        "%llu",
        name, (unsigned long long)e->size_bytes, (long long)s->numel,
        lp_dtype_name(s->dtype), (unsigned long long)s->numel * unit);
  CHECK(!l->is_big_endian || !s->is_untyped, LP_ERR_IO,
        "untyped storages of big-endian files are not read");
  LpTensor *t = e->method == 0 ? lp_load_map(l, e->data_at, sizes, s->dtype) : NULL;
  if (t && l->mode == LP_LOAD_MAP) lp_load_settle(l, t);
  if (t) return t;
  if (l->mode == LP_LOAD_DESCRIBE) return lp_load_placeholder(sizes, s->dtype);
  /* Room for all of the member; the tensor is over what it should have. */
  const int64_t count = (int64_t)((e->size_bytes + unit - 1) / unit);
  int64_t one = 1;
  t = lp_bytes_new(lp_ints(&count, 1), s->dtype);
  if (t && count != s->numel) {
    t->storage->size_bytes = (size_t)s->numel * unit;
    if (!lp_tensor_set_geometry(t, sizes, lp_ints(&one, 1), 0)) lp_drop(&t);
  }
  if (t && !read_later(l, e, t)) lp_drop(&t);
  return t;
}

static LpIoValue *load_from_zip(void *ctx, LpIoValue *id) {
  LpLoader *l = ctx;
  LpStorageId s;
  TRY(lp_load_read_id(id, &s));
  LpIoValue *v = lp_load_find(l, s.key, s.key_bytes);
  if (v) return lp_load_check_known(v, &s);
  v = lp_load_new_storage(l, member_tensor(l, &s), s.dtype, s.is_untyped, s.location);
  return v && lp_load_keep(l, s.key, s.key_bytes, v) ? v : NULL;
}

static const LpZipEntry *find_member(const LpLoader *l, const char *name) {
  return lp_zip_find(&l->zip, l->prefix, l->prefix_bytes, name, strlen(name));
}

/* The pickle of a member; its storages are in `folder`. */
static LpIoValue *read_zip_pickle(LpLoader *l, const LpZipEntry *e, const char *folder) {
  CHECK(e->size_bytes <= LP_MAX_PICKLE_BYTES, LP_ERR_IO,
        "the file's pickle is larger than the limit of %llu MiB",
        (unsigned long long)LP_MAX_PICKLE_BYTES >> 20);
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

static bool read_byte_order(LpLoader *l) {
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

/* What the archive says of itself, and the members that are not read. */
static bool note_archive(LpLoader *l) {
  static const char *const texts[][2] = {{"version", "version"},
                                         {"serialization_id", ".data/serialization_id"},
                                         {"producer", ".lampad/producer"}};
  static const char *const known[] = {
      "data.pkl", "data/",  "constants.pkl",   "constants/", "version",    "byteorder",
      "code/",    ".data/", ".format_version", ".lampad/",   ".storage_a", "extra/"};
  char text[64];
  if (l->prefix_bytes) TRY(lp_load_note(l, "archive", l->prefix, l->prefix_bytes - 1));
  TRY(lp_load_note(l, "byteorder", l->is_big_endian ? "big" : "little",
                   l->is_big_endian ? 3 : 6));
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    const LpZipEntry *e = find_member(l, texts[i][1]);
    if (!e || e->size_bytes > sizeof text) continue;
    TRY(lp_zip_read(&l->zip, e, text));
    size_t n = (size_t)e->size_bytes;
    while (n && (text[n - 1] == '\n' || text[n - 1] == ' ')) n--;
    TRY(lp_load_note(l, texts[i][0], text, n));
  }
  int64_t code = 0;
  for (size_t i = 0; i < l->zip.count; i++) {
    const LpZipEntry *e = &l->zip.entries[i];
    const bool inside = e->name_bytes > l->prefix_bytes &&
                        memcmp(e->name, l->prefix, l->prefix_bytes) == 0;
    const char *name = e->name + l->prefix_bytes;
    const size_t n = e->name_bytes - l->prefix_bytes;
    bool is_known = false;
    for (size_t k = 0; inside && !is_known && k < sizeof known / sizeof *known; k++)
      is_known = n >= strlen(known[k]) && memcmp(name, known[k], strlen(known[k])) == 0;
    code += inside && n > 5 && memcmp(name, "code/", 5) == 0;
    if (!is_known) TRY(lp_load_note(l, "unread", e->name, e->name_bytes));
  }
  return code == 0 || lp_load_note_int(l, "code", code);
}

/* The pickle at the archive's top: NAME/data.pkl. */
static const LpZipEntry *find_pickle(LpLoader *l) {
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
static LpIoValue *add_constants(LpLoader *l, LpIoValue *module,
                                const LpZipEntry *constants) {
  /* Keys of the two folders have nothing to do with each other. */
  lp_load_forget_all(l);
  LpIoValue *values = read_zip_pickle(l, constants, "constants/");
  LpIoValue *both = values ? lp_io_new(l->tree, LP_IO_DICT) : NULL;
  LpIoValue *first = lp_io_slice(l->tree, LP_IO_STRING, "module", 6);
  LpIoValue *second = lp_io_slice(l->tree, LP_IO_STRING, "constants", 9);
  const bool ok = both && first && second &&
                  lp_rebuild_set(l->tree, both, first, module) &&
                  lp_rebuild_set(l->tree, both, second, values);
  return ok ? both : NULL;
}

static bool has_arrays(const LpZip *zip) {
  for (size_t i = 0; i < zip->count; i++) {
    const LpZipEntry *e = &zip->entries[i];
    if (e->name_bytes > 4 && memcmp(e->name + e->name_bytes - 4, ".npy", 4) == 0)
      return true;
  }
  return false;
}

static bool load_pickles(LpLoader *l, const LpZipEntry *pickle) {
  TRY(read_byte_order(l));
  const LpZipEntry *constants = find_member(l, "constants.pkl");
  lp_io_tree_set_format(l->tree, constants ? "torchscript" : "zip");
  LpIoValue *root = read_zip_pickle(l, pickle, "data/");
  if (root && constants) root = add_constants(l, root, constants);
  lp_io_tree_set_root(l->tree, root);
  return root && read_pending(l) && (l->mode != LP_LOAD_DESCRIBE || note_archive(l));
}

bool lp_load_zip(LpLoader *l) {
  TRY(lp_zip_open(&l->zip, l->source));
  const LpZipEntry *pickle = find_pickle(l);
  bool ok;
  if (pickle)
    ok = load_pickles(l, pickle);
  else if (has_arrays(&l->zip))
    ok = lp_load_npz(l);
  else
    ok = lp_fail(LP_ERR_IO, "the zip archive is no PyTorch file: it has no data.pkl");
  free_pending(l);
  lp_zip_close(&l->zip);
  return ok;
}
