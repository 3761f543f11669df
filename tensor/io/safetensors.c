/* Reading safetensors (lampad/safetensors.h). Writing is in safetensors_save.c. Must not
 * include Lua.
 *
 * A file is: the length of the header, u64 little-endian; the header, a JSON object of
 *   name -> {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}
 * and perhaps "__metadata__" -> {text: text}; the bytes, to which the offsets refer. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "core/alloc.h"
#include "io/bytes.h"
#include "io/safetensors.h"

/* In the order of the format's own library, which writes larger elements first. */
const LpSafetensorsType lp_safetensors_types[] = {
    {"BOOL", 8, LP_BOOL},
    {"F4", 4, LP_DTYPE_NONE},
    {"F6_E2M3", 6, LP_DTYPE_NONE},
    {"F6_E3M2", 6, LP_DTYPE_NONE},
    {"U8", 8, LP_UINT8},
    {"I8", 8, LP_INT8},
    {"F8_E5M2", 8, LP_FLOAT8_E5M2},
    {"F8_E4M3", 8, LP_FLOAT8_E4M3FN},
    {"F8_E8M0", 8, LP_DTYPE_NONE},
    {"F8_E4M3FNUZ", 8, LP_FLOAT8_E4M3FNUZ},
    {"F8_E5M2FNUZ", 8, LP_FLOAT8_E5M2FNUZ},
    {"I16", 16, LP_INT16},
    {"U16", 16, LP_UINT16},
    {"F16", 16, LP_FLOAT16},
    {"BF16", 16, LP_BFLOAT16},
    {"I32", 32, LP_INT32},
    {"U32", 32, LP_UINT32},
    {"F32", 32, LP_FLOAT32},
    {"C64", 64, LP_COMPLEX64},
    {"F64", 64, LP_FLOAT64},
    {"I64", 64, LP_INT64},
    {"U64", 64, LP_UINT64},
};
const int lp_safetensors_type_count =
    sizeof lp_safetensors_types / sizeof *lp_safetensors_types;

typedef struct Entry {
  const char *name; /* of the header's JSON */
  const LpSafetensorsType *type;
  const int64_t *sizes;
  int64_t ndim;
  uint64_t begin, end; /* in the bytes behind the header */
} Entry;

struct LpSafetensors {
  LpTensor *bytes;     /* owned: keeps the memory */
  const uint8_t *data; /* what the offsets count from */
  uint64_t data_bytes;
  json_t *header;    /* owned */
  json_t *metadata;  /* borrowed from the header, or NULL */
  LpTextPair *pairs; /* owned: metadata as an array */
  Entry *entries;    /* owned, by offset */
  int64_t count;
  int64_t *dims; /* owned: the sizes of all entries */
  size_t dim_count, pair_count;
};

static uint64_t read_u64(const uint8_t *p) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; i--) value = value << 8 | p[i];
  return value;
}

bool lp_safetensors_recognise(const void *data, size_t size_bytes, uint64_t file_bytes) {
  if (size_bytes < 9 || file_bytes < 10) return false;
  const uint64_t header_bytes = read_u64(data);
  return ((const uint8_t *)data)[8] == '{' && header_bytes >= 2 &&
         header_bytes <= file_bytes - 8;
}

/* --- the header
 * ------------------------------------------------------------------------------ */

#define BAD(...) CHECK(0, LP_ERR_IO, __VA_ARGS__)

static bool read_header(LpSafetensors *s, const uint8_t *file, uint64_t file_bytes) {
  if (file_bytes < 8)
    BAD("no safetensors file: it has only %llu bytes", (unsigned long long)file_bytes);
  const uint64_t length = read_u64(file);
  if (length > LP_SAFETENSORS_MAX_HEADER_BYTES)
    BAD("no safetensors file: its header would have %llu bytes, at most %llu are allowed",
        (unsigned long long)length, (unsigned long long)LP_SAFETENSORS_MAX_HEADER_BYTES);
  if (length > file_bytes - 8)
    BAD("the file is truncated: its header should have %llu bytes, %llu are there",
        (unsigned long long)length, (unsigned long long)(file_bytes - 8));
  if (length == 0 || file[8] != '{')
    BAD("no safetensors file: its header does not begin with '{'");
  json_error_t error;
  s->header =
      json_loadb((const char *)file + 8, (size_t)length, JSON_REJECT_DUPLICATES, &error);
  if (!s->header && json_error_code(&error) == json_error_out_of_memory)
    CHECK(0, LP_ERR_MEMORY, "out of memory for a header of %llu bytes",
          (unsigned long long)length);
  if (!s->header)
    BAD("the header is not valid JSON: %s (at byte %d)", error.text, error.position);
  s->data = file + 8 + length;
  s->data_bytes = file_bytes - 8 - length;
  return true;
}

/* A JSON integer of at least 0. */
static bool is_size(const json_t *value) {
  return json_is_integer(value) && json_integer_value(value) >= 0;
}

