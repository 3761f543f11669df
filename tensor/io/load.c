/* Files into trees: the formats are told apart by content here, and read by load_zip.c
 * (PyTorch from 1.6 on, TorchScript), load_legacy.c (PyTorch before) and load_arrays.c
 * (safetensors, NumPy). Pickles are read by pickle.c, what they name is made by
 * rebuild.c. */
#include "io/load.h"
#include <stdio.h>
#include <sys/mman.h>
#include "core/alloc.h"
#include "io/bytes.h"
#include "lampad/npy.h"
#include "lampad/safetensors.h"

bool lp_load_damaged(const char *what) {
  return lp_fail(LP_ERR_IO, "the file is damaged: %s", what);
}

static bool note(LpLoader *l, const char *name, LpIoValue *value) {
  LpIoValue *key = lp_io_text(l->tree, LP_IO_STRING, name, strlen(name));
  return key && value && lp_io_tree_note(l->tree, key, value);
}

bool lp_load_note(LpLoader *l, const char *name, const char *text, size_t size_bytes) {
  return note(l, name, lp_io_text(l->tree, LP_IO_STRING, text, size_bytes));
}

bool lp_load_note_int(LpLoader *l, const char *name, int64_t value) {
  return note(l, name, lp_io_int(l->tree, value));
}

/* --- storages by key
 * ------------------------------------------------------------------------- */

static LpStored *slot_of(LpStored *slots, size_t capacity, const char *key, size_t n) {
  uint64_t hash = 1469598103934665603u;
  for (size_t i = 0; i < n; i++) hash = (hash ^ (uint8_t)key[i]) * 1099511628211u;
  size_t at = hash & (capacity - 1);
  while (slots[at].key &&
         (slots[at].key_bytes != n || memcmp(slots[at].key, key, n) != 0))
    at = (at + 1) & (capacity - 1);
  return &slots[at];
}

LpIoValue *lp_load_find(LpLoader *l, const char *key, size_t n) {
  return l->stored_capacity ? slot_of(l->stored, l->stored_capacity, key, n)->value
                            : NULL;
}

