/* NumPy's .npz archives (lampad/npy.h): reading through zip.h, writing here. Must not
 * include Lua. */
#include <stdlib.h>
#include <string.h>
#include "core/alloc.h"
#include "io/bytes.h"
#include "io/npy.h"
#include "io/zip.h"
#include "io/zip_write.h"

#define SUFFIX ".npy"
#define SUFFIX_BYTES 4
/* Arrays of zeros pack a thousandfold, so more is allowed than for checkpoints. */
#define UNPACK_BYTES ((uint64_t)4 << 30)

/* --- reading
 * ----------------------------------------------------------------------------------- */

typedef struct Member {
  const LpZipEntry *entry;
  char *name; /* owned: zero-terminated, without the suffix */
} Member;

struct LpNpz {
  LpSource *source; /* owned */
  LpZip zip;
  Member *members; /* owned, in the order of the archive */
  int64_t count;
};

static int by_place(const void *a, const void *b) {
  const LpZipEntry *x = ((const Member *)a)->entry, *y = ((const Member *)b)->entry;
  return x->header_at < y->header_at ? -1 : x->header_at > y->header_at;
}

static bool is_array(const LpZipEntry *e) {
  return e->name_bytes >= SUFFIX_BYTES &&
         memcmp(e->name + e->name_bytes - SUFFIX_BYTES, SUFFIX, SUFFIX_BYTES) == 0;
}

static bool read_members(LpNpz *npz) {
  TRY(npz->members = lp_calloc(npz->zip.count * sizeof *npz->members + 1));
  for (size_t i = 0; i < npz->zip.count; i++) {
    const LpZipEntry *e = &npz->zip.entries[i];
    if (!is_array(e)) continue;
    const size_t length = e->name_bytes - SUFFIX_BYTES;
    char *name = lp_alloc(length + 1);
    if (!name) return false;
    memcpy(name, e->name, length);
    name[length] = '\0';
    npz->members[npz->count++] = (Member){e, name};
  }
  qsort(npz->members, (size_t)npz->count, sizeof *npz->members, by_place);
  return true;
}

void lp_npz_close(LpNpz *npz) {
  if (!npz) return;
  for (int64_t i = 0; i < npz->count; i++)
    lp_free(npz->members[i].name, npz->members[i].entry->name_bytes - SUFFIX_BYTES + 1);
  lp_free(npz->members, npz->zip.count * sizeof *npz->members + 1);
  lp_zip_close(&npz->zip);
  lp_source_release(npz->source);
  lp_free(npz, sizeof *npz);
}

LpNpz *lp_npz_of_source(LpSource *source) {
  LpNpz *npz = lp_calloc(sizeof *npz);
  if (!npz) return NULL;
  npz->source = lp_source_retain(source);
  if (!lp_zip_probe(source)) {
    lp_fail(LP_ERR_IO, "no zip archive");
  } else if (!lp_zip_open(&npz->zip, source)) {
    npz->zip = (LpZip){0};
  } else {
    npz->zip.unpack_limit_bytes += UNPACK_BYTES;
    if (read_members(npz)) return npz;
  }
  lp_npz_close(npz);
  return NULL;
}

LpNpz *lp_npz_open(const char *path) {
  LpSource *source = lp_source_open(path, false);
  if (!source) return NULL;
  LpNpz *npz = lp_npz_of_source(source);
  lp_source_release(source);
  if (!npz) lp_fail_prefix("%s: ", path);
  return npz;
}

int64_t lp_npz_count(const LpNpz *npz) {
  return npz->count;
}
const char *lp_npz_name(const LpNpz *npz, int64_t i) {
  return npz->members[i].name;
}

LpTensor *lp_npz_tensor(LpNpz *npz, int64_t i) {
  CHECK(i >= 0 && i < npz->count, LP_ERR_INDEX, "array %lld of %lld", (long long)i,
        (long long)npz->count);
  const Member *m = &npz->members[i];
  CHECK(m->entry->size_bytes <= INT64_MAX, LP_ERR_IO,
        "array '%.200s' is larger than any memory", m->name);
  const int64_t size = (int64_t)m->entry->size_bytes;
  LpTensor *t = NULL, *bytes = NULL;
  if (m->entry->method == 0)
    bytes =
        lp_bytes_of_source(npz->source, m->entry->data_at, lp_ints(&size, 1), LP_UINT8);
  if (!bytes) {
    bytes = lp_bytes_new(lp_ints(&size, 1), LP_UINT8);
    if (bytes && !lp_zip_read(&npz->zip, m->entry, lp_data(bytes))) lp_drop(&bytes);
  }
  if (bytes) t = lp_npy_parse(bytes);
  lp_tensor_release(bytes);
  if (!t) lp_fail_prefix("array '%.200s': ", m->name);
  return t;
}

/* --- writing
 * ----------------------------------------------------------------------------------- */

static bool put_archive(LpWriter *w, const LpNamedTensor *tensors, int64_t count,
                        bool compress) {
  LpZipWriter zip = {.writer = w};
  bool ok = true;
  for (int64_t i = 0; ok && i < count; i++) {
    LpNpyImage image;
    char *name = lp_alloc(strlen(tensors[i].name) + SUFFIX_BYTES + 1);
    ok = name != NULL;
    if (ok && !lp_npy_image(tensors[i].tensor, &image))
      ok = lp_fail_prefix("array '%.200s': ", tensors[i].name);
    if (ok) {
      const LpBytes parts[] = {{image.header, image.header_bytes},
                               {image.data, image.data_bytes}};
      memcpy(name, tensors[i].name, strlen(tensors[i].name));
      memcpy(name + strlen(tensors[i].name), SUFFIX, SUFFIX_BYTES + 1);
      ok =
          lp_zip_put(&zip, name, parts, 2, LP_ZIP_LONG | (compress ? LP_ZIP_DEFLATE : 0));
      lp_tensor_release(image.packed);
    }
    if (name) lp_free(name, strlen(tensors[i].name) + SUFFIX_BYTES + 1);
  }
  ok = ok && lp_zip_put_end(&zip);
  lp_zip_writer_free(&zip);
  return ok;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool check_names(const LpNamedTensor *tensors, int64_t count) {
  const char **names = lp_alloc((size_t)count * sizeof *names + 1);
  if (!names) return false;
  bool ok = true;
  for (int64_t i = 0; i < count; i++) {
    names[i] = tensors[i].name;
    if (ok && strlen(names[i]) > UINT16_MAX - SUFFIX_BYTES)
      ok = lp_fail(LP_ERR_ARGUMENT,
                   "the name '%.40s...' of an array is longer than an archive allows",
                   names[i]);
  }
  if (ok) qsort(names, (size_t)count, sizeof *names, by_name);
  for (int64_t i = 1; ok && i < count; i++)
    if (strcmp(names[i - 1], names[i]) == 0)
      ok = lp_fail(LP_ERR_ARGUMENT, "two arrays are named '%.200s'", names[i]);
  lp_free(names, (size_t)count * sizeof *names + 1);
  return ok;
}

bool lp_npz_save_file(const char *path, const LpNamedTensor *tensors, int64_t count,
                      bool compress) {
  LpWriter w;
  TRY(check_names(tensors, count) && lp_writer_open(&w, path));
  if (put_archive(&w, tensors, count, compress)) return lp_writer_finish(&w);
  lp_writer_abort(&w);
  return false;
}
