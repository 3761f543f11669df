/* Trees into PyTorch's zip format: the pickle (protocol 2, of opcodes and names that
 * torch.load(..., weights_only = True) allows) and the storages behind it, each at a
 * multiple of 64 bytes so that readers can map them. Storages that tensors share are
 * written once. */
#include <stdio.h>
#include <sys/stat.h>
#include "core/alloc.h"
#include "io/tree.h"
#include "io/zip_write.h"

#define MAX_DEPTH 1000

/* --- growing bytes
 * --------------------------------------------------------------------------- */

typedef struct Bytes {
  uint8_t *data;
  size_t size, capacity;
  bool failed; /* looked at once, at the end */
} Bytes;

static void put(Bytes *b, const void *data, size_t n) {
  if (b->failed || !n) return;
  if (n > b->capacity - b->size) {
    size_t capacity = b->capacity ? b->capacity * 2 : 4096;
    while (capacity - b->size < n) capacity *= 2;
    uint8_t *more = lp_alloc(capacity);
    if (!more) {
      b->failed = true;
      return;
    }
    if (b->size) memcpy(more, b->data, b->size);
    lp_free(b->data, b->capacity);
    b->data = more;
    b->capacity = capacity;
  }
  memcpy(b->data + b->size, data, n);
  b->size += n;
}

static void free_bytes(Bytes *b) {
  lp_free(b->data, b->capacity);
  *b = (Bytes){0};
}

/* The low n bytes, little-endian. */
static void put_number(Bytes *b, uint64_t v, int n) {
  uint8_t bytes[8];
  for (int i = 0; i < n; i++) bytes[i] = (uint8_t)(v >> 8 * i);
  put(b, bytes, (size_t)n);
}

static void put_op(Bytes *b, uint8_t op) {
  put(b, &op, 1);
}

static void put_text(Bytes *b, const char *text) {
  put(b, text, strlen(text));
}

/* --- the pickle
 * ------------------------------------------------------------------------------ */

typedef struct Saver {
  const LpIoTree *tree;
  Bytes pickle;
  uint32_t *memo; /* by value number: memo place + 1; 0: none yet */
  size_t memo_capacity;
  uint32_t memo_count;
  LpStorage **storages; /* borrowed */
  LpDtype *dtypes;
  size_t storage_count, storage_capacity;
  uint32_t *slots; /* hash table of storages: place + 1; 0: free */
  size_t slot_capacity;
  int depth;
} Saver;

static bool write_value(Saver *s, const LpIoValue *v);

static void put_string(Bytes *b, const char *data, size_t n) {
  put_op(b, 'X');
  put_number(b, n, 4);
  put(b, data, n);
}

static void put_int(Bytes *b, int64_t i) {
  if (i >= 0 && i < 256) {
    put_op(b, 'K');
    put_number(b, (uint64_t)i, 1);
  } else if (i >= 0 && i < 65536) {
    put_op(b, 'M');
    put_number(b, (uint64_t)i, 2);
  } else if (i >= INT32_MIN && i <= INT32_MAX) {
    put_op(b, 'J');
    put_number(b, (uint64_t)i, 4);
  } else {
    put(b, (uint8_t[]){0x8a, 8}, 2);
    put_number(b, (uint64_t)i, 8);
  }
}

static void put_float(Bytes *b, double f) {
  uint64_t bits;
  memcpy(&bits, &f, 8);
  put_op(b, 'G');
  put_number(b, __builtin_bswap64(bits), 8);
}

static void put_bool(Bytes *b, bool v) {
  put_op(b, v ? 0x88 : 0x89);
}

static void memoize(Saver *s, const LpIoValue *v) {
  const uint32_t place = s->memo_count++;
  s->memo[v->number] = place + 1;
  put_op(&s->pickle, place < 256 ? 'q' : 'r');
  put_number(&s->pickle, place, place < 256 ? 1 : 4);
}

