/* Writing safetensors (lampad/safetensors.h). Reading is in safetensors.c. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "core/alloc.h"
#include "core/tensor.h"
#include "io/safetensors.h"
#include "io/write.h"

typedef struct Item {
  const char *name;
  LpTensor *tensor;
  int type; /* in lp_safetensors_types */
  const uint8_t *data;
  size_t size_bytes;
} Item;

static int by_type_and_name(const void *a, const void *b) {
  const Item *x = a, *y = b;
  return x->type != y->type ? y->type - x->type : strcmp(x->name, y->name);
}

static int by_address(const void *a, const void *b) {
  const Item *x = a, *y = b;
  return x->data < y->data ? -1 : x->data > y->data;
}

static bool read_item(Item *item, const LpNamedTensor *named) {
  LpTensor *t = named->tensor;
  const LpDtype dtype = lp_dtype(t);
  *item =
      (Item){named->name, t, -1, lp_data(t), (size_t)lp_numel(t) * lp_dtype_size(dtype)};
  CHECK(strcmp(named->name, "__metadata__") != 0, LP_ERR_ARGUMENT,
        "a tensor cannot be named '__metadata__': the format keeps that name for texts");
  CHECK(!t->physical, LP_ERR_ARGUMENT,
        "tensor '%.200s' is batched by vmap and has no values of its own", named->name);
  for (int i = 0; i < lp_safetensors_type_count; i++)
    if (lp_safetensors_types[i].dtype == dtype) item->type = i;
  CHECK(item->type >= 0, LP_ERR_TYPE,
        "tensor '%.200s' is %s, for which the format has no type", named->name,
        lp_dtype_name(dtype));
  CHECK(lp_is_contiguous(t, LP_CONTIGUOUS), LP_ERR_ARGUMENT,
        "tensor '%.200s' is not contiguous; pack it with contiguous() before saving, or "
        "save the tensor "
        "that it is a view of",
        named->name);
  return true;
}

static bool check_sharing(Item *items, int64_t count) {
  qsort(items, (size_t)count, sizeof *items, by_address);
  const Item *last = NULL;
  for (int64_t i = 0; i < count; i++) {
    if (items[i].size_bytes == 0) continue;
    CHECK(!last || items[i].data >= last->data + last->size_bytes, LP_ERR_ARGUMENT,
          "tensors '%.200s' and '%.200s' share memory, which the format cannot express; "
          "save one of "
          "them, or a clone(), or use save_model",
          last->name, items[i].name);
    last = &items[i];
  }
  return true;
}

/* Adds name -> {dtype, shape, data_offsets}; false when there is no memory or the name is
 * no UTF-8. */
static bool add_entry(json_t *header, const Item *item, uint64_t begin) {
  json_t *info = json_object(), *shape = json_array(), *offsets = json_array();
  const LpInts sizes = lp_sizes(item->tensor);
  bool ok = info && shape && offsets;
  for (int64_t d = 0; ok && d < sizes.count; d++)
    ok = json_array_append_new(shape, json_integer(sizes.data[d])) == 0;
  ok = ok && json_array_append_new(offsets, json_integer((json_int_t)begin)) == 0 &&
       json_array_append_new(offsets,
                             json_integer((json_int_t)(begin + item->size_bytes))) == 0 &&
       json_object_set_new(info, "dtype",
                           json_string(lp_safetensors_types[item->type].name)) == 0 &&
       json_object_set(info, "shape", shape) == 0 &&
       json_object_set(info, "data_offsets", offsets) == 0 &&
       json_object_set(header, item->name, info) == 0;
  json_decref(info);
  json_decref(shape);
  json_decref(offsets);
  return ok;
}

static json_t *make_metadata(const LpTextPair *pairs, int64_t count) {
  json_t *object = json_object();
  for (int64_t i = 0; object && i < count; i++) {
    if (json_object_set_new(object, pairs[i].key, json_string(pairs[i].value)) == 0)
      continue;
    json_decref(object);
    lp_fail(LP_ERR_ARGUMENT, "metadata '%.200s' is not UTF-8 text", pairs[i].key);
    return NULL;
  }
  return object;
}