bool lp_load_keep(LpLoader *l, const char *key, size_t n, LpIoValue *value) {
  if (l->stored_count * 2 >= l->stored_capacity) {
    const size_t capacity = l->stored_capacity ? l->stored_capacity * 2 : 64;
    LpStored *slots = lp_calloc(capacity * sizeof *slots);
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
  LpStored *slot = slot_of(l->stored, l->stored_capacity, copy, n);
  l->stored_count += slot->key == NULL;
  *slot = (LpStored){copy, n, value};
  return true;
}

void lp_load_forget_all(LpLoader *l) {
  lp_free(l->stored, l->stored_capacity * sizeof *l->stored);
  l->stored = NULL;
  l->stored_count = l->stored_capacity = 0;
}

bool lp_load_key(const LpIoValue *v, char *buf, const char **key, size_t *n) {
  if (lp_io_is(v, LP_IO_STRING)) {
    *key = v->as.text.data;
    *n = v->as.text.size_bytes;
    return *n <= LP_MAX_KEY_BYTES;
  }
  *key = buf;
  *n = 0;
  if (lp_io_is(v, LP_IO_INT))
    *n = (size_t)snprintf(buf, LP_MAX_KEY_BYTES, "%lld", (long long)v->as.i);
  return *n > 0;
}

LpIoValue *lp_load_new_storage(LpLoader *l, LpTensor *t, LpDtype dtype, bool is_untyped,
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

LpIoValue *lp_load_view(LpLoader *l, LpIoValue *root, int64_t offset, int64_t count) {
  LpTensor *base = root->as.tensor.tensor;
  int64_t one = 1;
  if (offset < 0 || count < 0 || offset > lp_numel(base) ||
      count > lp_numel(base) - offset)
    return lp_load_damaged("a view reaches outside of its storage"), NULL;
  LpTensor *t = lp_tensor_alias(base, lp_ints(&count, 1), lp_ints(&one, 1), offset);
  LpIoValue *v = lp_load_new_storage(l, t, (LpDtype)root->dtype, false, NULL);
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

void lp_load_settle(LpLoader *l, LpTensor *t) {
  const LpDtype dtype = lp_dtype(t);
  uint8_t *data = lp_data(t);
  const size_t count = (size_t)lp_numel(t);
  const size_t unit = lp_dtype_size(dtype) / (lp_dtype_is_complex(dtype) ? 2 : 1);
  if (l->is_big_endian) swap_bytes(data, count * lp_dtype_size(dtype), unit);
  for (size_t i = 0; dtype == LP_BOOL && i < count; i++)
    if (data[i] > 1) data[i] = 1;
}

bool lp_load_read_id(const LpIoValue *id, LpStorageId *s) {
  if (!lp_io_is(id, LP_IO_TUPLE) || id->as.items.count < 5 ||
      !lp_io_is_text(id->as.items.data[0], "storage"))
    return lp_load_damaged("it keeps something apart that is no storage");
  LpIoValue **part = id->as.items.data;
  TRY(lp_rebuild_storage_type(part[1], &s->dtype, &s->is_untyped));
  if (!lp_load_key(part[2], s->buf, &s->key, &s->key_bytes) ||
      !lp_io_is(part[4], LP_IO_INT))
    return lp_load_damaged("a storage has a bad key or size");
  s->location = part[3];
  s->numel = part[4]->as.i;
  s->view = id->as.items.count > 5 ? part[5] : NULL;
  if (s->numel < 0 || s->numel > INT64_MAX / 16)
    return lp_load_damaged("a storage has a bad key or size");
  return true;
}

LpIoValue *lp_load_check_known(LpIoValue *known, const LpStorageId *s) {
  if (known->kind != LP_IO_STORAGE || known->dtype != (int8_t)s->dtype ||
      lp_numel(known->as.tensor.tensor) < s->numel)
    return lp_load_damaged("a storage is used with two dtypes or sizes"), NULL;
  return known;
}

/* --- tensors that are not read
 * --------------------------------------------------------------- */

LpTensor *lp_load_map(LpLoader *l, uint64_t at, LpInts sizes, LpDtype dtype) {
  const size_t unit = lp_dtype_size(lp_dtype_to_real(dtype));
  if (l->is_big_endian && unit > 1) return NULL;
  return lp_bytes_of_source(l->source, at, sizes, dtype);
}

static void release_pages(void *ctx, void *data) {
  size_t *size_bytes = ctx;
  munmap(data, *size_bytes);
  lp_free(size_bytes, sizeof *size_bytes);
}

LpTensor *lp_load_placeholder(LpInts sizes, LpDtype dtype) {
  int64_t numel;
  TRY(lp_numel_of(sizes, &numel));
  if (numel == 0) return lp_tensor_new(sizes, dtype, lp_cpu());
  size_t *size_bytes = lp_alloc(sizeof *size_bytes);
  if (!size_bytes) return NULL;
  *size_bytes = (size_t)numel * lp_dtype_size(dtype);
  void *data = mmap(NULL, *size_bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  LpTensor *t = NULL;
  if (data != MAP_FAILED) {
    t = lp_tensor_from_blob(data, sizes, dtype, release_pages, size_bytes);
    if (!t) munmap(data, *size_bytes);
  } else {
    lp_fail(LP_ERR_MEMORY, "no address space for a tensor of %zu bytes", *size_bytes);
  }
  if (!t) lp_free(size_bytes, sizeof *size_bytes);
  return t;
}

/* --- entry points
 * --------------------------------------------------------------------------- */

static bool load_any(LpLoader *l) {
  uint8_t head[9] = {0};
  const size_t size = l->source->size_bytes;
  CHECK(size > 0, LP_ERR_IO, "the file is empty");
  TRY(lp_source_read(l->source, 0, head, size < sizeof head ? size : sizeof head));
  if (lp_zip_probe(l->source)) return lp_load_zip(l);
  if (lp_npy_recognise(head, sizeof head)) return lp_load_npy(l);
  /* Before the pickle: a header of 128 bytes begins with the same byte. */
  if (lp_safetensors_recognise(head, sizeof head, size)) return lp_load_safetensors(l);
  CHECK(
      l->mode != LP_LOAD_MAP, LP_ERR_ARGUMENT,
      "mmap = true is for files in the zip format of torch.save, safetensors and NumPy's "
      "files; this one is none");
  if (lp_load_tar_probe(l->source)) return lp_load_tar(l);
  if (head[0] == 0x80) return lp_load_legacy(l);
  return lp_fail(LP_ERR_IO,
                 "it is no file that torch.save wrote (neither a zip archive, nor a "
                 "pickle, nor a tar archive), no safetensors file and no array of NumPy");
}

/* Takes the source over. */
static LpIoTree *load(LpSource *source, LpLoadMode mode) {
  if (!source) return NULL;
  LpLoader l = {.source = source, .mode = mode};
  l.tree = lp_io_tree_new();
  const bool ok = l.tree && load_any(&l);
  lp_load_forget_all(&l);
  lp_source_release(source);
  if (ok) return l.tree;
  lp_io_tree_free(l.tree);
  return NULL;
}

LpIoTree *lp_checkpoint_open(const char *path, bool use_mmap) {
  return load(lp_source_open(path, use_mmap), use_mmap ? LP_LOAD_MAP : LP_LOAD_READ);
}

LpIoTree *lp_checkpoint_describe(const char *path) {
  return load(lp_source_open(path, true), LP_LOAD_DESCRIBE);
}

LpIoTree *lp_checkpoint_read(const void *data, size_t size_bytes) {
  return load(lp_source_memory(data, size_bytes), LP_LOAD_READ);
}