static bool recall(Saver *s, const LpIoValue *v) {
  if (!s->memo[v->number]) return false;
  const uint32_t place = s->memo[v->number] - 1;
  put_op(&s->pickle, place < 256 ? 'h' : 'j');
  put_number(&s->pickle, place, place < 256 ? 1 : 4);
  return true;
}

static const char *storage_name(LpDtype dtype) {
  static const char *const names[LP_DTYPE_COUNT] = {[LP_UINT8] = "Byte",
                                                    [LP_INT8] = "Char",
                                                    [LP_INT16] = "Short",
                                                    [LP_INT32] = "Int",
                                                    [LP_INT64] = "Long",
                                                    [LP_FLOAT16] = "Half",
                                                    [LP_FLOAT32] = "Float",
                                                    [LP_FLOAT64] = "Double",
                                                    [LP_COMPLEX64] = "ComplexFloat",
                                                    [LP_COMPLEX128] = "ComplexDouble",
                                                    [LP_BOOL] = "Bool",
                                                    [LP_BFLOAT16] = "BFloat16"};
  return names[dtype];
}

/* The slot of the storage in the hash table, or a free one. */
static uint32_t *slot_of(const Saver *s, const LpStorage *storage) {
  const uint64_t hash = (uint64_t)(uintptr_t)storage * 0x9e3779b97f4a7c15u;
  size_t at = (size_t)(hash >> 32) & (s->slot_capacity - 1);
  while (s->slots[at] && s->storages[s->slots[at] - 1] != storage)
    at = (at + 1) & (s->slot_capacity - 1);
  return &s->slots[at];
}

static bool make_slots(Saver *s) {
  const size_t capacity = s->slot_capacity ? s->slot_capacity * 2 : 256;
  uint32_t *slots = lp_calloc(capacity * sizeof *slots);
  if (!slots) return false;
  lp_free(s->slots, s->slot_capacity * sizeof *slots);
  s->slots = slots;
  s->slot_capacity = capacity;
  for (size_t i = 0; i < s->storage_count; i++)
    *slot_of(s, s->storages[i]) = (uint32_t)i + 1;
  return true;
}

static bool storage_place(Saver *s, LpStorage *storage, LpDtype dtype, size_t *place) {
  if (s->storage_count * 2 >= s->slot_capacity) TRY(make_slots(s));
  uint32_t *slot = slot_of(s, storage);
  if (*slot) {
    *place = *slot - 1;
    CHECK(s->dtypes[*place] == dtype, LP_ERR_ARGUMENT,
          "cannot save tensors of two dtypes (%s and %s) that share one storage; clone "
          "one of them",
          lp_dtype_name(s->dtypes[*place]), lp_dtype_name(dtype));
    return true;
  }
  if (s->storage_count == s->storage_capacity) {
    const size_t old = s->storage_capacity, capacity = old ? old * 2 : 64;
    LpStorage **storages = lp_alloc(capacity * sizeof *storages);
    LpDtype *dtypes = storages ? lp_alloc(capacity * sizeof *dtypes) : NULL;
    if (!dtypes) {
      lp_free(storages, capacity * sizeof *storages);
      return false;
    }
    if (old) {
      memcpy(storages, s->storages, old * sizeof *storages);
      memcpy(dtypes, s->dtypes, old * sizeof *dtypes);
    }
    lp_free(s->storages, old * sizeof *storages);
    lp_free(s->dtypes, old * sizeof *dtypes);
    s->storages = storages;
    s->dtypes = dtypes;
    s->storage_capacity = capacity;
  }
  *slot = (uint32_t)s->storage_count + 1;
  *place = s->storage_count++;
  s->storages[*place] = storage;
  s->dtypes[*place] = dtype;
  return true;
}

/* The storages of limited dtypes have no class of their own: they are bytes. */
static bool is_stored_as_bytes(LpDtype dtype) {
  return lp_dtype_is_limited(dtype);
}

