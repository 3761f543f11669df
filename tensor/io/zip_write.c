/* The zip writer: see zip_write.h.
 *
 * Note [Zip written in one go]: a stored member's checksum and size are known beforehand;
 * a deflated one's come behind it, in a data descriptor, so that its packed bytes need
 * not be kept. What does not fit in 32 bits stands in 64-bit fields. Every member has the
 * date that stands for none: the same data gives the same file. */
#include "io/zip_write.h"
#include <string.h>
#include <zlib.h>
#include "core/alloc.h"
#include "core/check.h"
#include "io/crc.h"

#define PACK_BYTES ((size_t)1 << 16)
#define DOS_DATE 0x21 /* 1 January 1980 */
#define VERSION_PLAIN 20
#define VERSION_ZIP64 45
#define MADE_ON_UNIX (3 << 8)
#define FLAG_DESCRIPTOR 8
#define FLAG_UTF8 0x800
#define MAX_NAME_BYTES 65535

typedef struct LpZipWritten {
  char *name; /* owned */
  size_t name_bytes;
  uint64_t header_at, packed_bytes, size_bytes;
  uint32_t crc;
  int how;
} LpZipWritten;

/* --- records
 * ------------------------------------------------------------------------------------ */

typedef struct Record {
  uint8_t bytes[160];
  size_t used;
} Record;

static void add(Record *r, uint64_t value, int width) {
  for (int i = 0; i < width; i++) r->bytes[r->used++] = (uint8_t)(value >> 8 * i);
}

static bool put_record(LpWriter *w, const Record *r) {
  return lp_writer_put(w, r->bytes, r->used);
}

static bool has_long_sizes(const LpZipWritten *m) {
  return (m->how & LP_ZIP_LONG) || m->size_bytes >= UINT32_MAX ||
         m->packed_bytes >= UINT32_MAX;
}

static bool is_far(const LpZipWritten *m) {
  return m->header_at >= UINT32_MAX;
}

/* From the version to the length of the name: the same in both headers. */
static void add_common(Record *r, const LpZipWritten *m, bool is_behind, bool far) {
  const bool is_long = has_long_sizes(m), packs = m->how & LP_ZIP_DEFLATE;
  add(r, is_long || far ? VERSION_ZIP64 : VERSION_PLAIN, 2);
  add(r, FLAG_UTF8 | (packs ? FLAG_DESCRIPTOR : 0), 2);
  add(r, packs ? 8 : 0, 2);
  add(r, (uint64_t)DOS_DATE << 16, 4);
  add(r, is_behind ? 0 : m->crc, 4);
  add(r, is_long ? UINT32_MAX : is_behind ? 0 : m->packed_bytes, 4);
  add(r, is_long ? UINT32_MAX : is_behind ? 0 : m->size_bytes, 4);
  add(r, m->name_bytes, 2);
}

/* The member's name and extra fields follow its header; the bytes before its own. */
static bool put_local_header(LpWriter *w, const LpZipWritten *m) {
  static const uint8_t zeros[2 * LP_ZIP_ALIGN_BYTES];
  const bool is_long = has_long_sizes(m), packs = m->how & LP_ZIP_DEFLATE;
  const size_t before = 30 + m->name_bytes + (is_long ? 20 : 0);
  size_t pad = 0;
  if (m->how & LP_ZIP_ALIGN) {
    pad = (size_t)(-(m->header_at + before) % LP_ZIP_ALIGN_BYTES);
    if (pad && pad < 4) pad += LP_ZIP_ALIGN_BYTES;
  }
  Record r = {.used = 0}, extra = {.used = 0};
  add(&r, 0x04034b50, 4);
  add_common(&r, m, packs, false);
  add(&r, (is_long ? 20 : 0) + pad, 2);
  if (is_long) {
    add(&extra, 1, 2);
    add(&extra, 16, 2);
    add(&extra, packs ? 0 : m->size_bytes, 8);
    add(&extra, packs ? 0 : m->packed_bytes, 8);
  }
  if (pad) { /* PyTorch's name for such a field */
    add(&extra, 'F' | 'B' << 8, 2);
    add(&extra, pad - 4, 2);
  }
  return put_record(w, &r) && lp_writer_put(w, m->name, m->name_bytes) &&
         put_record(w, &extra) && (!pad || lp_writer_put(w, zeros, pad - 4));
}

static bool put_directory_entry(LpWriter *w, const LpZipWritten *m) {
  const bool is_long = has_long_sizes(m), far = is_far(m) || (m->how & LP_ZIP_LONG);
  const size_t extra_bytes = (is_long ? 16u : 0u) + (far ? 8u : 0u);
  Record r = {.used = 0}, extra = {.used = 0};
  add(&r, 0x02014b50, 4);
  add(&r, VERSION_ZIP64 | MADE_ON_UNIX, 2);
  add_common(&r, m, false, far);
  add(&r, extra_bytes ? extra_bytes + 4 : 0, 2);
  add(&r, 0, 2);                       /* no comment */
  add(&r, 0, 2);                       /* disk 0 */
  add(&r, 0, 2);                       /* internal attributes */
  add(&r, (uint64_t)0100644 << 16, 4); /* a plain file */
  add(&r, far ? UINT32_MAX : m->header_at, 4);
  if (extra_bytes) {
    add(&extra, 1, 2);
    add(&extra, extra_bytes, 2);
    if (is_long) add(&extra, m->size_bytes, 8), add(&extra, m->packed_bytes, 8);
    if (far) add(&extra, m->header_at, 8);
  }
  return put_record(w, &r) && lp_writer_put(w, m->name, m->name_bytes) &&
         put_record(w, &extra);
}