/* The JSON of the header; owned. */
static json_t *make_header(const Item *items, int64_t count, const LpTextPair *pairs,
                           int64_t pair_count) {
  json_t *header = json_object();
  CHECK(header, LP_ERR_MEMORY, "out of memory for the header");
  json_t *metadata = pair_count ? make_metadata(pairs, pair_count) : NULL;
  bool ok = !pair_count || metadata;
  if (metadata) ok = json_object_set_new(header, "__metadata__", metadata) == 0;
  uint64_t at = 0;
  for (int64_t i = 0; ok && i < count; i++) {
    if (json_object_get(header, items[i].name))
      ok = lp_fail(LP_ERR_ARGUMENT, "two tensors are named '%.200s'", items[i].name);
    else if (!add_entry(header, &items[i], at))
      ok = lp_fail(LP_ERR_ARGUMENT, "the name '%.200s' of a tensor is not UTF-8 text",
                   items[i].name);
    at += items[i].size_bytes;
  }
  if (ok) return header;
  json_decref(header);
  return NULL;
}

static bool put_header(LpWriter *w, const char *text) {
  static const char spaces[8] = "        ";
  const size_t length = strlen(text),
               padding = (8 - length % 8) % 8; /* the data begins aligned */
  uint8_t head[8];
  for (int i = 0; i < 8; i++) head[i] = (uint8_t)((uint64_t)(length + padding) >> 8 * i);
  return lp_writer_put(w, head, sizeof head) && lp_writer_put(w, text, length) &&
         lp_writer_put(w, spaces, padding);
}

/* Everything but opening and closing the writer, which is aborted on failure. */
static bool put_all(LpWriter *w, Item *items, int64_t count, const LpTextPair *pairs,
                    int64_t pair_count) {
  qsort(items, (size_t)count, sizeof *items, by_type_and_name);
  json_t *header = make_header(items, count, pairs, pair_count);
  char *text = header ? json_dumps(header, JSON_COMPACT) : NULL;
  if (header && !text) lp_fail(LP_ERR_MEMORY, "out of memory for the header");
  json_decref(header);
  bool ok = text && put_header(w, text);
  free(text);
  for (int64_t i = 0; ok && i < count; i++)
    ok = lp_writer_put(w, items[i].data, items[i].size_bytes);
  if (!ok) lp_writer_abort(w);
  return ok;
}

static Item *read_items(const LpNamedTensor *tensors, int64_t count) {
  Item *items = lp_alloc((size_t)count * sizeof *items + 1);
  if (!items) return NULL;
  bool ok = true;
  for (int64_t i = 0; ok && i < count; i++) ok = read_item(&items[i], &tensors[i]);
  if (ok && check_sharing(items, count)) return items;
  lp_free(items, (size_t)count * sizeof *items + 1);
  return NULL;
}

bool lp_safetensors_save_file(const char *path, const LpNamedTensor *tensors,
                              int64_t count, const LpTextPair *metadata,
                              int64_t metadata_count) {
  LpWriter w;
  Item *items = read_items(tensors, count);
  if (!items) return false;
  const bool ok = lp_writer_open(&w, path) &&
                  put_all(&w, items, count, metadata, metadata_count) &&
                  lp_writer_finish(&w);
  lp_free(items, (size_t)count * sizeof *items + 1);
  return ok;
}

bool lp_safetensors_save(const LpNamedTensor *tensors, int64_t count,
                         const LpTextPair *metadata, int64_t metadata_count,
                         uint8_t **data, size_t *size_bytes) {
  LpWriter w;
  Item *items = read_items(tensors, count);
  if (!items) return false;
  lp_writer_open_memory(&w);
  const bool ok = put_all(&w, items, count, metadata, metadata_count) &&
                  lp_writer_take(&w, data, size_bytes);
  lp_free(items, (size_t)count * sizeof *items + 1);
  return ok;
}