/* ('storage', torch.FloatStorage, key, 'cpu', number of elements), kept apart */
static bool write_storage(Saver *s, const LpTensor *t, bool is_untyped) {
  Bytes *b = &s->pickle;
  const LpDtype dtype = lp_dtype(t);
  char text[64];
  size_t place;
  const bool as_bytes = is_untyped || is_stored_as_bytes(dtype);
  TRY(storage_place(s, t->storage, as_bytes ? LP_UINT8 : dtype, &place));
  put_op(b, '(');
  put_string(b, "storage", 7);
  snprintf(text, sizeof text,
           as_bytes ? "ctorch.storage\n%sStorage\n" : "ctorch\n%sStorage\n",
           as_bytes ? "Untyped" : storage_name(dtype));
  put_text(b, text);
  const int n = snprintf(text, sizeof text, "%zu", place);
  put_string(b, text, (size_t)n);
  put_string(b, "cpu", 3);
  put_int(b, (int64_t)(t->storage->size_bytes / (as_bytes ? 1 : lp_dtype_size(dtype))));
  put_text(b, "tQ");
  return true;
}

static void put_ints(Bytes *b, LpInts ints) {
  put_op(b, '(');
  for (int64_t i = 0; i < ints.count; i++) put_int(b, ints.data[i]);
  put_op(b, 't');
}

static bool write_tensor(Saver *s, const LpIoValue *v) {
  Bytes *b = &s->pickle;
  const LpTensor *t = v->as.tensor.tensor;
  const bool is_parameter = v->flags & LP_IO_PARAMETER,
             requires_grad = v->flags & LP_IO_REQUIRES_GRAD;
  CHECK(!t->physical, LP_ERR_ARGUMENT, "cannot save a tensor inside of torch.vmap");
  if (is_parameter) put_text(b, "ctorch._utils\n_rebuild_parameter\n(");
  const LpDtype dtype = lp_dtype(t);
  const bool names_dtype = is_stored_as_bytes(dtype);
  put_text(b, names_dtype ? "ctorch._utils\n_rebuild_tensor_v3\n("
                          : "ctorch._utils\n_rebuild_tensor_v2\n(");
  TRY(write_storage(s, t, false));
  put_int(b, lp_storage_offset(t));
  put_ints(b, lp_sizes(t));
  put_ints(b, lp_strides(t));
  put_bool(b, requires_grad && !is_parameter);
  put_text(b, "ccollections\nOrderedDict\n)R");
  if (names_dtype) {
    put_text(b, "ctorch\n");
    put_text(b, lp_dtype_name(dtype));
    put_op(b, '\n');
  }
  put_text(b, "tR");
  if (!is_parameter) return true;
  put_bool(b, requires_grad);
  put_text(b, "ccollections\nOrderedDict\n)RtR");
  return true;
}

/* Protocol 2 writes bytes as the latin-1 text of the same codes. */
static void put_bytes(Bytes *b, const LpIoValue *v) {
  size_t n = v->as.text.size_bytes;
  const uint8_t *data = (const uint8_t *)v->as.text.data;
  for (size_t i = 0; i < v->as.text.size_bytes; i++) n += data[i] >= 0x80;
  put_text(b, "c_codecs\nencode\n(X");
  put_number(b, n, 4);
  for (size_t i = 0; i < v->as.text.size_bytes; i++)
    if (data[i] < 0x80)
      put_op(b, data[i]);
    else
      put(b, (uint8_t[]){0xc0 | data[i] >> 6, 0x80 | (data[i] & 0x3f)}, 2);
  put_string(b, "latin1", 6);
  put_text(b, "tR");
}

static bool write_items(Saver *s, const LpIoValue *v, const char *before,
                        const char *after) {
  if (!v->as.items.count) return true;
  put_text(&s->pickle, before);
  for (size_t i = 0; i < v->as.items.count; i++) TRY(write_value(s, v->as.items.data[i]));
  put_text(&s->pickle, after);
  return true;
}