static void add_end64(Record *r, uint64_t directory_at, uint64_t end_at, uint64_t count) {
  add(r, 0x06064b50, 4);
  add(r, 44, 8); /* bytes of this record from here on */
  add(r, VERSION_ZIP64 | MADE_ON_UNIX, 2);
  add(r, VERSION_ZIP64, 2);
  add(r, 0, 8); /* disks */
  add(r, count, 8);
  add(r, count, 8);
  add(r, end_at - directory_at, 8);
  add(r, directory_at, 8);
  add(r, 0x07064b50, 4); /* where that record is */
  add(r, 0, 4);
  add(r, end_at, 8);
  add(r, 1, 4);
}

bool lp_zip_put_end(LpZipWriter *zip) {
  LpWriter *w = zip->writer;
  const uint64_t at = w->total_bytes, count = zip->count;
  for (size_t i = 0; i < zip->count; i++) TRY(put_directory_entry(w, &zip->members[i]));
  const uint64_t size = w->total_bytes - at;
  const bool is_long = count >= UINT16_MAX || size >= UINT32_MAX || at >= UINT32_MAX;
  Record r = {.used = 0};
  if (is_long) add_end64(&r, at, w->total_bytes, count);
  add(&r, 0x06054b50, 4);
  add(&r, 0, 4);
  add(&r, is_long ? UINT16_MAX : count, 2);
  add(&r, is_long ? UINT16_MAX : count, 2);
  add(&r, is_long ? UINT32_MAX : size, 4);
  add(&r, is_long ? UINT32_MAX : at, 4);
  add(&r, 0, 2);
  return put_record(w, &r);
}

/* --- packing
 * ------------------------------------------------------------------------------------ */

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

static bool put_packed(LpWriter *w, LpZipWritten *m, const LpBytes *parts, size_t count) {
  const uint64_t start = w->total_bytes;
  uint8_t *buffer = lp_alloc(PACK_BYTES);
  z_stream z = {0};
  if (!buffer) return false;
  bool ok = deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8,
                         Z_DEFAULT_STRATEGY) == Z_OK;
  if (!ok) lp_fail(LP_ERR_MEMORY, "out of memory to compress");
  for (size_t i = 0; ok && i < count; i++)
    ok = pack(w, &z, buffer, parts[i].data, parts[i].size_bytes, i + 1 == count);
  deflateEnd(&z);
  lp_free(buffer, PACK_BYTES);
  if (!ok) return false;
  m->packed_bytes = w->total_bytes - start;
  const int width = has_long_sizes(m) ? 8 : 4;
  Record r = {.used = 0};
  add(&r, 0x08074b50, 4);
  add(&r, m->crc, 4);
  add(&r, m->packed_bytes, width);
  add(&r, m->size_bytes, width);
  return put_record(w, &r);
}

/* --- members
 * ------------------------------------------------------------------------------------ */

static LpZipWritten *new_member(LpZipWriter *zip, const char *name) {
  const size_t name_bytes = strlen(name);
  CHECK(name_bytes <= MAX_NAME_BYTES, LP_ERR_ARGUMENT,
        "the name '%.40s...' is longer than an archive allows", name);
  if (zip->count == zip->capacity) {
    const size_t old = zip->capacity, capacity = old ? old * 2 : 16;
    LpZipWritten *members = lp_alloc(capacity * sizeof *members);
    if (!members) return NULL;
    if (old) memcpy(members, zip->members, old * sizeof *members);
    lp_free(zip->members, old * sizeof *members);
    zip->members = members;
    zip->capacity = capacity;
  }
  char *copy = lp_alloc(name_bytes + 1);
  if (!copy) return NULL;
  memcpy(copy, name, name_bytes + 1);
  LpZipWritten *m = &zip->members[zip->count++];
  *m = (LpZipWritten){.name = copy, .name_bytes = name_bytes};
  return m;
}

bool lp_zip_put(LpZipWriter *zip, const char *name, const LpBytes *parts,
                size_t part_count, int how) {
  LpZipWritten *m = new_member(zip, name);
  if (!m) return false;
  m->how = how;
  m->header_at = zip->writer->total_bytes;
  for (size_t i = 0; i < part_count; i++) {
    m->crc = lp_crc32_append(m->crc, parts[i].data, parts[i].size_bytes);
    m->size_bytes += parts[i].size_bytes;
  }
  m->packed_bytes = m->size_bytes;
  /* How long it gets is known afterwards, how wide its fields are not. */
  if ((how & LP_ZIP_DEFLATE) && m->size_bytes >= UINT32_MAX / 2) m->how |= LP_ZIP_LONG;
  TRY(put_local_header(zip->writer, m));
  if (how & LP_ZIP_DEFLATE) return put_packed(zip->writer, m, parts, part_count);
  for (size_t i = 0; i < part_count; i++)
    TRY(lp_writer_put(zip->writer, parts[i].data, parts[i].size_bytes));
  return true;
}

void lp_zip_writer_free(LpZipWriter *zip) {
  for (size_t i = 0; i < zip->count; i++)
    lp_free(zip->members[i].name, zip->members[i].name_bytes + 1);
  lp_free(zip->members, zip->capacity * sizeof *zip->members);
  *zip = (LpZipWriter){.writer = zip->writer};
}
