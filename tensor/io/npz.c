/* NumPy's .npz archives (lampad/npy.h): reading through zip.h, writing here. Must not
 * include Lua. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "core/alloc.h"
#include "io/bytes.h"
#include "io/npy.h"
#include "io/write.h"
#include "io/zip.h"

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
 * -----------------------------------------------------------------------------------
 * Note [Zip written in one go]: a stored member's checksum and size are known beforehand;
 * a deflated one's come behind it, in a data descriptor, so that its packed bytes need
 * not be kept. Every member has the 64-bit fields, as numpy.savez writes them. */

#define PACK_BYTES ((size_t)1 << 16)
#define DOS_DATE 0x21 /* 1 January 1980: the same arrays give the same bytes */
#define VERSION_ZIP64 45
#define FLAG_DESCRIPTOR 8
#define FLAG_UTF8 0x800

typedef struct Written {
  uint64_t header_at, packed_bytes, size_bytes;
  uint32_t crc;
} Written;

/* A record under construction. */
typedef struct Record {
  uint8_t bytes[128];
  size_t used;
} Record;

static void add(Record *r, uint64_t value, int width) {
  for (int i = 0; i < width; i++) r->bytes[r->used++] = (uint8_t)(value >> 8 * i);
}

static bool put_record(LpWriter *w, const Record *r) {
  return lp_writer_put(w, r->bytes, r->used);
}

static bool put_name(LpWriter *w, const char *name) {
  return lp_writer_put(w, name, strlen(name)) && lp_writer_put(w, SUFFIX, SUFFIX_BYTES);
}

static unsigned flags_of(const char *name, bool compress) {
  unsigned flags = compress ? FLAG_DESCRIPTOR : 0;
  for (const char *c = name; *c; c++)
    if ((unsigned char)*c >= 128) flags |= FLAG_UTF8;
  return flags;
}

static bool put_local_header(LpWriter *w, const char *name, const Written *m,
                             bool compress) {
  Record r = {.used = 0};
  add(&r, 0x04034b50, 4);
  add(&r, VERSION_ZIP64, 2);
  add(&r, flags_of(name, compress), 2);
  add(&r, compress ? 8 : 0, 2);
  add(&r, (uint64_t)DOS_DATE << 16, 4);
  add(&r, compress ? 0 : m->crc, 4);
  add(&r, UINT32_MAX, 4);
  add(&r, UINT32_MAX, 4);
  add(&r, strlen(name) + SUFFIX_BYTES, 2);
  add(&r, 20, 2);
  TRY(put_record(w, &r) && put_name(w, name));
  r.used = 0;
  add(&r, 1, 2);
  add(&r, 16, 2);
  add(&r, compress ? 0 : m->size_bytes, 8);
  add(&r, compress ? 0 : m->packed_bytes, 8);
  return put_record(w, &r);
}

static bool put_directory_entry(LpWriter *w, const char *name, const Written *m,
                                bool compress) {
  Record r = {.used = 0};
  add(&r, 0x02014b50, 4);
  add(&r, VERSION_ZIP64 | 3 << 8, 2); /* made on Unix */
  add(&r, VERSION_ZIP64, 2);
  add(&r, flags_of(name, compress), 2);
  add(&r, compress ? 8 : 0, 2);
  add(&r, (uint64_t)DOS_DATE << 16, 4);
  add(&r, m->crc, 4);
  add(&r, UINT32_MAX, 4);
  add(&r, UINT32_MAX, 4);
  add(&r, strlen(name) + SUFFIX_BYTES, 2);
  add(&r, 28, 2);
  add(&r, 0, 2);                       /* no comment */
  add(&r, 0, 2);                       /* disk 0 */
  add(&r, 0, 2);                       /* internal attributes */
  add(&r, (uint64_t)0100644 << 16, 4); /* a plain file */
  add(&r, UINT32_MAX, 4);
  TRY(put_record(w, &r) && put_name(w, name));
  r.used = 0;
  add(&r, 1, 2);
  add(&r, 24, 2);
  add(&r, m->size_bytes, 8);
  add(&r, m->packed_bytes, 8);
  add(&r, m->header_at, 8);
  return put_record(w, &r);
}

static bool put_end64(LpWriter *w, uint64_t directory_at, uint64_t count) {
  const uint64_t end_at = w->total_bytes;
  Record r = {.used = 0};
  add(&r, 0x06064b50, 4);
  add(&r, 44, 8); /* bytes of this record from here on */
  add(&r, VERSION_ZIP64 | 3 << 8, 2);
  add(&r, VERSION_ZIP64, 2);
  add(&r, 0, 4);
  add(&r, 0, 4);
  add(&r, count, 8);
  add(&r, count, 8);
  add(&r, end_at - directory_at, 8);
  add(&r, directory_at, 8);
  add(&r, 0x07064b50, 4); /* where that record is */
  add(&r, 0, 4);
  add(&r, end_at, 8);
  add(&r, 1, 4);
  return put_record(w, &r);
}

