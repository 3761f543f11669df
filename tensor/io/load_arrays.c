/* Files that hold nothing but arrays, as trees: safetensors, .npy and .npz. See load.h.
 */
#include <stdio.h>
#include "io/bytes.h"
#include "io/load.h"
#include "io/npy.h"
#include "io/safetensors.h"

/* --- safetensors
 * -------------------------------------------------------------------------------- */

static LpTensor *new_bytes(uint64_t size_bytes) {
  const int64_t count = (int64_t)size_bytes;
  return lp_bytes_new(lp_ints(&count, 1), LP_UINT8);
}

/* The length and the JSON header, as far as they are there: the parser says what is wrong
 * with them. */
static LpSafetensors *read_head(LpLoader *l) {
  uint8_t length_bytes[8];
  uint64_t length = 0;
  TRY(lp_source_read(l->source, 0, length_bytes, 8));
  for (int i = 8; i-- > 0;) length = length << 8 | length_bytes[i];
  const uint64_t file_bytes = l->source->size_bytes;
  const bool is_whole =
      length <= LP_SAFETENSORS_MAX_HEADER_BYTES && length <= file_bytes - 8;
  LpTensor *head = new_bytes(is_whole ? 8 + length : 8);
  LpSafetensors *s = NULL;
  if (head && lp_source_read(l->source, 0, lp_data(head), (size_t)lp_numel(head)))
    s = lp_safetensors_parse_head(head, file_bytes);
  lp_tensor_release(head);
  return s;
}

static LpTensor *take(LpLoader *l, const LpSafetensors *s, int64_t i) {
  const LpDtype dtype = lp_safetensors_dtype(s, i);
  const LpInts sizes = lp_safetensors_sizes(s, i);
  const uint64_t at = lp_safetensors_place(s, i);
  CHECK(dtype != LP_DTYPE_NONE, LP_ERR_TYPE,
        "tensor '%.200s' has dtype %s, which does not exist here; convert it where it "
        "was made",
        lp_safetensors_name(s, i), lp_safetensors_type(s, i));
  LpTensor *t = lp_load_map(l, at, sizes, dtype);
  if (!t && l->mode == LP_LOAD_DESCRIBE) return lp_load_placeholder(sizes, dtype);
  if (!t) {
    t = lp_bytes_new(sizes, dtype);
    if (t && !lp_source_read(l->source, at, lp_data(t), lp_safetensors_bytes(s, i)))
      lp_drop(&t);
  }
  if (t && l->mode != LP_LOAD_DESCRIBE) lp_load_settle(l, t);
  return t;
}

/* Sets dict[name]. */
static bool put(LpLoader *l, LpIoValue *dict, const char *name, LpIoValue *value) {
  LpIoValue *key = lp_io_text(l->tree, LP_IO_STRING, name, strlen(name));
  return key && value && lp_io_append(l->tree, dict, key) &&
         lp_io_append(l->tree, dict, value);
}

static bool put_tensor(LpLoader *l, LpIoValue *dict, const char *name, LpTensor *t) {
  LpIoValue *v = t ? lp_io_tensor(l->tree, t, 0) : NULL;
  lp_tensor_release(t);
  return put(l, dict, name, v);
}

static bool put_tensors(LpLoader *l, const LpSafetensors *s, LpIoValue *root) {
  for (int64_t i = 0; i < lp_safetensors_count(s); i++) {
    const char *name = lp_safetensors_name(s, i), *type = lp_safetensors_type(s, i);
    const bool is_foreign = lp_safetensors_dtype(s, i) == LP_DTYPE_NONE;
    if (is_foreign && l->mode == LP_LOAD_DESCRIBE)
      TRY(put(l, root, name, lp_io_text(l->tree, LP_IO_STRING, type, strlen(type))));
    else
      TRY(put_tensor(l, root, name, take(l, s, i)));
  }
  for (int64_t i = 0; i < lp_safetensors_metadata_count(s); i++) {
    const LpTextPair pair = lp_safetensors_metadata(s, i);
    char name[64];
    snprintf(name, sizeof name, "metadata.%.50s", pair.key);
    if (l->mode == LP_LOAD_DESCRIBE)
      TRY(lp_load_note(l, name, pair.value, strlen(pair.value)));
  }
  return true;
}

bool lp_load_safetensors(LpLoader *l) {
  lp_io_tree_set_format(l->tree, "safetensors");
  LpSafetensors *s = read_head(l);
  if (!s) return false;
  LpIoValue *root = lp_io_new(l->tree, LP_IO_ORDERED_DICT);
  const bool ok = root && put_tensors(l, s, root);
  lp_safetensors_close(s);
  lp_io_tree_set_root(l->tree, root);
  return ok;
}

/* --- NumPy
 * ------------------------------------------------------------------------------------ */

bool lp_load_npy(LpLoader *l) {
  lp_io_tree_set_format(l->tree, "npy");
  const int64_t count = (int64_t)l->source->size_bytes;
  LpTensor *bytes = lp_load_map(l, 0, lp_ints(&count, 1), LP_UINT8);
  if (!bytes) {
    bytes = new_bytes(l->source->size_bytes);
    if (bytes && !lp_source_read(l->source, 0, lp_data(bytes), l->source->size_bytes))
      lp_drop(&bytes);
  }
  LpTensor *t = bytes ? lp_npy_parse(bytes) : NULL;
  lp_tensor_release(bytes);
  LpIoValue *root = t ? lp_io_tensor(l->tree, t, 0) : NULL;
  lp_tensor_release(t);
  lp_io_tree_set_root(l->tree, root);
  return root != NULL;
}

/* A described array keeps no unpacked memory. */
static LpTensor *take_array(LpLoader *l, LpNpz *npz, int64_t i) {
  LpTensor *t = lp_npz_tensor(npz, i);
  if (!t || l->mode != LP_LOAD_DESCRIBE) return t;
  LpTensor *described = lp_load_placeholder(lp_sizes(t), lp_dtype(t));
  lp_tensor_release(t);
  return described;
}

bool lp_load_npz(LpLoader *l) {
  lp_io_tree_set_format(l->tree, "npz");
  LpNpz *npz = lp_npz_of_source(l->source);
  LpIoValue *root = npz ? lp_io_new(l->tree, LP_IO_ORDERED_DICT) : NULL;
  bool ok = root != NULL;
  for (int64_t i = 0; ok && i < lp_npz_count(npz); i++)
    ok = put_tensor(l, root, lp_npz_name(npz, i), take_array(l, npz, i));
  lp_npz_close(npz);
  lp_io_tree_set_root(l->tree, root);
  return ok;
}