static const LpSafetensorsType *type_of(const char *name) {
  for (int i = 0; name && i < lp_safetensors_type_count; i++)
    if (strcmp(lp_safetensors_types[i].name, name) == 0) return &lp_safetensors_types[i];
  return NULL;
}

/* The entry from its JSON; its sizes go to dims. */
static bool read_entry(Entry *e, const char *name, json_t *info, int64_t *dims) {
  if (!json_is_object(info)) BAD("the header's entry '%.200s' is no object", name);
  const char *type = json_string_value(json_object_get(info, "dtype"));
  const json_t *shape = json_object_get(info, "shape");
  const json_t *offsets = json_object_get(info, "data_offsets");
  if (!type) BAD("tensor '%.200s' has no dtype in the header", name);
  *e = (Entry){.name = name, .type = type_of(type), .sizes = dims};
  if (!e->type)
    BAD("tensor '%.200s' has dtype '%.40s', which the format does not have", name, type);
  if (!json_is_array(shape)) BAD("tensor '%.200s' has no shape in the header", name);
  e->ndim = (int64_t)json_array_size(shape);
  if (e->ndim > LP_MAX_DIMS)
    BAD("tensor '%.200s' has %lld dims, at most %d are supported", name,
        (long long)e->ndim, LP_MAX_DIMS);
  uint64_t bits = (uint64_t)e->type->bits;
  bool fits = true;
  for (int64_t d = 0; d < e->ndim; d++) {
    const json_t *size = json_array_get(shape, (size_t)d);
    if (!is_size(size))
      BAD("tensor '%.200s': dim %lld of its shape is no size", name, (long long)d);
    dims[d] = json_integer_value(size);
    fits = !__builtin_mul_overflow(bits, (uint64_t)dims[d], &bits) && fits;
  }
  if (json_array_size(offsets) != 2 || !is_size(json_array_get(offsets, 0)) ||
      !is_size(json_array_get(offsets, 1)))
    BAD("tensor '%.200s': its data_offsets are no two positions", name);
  e->begin = (uint64_t)json_integer_value(json_array_get(offsets, 0));
  e->end = (uint64_t)json_integer_value(json_array_get(offsets, 1));
  if (e->begin > e->end) BAD("tensor '%.200s' ends before it begins", name);
  if (!fits || bits % 8 || bits / 8 != e->end - e->begin)
    BAD("tensor '%.200s': its dtype %s and shape do not make the %llu bytes of its "
        "data_offsets",
        name, e->type->name, (unsigned long long)(e->end - e->begin));
  return true;
}

static bool read_metadata(LpSafetensors *s) {
  if (!json_is_object(s->metadata)) BAD("__metadata__ is no object");
  const size_t count = json_object_size(s->metadata);
  TRY(s->pairs = lp_alloc(count * sizeof *s->pairs + 1));
  s->pair_count = count;
  size_t i = 0;
  const char *key;
  json_t *value;
  json_object_foreach(s->metadata, key, value) {
    if (!json_is_string(value)) BAD("__metadata__: '%.200s' is no text", key);
    s->pairs[i++] = (LpTextPair){key, json_string_value(value)};
  }
  return true;
}

/* Empty tensors may begin at the same byte: their names decide. */
static int by_offset(const void *a, const void *b) {
  const Entry *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  if (x->end != y->end) return x->end < y->end ? -1 : 1;
  return strcmp(x->name, y->name);
}

/* The tensors cover the bytes exactly: no hole, no overlap, nothing left over. */
static bool check_offsets(const LpSafetensors *s) {
  uint64_t at = 0;
  for (int64_t i = 0; i < s->count; i++) {
    const Entry *e = &s->entries[i];
    if (e->begin != at)
      BAD("tensor '%.200s' begins at byte %llu, where %llu was expected: %s", e->name,
          (unsigned long long)e->begin, (unsigned long long)at,
          e->begin < at ? "it overlaps another" : "there is a hole before it");
    if (e->end > s->data_bytes)
      BAD("the file is truncated: tensor '%.200s' ends at byte %llu of the %llu that are "
          "there",
          e->name, (unsigned long long)e->end, (unsigned long long)s->data_bytes);
    at = e->end;
  }
  if (at != s->data_bytes)
    BAD("%llu bytes follow the last tensor", (unsigned long long)(s->data_bytes - at));
  return true;
}

static bool read_entries(LpSafetensors *s) {
  const char *name;
  json_t *info;
  size_t dims = 0;
  s->metadata = json_object_get(s->header, "__metadata__");
  if (s->metadata) TRY(read_metadata(s));
  json_object_foreach(s->header, name, info) dims +=
      json_array_size(json_object_get(info, "shape"));
  const size_t room = json_object_size(s->header);
  TRY(s->dims = lp_alloc(dims * sizeof *s->dims + 1));
  s->dim_count = dims;
  TRY(s->entries = lp_alloc(room * sizeof *s->entries + 1));
  s->count = 0;
  int64_t *next = s->dims;
  json_object_foreach(s->header, name, info) {
    if (info == s->metadata) continue;
    Entry *e = &s->entries[s->count];
    TRY(read_entry(e, name, info, next));
    next += e->ndim;
    s->count++;
  }
  qsort(s->entries, (size_t)s->count, sizeof *s->entries, by_offset);
  return check_offsets(s);
}