static bool put_end(LpWriter *w, uint64_t directory_at, uint64_t count) {
  const uint64_t size = w->total_bytes - directory_at;
  if (count >= UINT16_MAX || size >= UINT32_MAX || directory_at >= UINT32_MAX)
    TRY(put_end64(w, directory_at, count));
  Record r = {.used = 0};
  add(&r, 0x06054b50, 4);
  add(&r, 0, 4);
  add(&r, count < UINT16_MAX ? count : UINT16_MAX, 2);
  add(&r, count < UINT16_MAX ? count : UINT16_MAX, 2);
  add(&r, size < UINT32_MAX ? size : UINT32_MAX, 4);
  add(&r, directory_at < UINT32_MAX ? directory_at : UINT32_MAX, 4);
  add(&r, 0, 2);
  return put_record(w, &r);
}

/* Feeds bytes to the deflater and what comes out to the writer. */
static bool pack(LpWriter *w, z_stream *z, uint8_t *buffer, const void *data, size_t left,
                 bool last) {
  const size_t most = (size_t)1 << 30; /* zlib counts in unsigned int */
  z->next_in = (Bytef *)data;
  do {
    const size_t now = left < most ? left : most;
    z->avail_in = (uInt)now;
    left -= now;
    do {
      z->next_out = buffer;
      z->avail_out = PACK_BYTES;
      deflate(z, last && left == 0 ? Z_FINISH : Z_NO_FLUSH);
      TRY(lp_writer_put(w, buffer, PACK_BYTES - z->avail_out));
    } while (z->avail_out == 0);
  } while (left);
  return true;
}

static bool put_packed(LpWriter *w, const LpNpyImage *image, Written *m) {
  const uint64_t start = w->total_bytes;
  uint8_t *buffer = lp_alloc(PACK_BYTES);
  z_stream z = {0};
  bool ok = buffer != NULL;
  if (ok && deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8,
                         Z_DEFAULT_STRATEGY) != Z_OK)
    ok = lp_fail(LP_ERR_MEMORY, "out of memory to compress");
  ok = ok && pack(w, &z, buffer, image->header, image->header_bytes, false) &&
       pack(w, &z, buffer, image->data, image->data_bytes, true);
  deflateEnd(&z);
  lp_free(buffer, PACK_BYTES);
  if (!ok) return false;
  m->packed_bytes = w->total_bytes - start;
  Record r = {.used = 0};
  add(&r, 0x08074b50, 4);
  add(&r, m->crc, 4);
  add(&r, m->packed_bytes, 8);
  add(&r, m->size_bytes, 8);
  return put_record(w, &r);
}

static bool put_member(LpWriter *w, const LpNamedTensor *named, Written *m,
                       bool compress) {
  LpNpyImage image;
  if (!lp_npy_image(named->tensor, &image))
    return lp_fail_prefix("array '%.200s': ", named->name);
  m->header_at = w->total_bytes;
  m->size_bytes = m->packed_bytes = image.header_bytes + image.data_bytes;
  m->crc = lp_crc32(lp_crc32(0, image.header, image.header_bytes), image.data,
                    image.data_bytes);
  bool ok = put_local_header(w, named->name, m, compress);
  if (compress)
    ok = ok && put_packed(w, &image, m);
  else
    ok = ok && lp_writer_put(w, image.header, image.header_bytes) &&
         lp_writer_put(w, image.data, image.data_bytes);
  lp_tensor_release(image.packed);
  return ok;
}

static bool put_archive(LpWriter *w, const LpNamedTensor *tensors, int64_t count,
                        Written *members, bool compress) {
  for (int64_t i = 0; i < count; i++)
    TRY(put_member(w, &tensors[i], &members[i], compress));
  const uint64_t directory_at = w->total_bytes;
  for (int64_t i = 0; i < count; i++)
    TRY(put_directory_entry(w, tensors[i].name, &members[i], compress));
  return put_end(w, directory_at, (uint64_t)count);
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
  TRY(check_names(tensors, count));
  Written *members = lp_alloc((size_t)count * sizeof *members + 1);
  bool ok = members && lp_writer_open(&w, path);
  if (ok) {
    ok = put_archive(&w, tensors, count, members, compress);
    if (ok)
      ok = lp_writer_finish(&w);
    else
      lp_writer_abort(&w);
  }
  lp_free(members, (size_t)count * sizeof *members + 1);
  return ok;
}