static bool write_container(Saver *s, const LpIoValue *v) {
  Bytes *b = &s->pickle;
  switch (v->kind) {
  case LP_IO_LIST:
    put_op(b, ']');
    memoize(s, v); /* before its items: they may point back */
    return write_items(s, v, "(", "e");
  case LP_IO_DICT:
    put_op(b, '}');
    memoize(s, v);
    return write_items(s, v, "(", "u");
  case LP_IO_ORDERED_DICT:
    put_text(b, "ccollections\nOrderedDict\n)R");
    memoize(s, v);
    TRY(write_items(s, v, "(", "u"));
    if (v->as.items.attributes) {
      TRY(write_value(s, v->as.items.attributes));
      put_op(b, 'b');
    }
    return true;
  case LP_IO_TUPLE:
    put_op(b, '(');
    TRY(write_items(s, v, "", ""));
    put_op(b, 't');
    break;
  case LP_IO_SIZE:
    put_text(b, "ctorch\nSize\n((");
    TRY(write_items(s, v, "", ""));
    put_text(b, "ttR");
    break;
  default:
    put_text(b, v->kind == LP_IO_SET ? "c__builtin__\nset\n(]"
                                     : "c__builtin__\nfrozenset\n(]");
    TRY(write_items(s, v, "(", "e"));
    put_text(b, "tR");
  }
  memoize(s, v);
  return true;
}

static bool write_value(Saver *s, const LpIoValue *v) {
  Bytes *b = &s->pickle;
  if (recall(s, v)) return true;
  switch (v->kind) {
  case LP_IO_NONE: put_op(b, 'N'); return true;
  case LP_IO_BOOL: put_bool(b, v->as.i); return true;
  case LP_IO_INT: put_int(b, v->as.i); return true;
  case LP_IO_FLOAT: put_float(b, v->as.f); return true;
  case LP_IO_COMPLEX:
    put_text(b, "c__builtin__\ncomplex\n(");
    put_float(b, v->as.c[0]);
    put_float(b, v->as.c[1]);
    put_text(b, "tR");
    return true;
  case LP_IO_STRING:
  case LP_IO_BYTES:
    CHECK(v->as.text.size_bytes < UINT32_MAX / 2, LP_ERR_ARGUMENT,
          "cannot save a string of %zu bytes: the format holds 2 GiB",
          v->as.text.size_bytes);
    if (v->kind == LP_IO_STRING)
      put_string(b, v->as.text.data, v->as.text.size_bytes);
    else
      put_bytes(b, v);
    return true;
  case LP_IO_BIGINT:
    CHECK(v->as.text.size_bytes < 256, LP_ERR_ARGUMENT,
          "cannot save an integer of %zu bytes", v->as.text.size_bytes);
    put(b, (uint8_t[]){0x8a, (uint8_t)v->as.text.size_bytes}, 2);
    put(b, v->as.text.data, v->as.text.size_bytes);
    return true;
  case LP_IO_DTYPE:
    put_text(b, "ctorch\n");
    put_text(b, lp_dtype_name((LpDtype)v->dtype));
    put_op(b, '\n');
    return true;
  case LP_IO_DEVICE:
    put_text(b, "ctorch\ndevice\n(");
    put_string(b, v->as.text.data, v->as.text.size_bytes);
    put_text(b, "tR");
    memoize(s, v);
    return true;
  case LP_IO_TENSOR:
    TRY(write_tensor(s, v));
    memoize(s, v);
    return true;
  case LP_IO_STORAGE:
    TRY(write_storage(s, v->as.tensor.tensor, v->flags & LP_IO_UNTYPED));
    memoize(s, v);
    return true;
  case LP_IO_GLOBAL:
  case LP_IO_RECORD:
    return lp_fail(LP_ERR_ARGUMENT, "cannot save an inert object of another program");
  default: break;
  }
  CHECK(s->depth < MAX_DEPTH, LP_ERR_ARGUMENT, "cannot save values nested deeper than %d",
        MAX_DEPTH);
  s->depth++;
  TRY(write_container(s, v));
  s->depth--;
  return true;
}

/* --- the archive
 * ----------------------------------------------------------------------------- */