/* --- public
 * ---------------------------------------------------------------------------------- */

LpSafetensors *lp_safetensors_parse_head(LpTensor *head, uint64_t file_bytes) {
  LpSafetensors *s = lp_calloc(sizeof *s);
  if (!s) return NULL;
  s->bytes = lp_tensor_retain(head);
  if (read_header(s, lp_data(head), file_bytes) && read_entries(s)) return s;
  lp_safetensors_close(s);
  return NULL;
}

LpSafetensors *lp_safetensors_parse(LpTensor *bytes) {
  CHECK(!bytes->physical && lp_is_contiguous(bytes, LP_CONTIGUOUS), LP_ERR_ARGUMENT,
        "the bytes of a safetensors file must be a contiguous tensor");
  return lp_safetensors_parse_head(bytes, (uint64_t)lp_numel(bytes) *
                                              lp_dtype_size(lp_dtype(bytes)));
}

LpSafetensors *lp_safetensors_open(const char *path, bool use_mmap) {
  LpTensor *bytes = use_mmap ? lp_bytes_map(path) : lp_bytes_read(path);
  if (!bytes) return NULL;
  LpSafetensors *s = lp_safetensors_parse(bytes);
  lp_tensor_release(bytes);
  if (!s) lp_fail_prefix("%s: ", path);
  return s;
}

void lp_safetensors_close(LpSafetensors *s) {
  if (!s) return;
  lp_free(s->dims, s->dim_count * sizeof *s->dims + 1);
  if (s->entries)
    lp_free(s->entries, json_object_size(s->header) * sizeof *s->entries + 1);
  lp_free(s->pairs, s->pair_count * sizeof *s->pairs + 1);
  json_decref(s->header);
  lp_tensor_release(s->bytes);
  lp_free(s, sizeof *s);
}

int64_t lp_safetensors_count(const LpSafetensors *s) {
  return s->count;
}

int64_t lp_safetensors_find(const LpSafetensors *s, const char *name) {
  /* The hash table of the JSON object says where the entry's bytes are; entries are
   * sorted by that. */
  const json_t *info = json_object_get(s->header, name);
  if (!info || info == s->metadata) return -1;
  const json_t *offsets = json_object_get(info, "data_offsets");
  const Entry key = {.name = name,
                     .begin = (uint64_t)json_integer_value(json_array_get(offsets, 0)),
                     .end = (uint64_t)json_integer_value(json_array_get(offsets, 1))};
  const Entry *found = bsearch(&key, s->entries, (size_t)s->count, sizeof key, by_offset);
  return found ? found - s->entries : -1;
}

const char *lp_safetensors_name(const LpSafetensors *s, int64_t i) {
  return s->entries[i].name;
}
const char *lp_safetensors_type(const LpSafetensors *s, int64_t i) {
  return s->entries[i].type->name;
}
LpDtype lp_safetensors_dtype(const LpSafetensors *s, int64_t i) {
  return s->entries[i].type->dtype;
}
LpInts lp_safetensors_sizes(const LpSafetensors *s, int64_t i) {
  return lp_ints(s->entries[i].sizes, s->entries[i].ndim);
}
size_t lp_safetensors_bytes(const LpSafetensors *s, int64_t i) {
  return (size_t)(s->entries[i].end - s->entries[i].begin);
}

uint64_t lp_safetensors_place(const LpSafetensors *s, int64_t i) {
  return (uint64_t)(s->data - (const uint8_t *)lp_data(s->bytes)) + s->entries[i].begin;
}

LpTensor *lp_safetensors_tensor(const LpSafetensors *s, int64_t i) {
  CHECK(i >= 0 && i < s->count, LP_ERR_INDEX, "tensor %lld of %lld", (long long)i,
        (long long)s->count);
  const Entry *e = &s->entries[i];
  CHECK(e->type->dtype != LP_DTYPE_NONE, LP_ERR_TYPE,
        "tensor '%.200s' has dtype %s, which does not exist here; convert it where it "
        "was made",
        e->name, e->type->name);
  LpTensor *t = lp_bytes_view(s->bytes, s->data + e->begin, lp_ints(e->sizes, e->ndim),
                              e->type->dtype);
  if (!t) lp_fail_prefix("tensor '%.200s': ", e->name);
  return t;
}

int64_t lp_safetensors_metadata_count(const LpSafetensors *s) {
  return (int64_t)s->pair_count;
}
LpTextPair lp_safetensors_metadata(const LpSafetensors *s, int64_t i) {
  return s->pairs[i];
}