typedef struct Archive {
  LpZipWriter zip;
  char prefix[256];
} Archive;

/* The members' folder: the file's name without its extension, as PyTorch has it. */
static void make_prefix(Archive *a, const char *path) {
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  const char *dot = strrchr(name, '.');
  const size_t n = dot && dot != name ? (size_t)(dot - name) : strlen(name);
  bool good = n > 0 && n < sizeof a->prefix && name[0] != '.';
  for (size_t i = 0; good && i < n; i++)
    good = (uint8_t)name[i] >= ' ' && name[i] != '\\';
  snprintf(a->prefix, sizeof a->prefix, "%.*s", (int)(good ? n : 7),
           good ? name : "archive");
}

static bool put_member(Archive *a, const char *own_name, const void *data,
                       size_t size_bytes) {
  const LpBytes part = {data, size_bytes};
  char name[512];
  snprintf(name, sizeof name, "%s/%s", a->prefix, own_name);
  return lp_zip_put(&a->zip, name, &part, 1, LP_ZIP_ALIGN);
}

static bool put_text_member(Archive *a, const char *own_name, const char *text) {
  return put_member(a, own_name, text, strlen(text));
}

static bool put_storages(Archive *a, const Saver *s) {
  char name[64];
  for (size_t i = 0; i < s->storage_count; i++) {
    const size_t unit = lp_dtype_size(s->dtypes[i]);
    snprintf(name, sizeof name, "data/%zu", i);
    TRY(put_member(a, name, lp_storage_data(s->storages[i]),
                   s->storages[i]->size_bytes / unit * unit));
  }
  return true;
}

/* The members that PyTorch has, in its order, and one that says who wrote the file. */
static bool put_members(Archive *a, const Saver *s) {
  return put_member(a, "data.pkl", s->pickle.data, s->pickle.size) &&
         put_text_member(a, ".format_version", "1") &&
         put_text_member(a, ".storage_alignment", "64") &&
         put_text_member(a, "byteorder", "little") &&
         put_text_member(a, ".lampad/producer", "Lampad") && put_storages(a, s) &&
         put_text_member(a, "version", "3\n") && lp_zip_put_end(&a->zip);
}

static bool write_archive(const char *path, const Saver *s) {
  LpWriter w;
  Archive a = {.zip = {.writer = &w}};
  make_prefix(&a, path);
  TRY(lp_writer_open(&w, path));
  const bool ok = put_members(&a, s);
  lp_zip_writer_free(&a.zip);
  if (ok) return lp_writer_finish(&w);
  lp_writer_abort(&w);
  return false;
}

static bool save(const char *path, Saver *s) {
  put(&s->pickle, "\x80\2", 2);
  TRY(write_value(s, lp_io_tree_root(s->tree)));
  put_op(&s->pickle, '.');
  return !s->pickle.failed && write_archive(path, s);
}

bool lp_checkpoint_write(const char *path, const LpIoTree *tree) {
  Saver s = {.tree = tree};
  struct stat info;
  CHECK(lp_io_tree_root(tree), LP_ERR_ARGUMENT, "there is nothing to save");
  /* A device or a pipe must not be replaced by a file. */
  CHECK(stat(path, &info) != 0 || S_ISREG(info.st_mode), LP_ERR_IO,
        "cannot write %s: it is no regular file", path);
  for (s.memo_capacity = 0; lp_io_tree_value(tree, s.memo_capacity);) s.memo_capacity++;
  s.memo = lp_calloc(s.memo_capacity * sizeof *s.memo);
  const bool ok = s.memo && save(path, &s);
  lp_free(s.memo, s.memo_capacity * sizeof *s.memo);
  free_bytes(&s.pickle);
  lp_free(s.storages, s.storage_capacity * sizeof *s.storages);
  lp_free(s.dtypes, s.storage_capacity * sizeof *s.dtypes);
  lp_free(s.slots, s.slot_capacity * sizeof *s.slots);
  return ok;
}
