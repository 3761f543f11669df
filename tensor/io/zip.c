/* The zip reader: see zip.h.
 *
 * Note [Own zip reader]: a checkpoint's members are stored, aligned and gigabytes large,
 * and are to be read straight into the tensors' memory, or used in the mapped file
 * without any copy. libzip and minizip hand out copies through a stream and do not say
 * where in the file a member lies, so this small reader stands here; zlib inflates and
 * takes checksums.
 *
 * It is strict where archives can mean two things to two readers: a member name occurs
 * once, the local headers agree with the directory, members do not overlap each other or
 * the directory, names stay inside the archive, sizes are what they say. */
#include "io/zip.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "io/crc.h"

#define END_BYTES 22
#define END64_BYTES 56
#define LOCATOR_BYTES 20
#define CENTRAL_BYTES 46
#define LOCAL_BYTES 30
#define MAX_COMMENT 65535
#define FLAGS_HIDDEN 0x2061 /* encrypted, a patch, strongly encrypted, masked headers */
#define MAX_DIRECTORY_BYTES ((uint64_t)256 << 20)
#define CRC_CHUNK_BYTES ((size_t)1 << 20)
#define INFLATE_CHUNK_BYTES ((size_t)1 << 16)
/* Deflate cannot pack better than this. */
#define MAX_RATIO 1032

static uint16_t get16(const uint8_t *p) {
  return (uint16_t)(p[0] | p[1] << 8);
}
static uint32_t get32(const uint8_t *p) {
  return (uint32_t)get16(p) | (uint32_t)get16(p + 2) << 16;
}
static uint64_t get64(const uint8_t *p) {
  return (uint64_t)get32(p) | (uint64_t)get32(p + 4) << 32;
}

static bool fail_damaged(const char *what) {
  return lp_fail(LP_ERR_IO, "the zip archive is damaged: %s", what);
}

bool lp_zip_probe(LpSource *source) {
  uint8_t head[4];
  if (source->size_bytes < END_BYTES || !lp_source_read(source, 0, head, 4)) return false;
  return memcmp(head, "PK\3\4", 4) == 0 || memcmp(head, "PK\5\6", 4) == 0;
}

/* --- the directory
 * --------------------------------------------------------------------------- */

typedef struct Directory {
  uint64_t at, size_bytes, count, end;
} Directory;

/* The record at the archive's end; at_end receives its place. */
static bool find_end(LpSource *source, uint8_t *record, uint64_t *at_end) {
  const size_t most = END_BYTES + MAX_COMMENT;
  const size_t tail_bytes = source->size_bytes < most ? source->size_bytes : most;
  uint8_t *tail = lp_alloc(tail_bytes);
  if (!tail) return false;
  const size_t tail_at = source->size_bytes - tail_bytes;
  bool ok = lp_source_read(source, tail_at, tail, tail_bytes), found = false;
  for (size_t i = tail_bytes - END_BYTES + 1; ok && !found && i-- > 0;)
    if (memcmp(tail + i, "PK\5\6", 4) == 0 &&
        get16(tail + i + 20) == tail_bytes - i - END_BYTES) {
      memcpy(record, tail + i, END_BYTES);
      *at_end = tail_at + i;
      found = true;
    }
  lp_free(tail, tail_bytes);
  if (ok && !found)
    fail_damaged("its directory is missing (the file is truncated, or was not written to "
                 "its end)");
  return found;
}

static bool locate_directory(LpSource *source, Directory *dir) {
  uint8_t end[END_BYTES], locator[LOCATOR_BYTES], end64[END64_BYTES];
  uint64_t at_end;
  TRY(find_end(source, end, &at_end));
  *dir = (Directory){get32(end + 16), get32(end + 12), get16(end + 10), at_end};
  bool one_disk = get16(end + 4) == 0 && get16(end + 6) == 0;
  if (at_end >= LOCATOR_BYTES) {
    TRY(lp_source_read(source, at_end - LOCATOR_BYTES, locator, LOCATOR_BYTES));
    if (memcmp(locator, "PK\6\7", 4) == 0) {
      const uint64_t at = get64(locator + 8);
      if (at > at_end - LOCATOR_BYTES || at_end - LOCATOR_BYTES - at < END64_BYTES)
        return fail_damaged("its zip64 record lies outside of it");
      TRY(lp_source_read(source, at, end64, END64_BYTES));
      if (memcmp(end64, "PK\6\6", 4) != 0)
        return fail_damaged("its zip64 record is missing");
      one_disk = get32(end64 + 16) == 0 && get32(end64 + 20) == 0;
      *dir = (Directory){get64(end64 + 48), get64(end64 + 40), get64(end64 + 32), at};
    }
  }
  if (!one_disk) return lp_fail(LP_ERR_IO, "zip archives of several parts are not read");
  if (dir->at > dir->end || dir->size_bytes > dir->end - dir->at)
    return fail_damaged("its directory lies outside of it");
  CHECK(dir->size_bytes <= MAX_DIRECTORY_BYTES, LP_ERR_IO,
        "the zip archive's directory is larger than the limit of %llu MiB",
        (unsigned long long)MAX_DIRECTORY_BYTES >> 20);
  if (dir->count > dir->size_bytes / CENTRAL_BYTES)
    return fail_damaged("its directory is too short for its number of members");
  return true;
}

/* Nothing is ever unpacked to a path; such a name says that the file means harm. */
static bool check_name(const char *name, size_t n) {
  bool bad = n == 0 || name[0] == '/' || memchr(name, 0, n) || memchr(name, '\\', n);
  for (size_t i = 0; !bad && i < n; i++) {
    const bool starts = i == 0 || name[i - 1] == '/';
    bad = starts && n - i >= 2 && name[i] == '.' && name[i + 1] == '.' &&
          (n - i == 2 || name[i + 2] == '/');
  }
  CHECK(!bad, LP_ERR_IO, "the zip archive has a member of the forbidden name '%.*s'",
        (int)(n < 100 ? n : 100), name);
  return true;
}

/* Sizes and places that do not fit in 32 bits stand in an extra field. */
static bool read_extra64(LpZipEntry *e, const uint8_t *extra, size_t n) {
  const bool size = e->size_bytes == UINT32_MAX, packed = e->packed_bytes == UINT32_MAX,
             at = e->header_at == UINT32_MAX;
  while (n >= 4) {
    const size_t length = get16(extra + 2);
    if (length > n - 4) return fail_damaged("an extra field is too long");
    if (get16(extra) == 1 && (size || packed || at)) {
      const uint8_t *p = extra + 4;
      if (length < 8u * ((size_t)size + packed + at))
        return fail_damaged("a zip64 field is too short");
      if (size) e->size_bytes = get64(p), p += 8;
      if (packed) e->packed_bytes = get64(p), p += 8;
      if (at) e->header_at = get64(p);
      return true;
    }
    extra += 4 + length;
    n -= 4 + length;
  }
  return true;
}

/* Reads the directory's entry at p with `left` bytes; its length, or 0 on failure. */
static size_t read_entry(LpZip *zip, LpZipEntry *e, const uint8_t *p, size_t left) {
  if (left < CENTRAL_BYTES || memcmp(p, "PK\1\2", 4) != 0)
    return fail_damaged("its directory is no list of members");
  const size_t name = get16(p + 28), extra = get16(p + 30), comment = get16(p + 32);
  const size_t total = CENTRAL_BYTES + name + extra + comment;
  if (total > left) return fail_damaged("its directory is cut short");
  *e = (LpZipEntry){(const char *)p + CENTRAL_BYTES,
                    name,
                    get16(p + 10),
                    get32(p + 16),
                    get32(p + 20),
                    get32(p + 24),
                    get32(p + 42),
                    0};
  TRY(check_name(e->name, e->name_bytes));
  TRY(read_extra64(e, p + CENTRAL_BYTES + name, extra));
  CHECK(!(get16(p + 8) & FLAGS_HIDDEN), LP_ERR_IO,
        "the zip archive is encrypted or patched (flags 0x%04x)", get16(p + 8));
  CHECK(e->method == 0 || e->method == 8, LP_ERR_IO,
        "member '%.*s' is packed by method %u; only stored and deflated ones are read",
        (int)(name < 100 ? name : 100), e->name, (unsigned)e->method);
  if (e->method == 0 && e->packed_bytes != e->size_bytes)
    return fail_damaged("a stored member has two sizes");
  if (e->method == 8 && e->size_bytes / MAX_RATIO > e->packed_bytes)
    return fail_damaged("a member claims to be larger than its bytes can unpack to");
  return total;
}

/* The local header must tell the same; finds where the member's bytes begin. */
static bool check_local(LpZip *zip, LpZipEntry *e, uint64_t end) {
  uint8_t head[LOCAL_BYTES];
  char name[256];
  if (e->header_at > end || end - e->header_at < LOCAL_BYTES)
    return fail_damaged("a member lies outside of it");
  TRY(lp_source_read(zip->source, e->header_at, head, LOCAL_BYTES));
  if (memcmp(head, "PK\3\4", 4) != 0 || get16(head + 26) != e->name_bytes ||
      get16(head + 8) != e->method)
    return fail_damaged("a member's header and the directory do not agree");
  const uint64_t extra = get16(head + 28), before = LOCAL_BYTES + e->name_bytes + extra;
  if (end - e->header_at < before || e->packed_bytes > end - e->header_at - before)
    return fail_damaged("a member reaches past its end");
  for (size_t done = 0; done < e->name_bytes; done += sizeof name) {
    const size_t left = e->name_bytes - done, n = left < sizeof name ? left : sizeof name;
    TRY(lp_source_read(zip->source, e->header_at + LOCAL_BYTES + done, name, n));
    if (memcmp(name, e->name + done, n) != 0)
      return fail_damaged("a member's header and the directory have two names for it");
  }
  e->data_at = e->header_at + before;
  return true;
}

static int compare_places(const void *a, const void *b) {
  const LpZipEntry *x = a, *y = b;
  return (x->header_at > y->header_at) - (x->header_at < y->header_at);
}

static int compare_names(const void *a, const void *b) {
  const LpZipEntry *x = a, *y = b;
  const size_t n = x->name_bytes < y->name_bytes ? x->name_bytes : y->name_bytes;
  const int order = memcmp(x->name, y->name, n);
  return order ? order
               : (x->name_bytes > y->name_bytes) - (x->name_bytes < y->name_bytes);
}

static bool read_entries(LpZip *zip, const Directory *dir) {
  const uint8_t *p = zip->directory;
  size_t left = zip->directory_bytes;
  for (zip->count = 0; zip->count < zip->capacity; zip->count++) {
    LpZipEntry *e = &zip->entries[zip->count];
    const size_t used = read_entry(zip, e, p, left);
    if (!used || !check_local(zip, e, dir->at)) return false;
    p += used;
    left -= used;
  }
  if (left) return fail_damaged("bytes follow the last member of its directory");
  qsort(zip->entries, zip->count, sizeof *zip->entries, compare_places);
  for (size_t i = 1; i < zip->count; i++)
    if (zip->entries[i - 1].data_at + zip->entries[i - 1].packed_bytes >
        zip->entries[i].header_at)
      return fail_damaged("members overlap");
  qsort(zip->entries, zip->count, sizeof *zip->entries, compare_names);
  for (size_t i = 1; i < zip->count; i++)
    if (compare_names(&zip->entries[i - 1], &zip->entries[i]) == 0)
      return fail_damaged("two members have the same name");
  return true;
}

bool lp_zip_open(LpZip *zip, LpSource *source) {
  Directory dir;
  *zip = (LpZip){.source = source};
  TRY(locate_directory(source, &dir));
  zip->unpack_limit_bytes = ((uint64_t)256 << 20) + 64 * (uint64_t)source->size_bytes;
  zip->directory_bytes = dir.size_bytes;
  zip->capacity = dir.count;
  zip->directory = lp_alloc(zip->directory_bytes + 1);
  zip->entries =
      zip->directory ? lp_alloc((zip->capacity + 1) * sizeof *zip->entries) : NULL;
  if (zip->entries &&
      lp_source_read(source, dir.at, zip->directory, zip->directory_bytes) &&
      read_entries(zip, &dir))
    return true;
  lp_zip_close(zip);
  return false;
}

void lp_zip_close(LpZip *zip) {
  lp_free(zip->directory, zip->directory_bytes + 1);
  lp_free(zip->entries, (zip->capacity + 1) * sizeof *zip->entries);
  zip->directory = NULL;
  zip->entries = NULL;
}

/* --- members
 * ----------------------------------------------------------------------------------- */

const LpZipEntry *lp_zip_find(const LpZip *zip, const char *prefix, size_t prefix_bytes,
                              const char *name, size_t name_bytes) {
  size_t low = 0, high = zip->count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const LpZipEntry *e = &zip->entries[middle];
    int order = 0;
    for (size_t i = 0; order == 0 && i < prefix_bytes + name_bytes; i++) {
      const uint8_t want =
          (uint8_t)(i < prefix_bytes ? prefix[i] : name[i - prefix_bytes]);
      order = i == e->name_bytes ? 1 : (int)want - (int)(uint8_t)e->name[i];
    }
    if (order == 0 && e->name_bytes == prefix_bytes + name_bytes) return e;
    if (order > 0)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}

static bool check_crc(const LpZipEntry *e, uint32_t crc) {
  CHECK(crc == e->crc, LP_ERR_IO,
        "member '%.*s' is damaged: its checksum is %08x and should be %08x",
        (int)(e->name_bytes < 100 ? e->name_bytes : 100), e->name, crc, e->crc);
  return true;
}

static bool inflate_all(LpZip *zip, const LpZipEntry *e, z_stream *z, uint8_t *buffer,
                        uint8_t *to, uint32_t *result) {
  uint64_t taken = 0, made = 0;
  uint32_t crc = 0;
  int status = Z_OK;
  while (status != Z_STREAM_END) {
    if (z->avail_in == 0 && taken < e->packed_bytes) {
      const uint64_t left = e->packed_bytes - taken;
      const size_t n = left < INFLATE_CHUNK_BYTES ? (size_t)left : INFLATE_CHUNK_BYTES;
      TRY(lp_source_read(zip->source, e->data_at + taken, buffer, n));
      z->next_in = buffer;
      z->avail_in = (uInt)n;
      taken += n;
    }
    const uint64_t room = e->size_bytes - made;
    uint8_t spare; /* where a stream that should have ended writes on */
    uint8_t *next = room ? to + made : &spare;
    z->next_out = next;
    z->avail_out = room ? (uInt)(room < CRC_CHUNK_BYTES ? room : CRC_CHUNK_BYTES) : 1;
    status = inflate(z, Z_NO_FLUSH);
    const size_t got = (size_t)(z->next_out - next);
    if ((status != Z_OK && status != Z_STREAM_END) || got > room)
      return fail_damaged("a member does not unpack");
    crc = lp_crc32_fast(crc, next, got);
    made += got;
  }
  if (made != e->size_bytes) return fail_damaged("a member unpacks to another size");
  *result = crc;
  return true;
}

static bool read_deflated(LpZip *zip, const LpZipEntry *e, void *to, uint32_t *crc) {
  uint8_t *buffer = lp_alloc(INFLATE_CHUNK_BYTES);
  if (!buffer) return false;
  z_stream z = {0};
  bool ok = inflateInit2(&z, -MAX_WBITS) == Z_OK;
  if (ok) {
    ok = inflate_all(zip, e, &z, buffer, to, crc);
    inflateEnd(&z);
  } else {
    lp_fail(LP_ERR_MEMORY, "out of memory unpacking a zip archive");
  }
  lp_free(buffer, INFLATE_CHUNK_BYTES);
  return ok;
}

/* A packed member is one piece of work, a stored one as many as it has chunks. */
typedef struct Piece {
  uint32_t read; /* which of the reads */
  uint32_t crc;
  uint64_t at;
} Piece;

typedef struct ReadAll {
  LpZip *zip;
  const LpZipRead *reads;
  Piece *pieces;
  size_t count;
  _Atomic size_t next;
  _Atomic bool failed, interrupted;
} ReadAll;

static size_t pieces_of(const LpZipEntry *e) {
  if (e->method == 8) return 1;
  return (e->size_bytes + CRC_CHUNK_BYTES - 1) / CRC_CHUNK_BYTES;
}

static size_t piece_bytes(const LpZipEntry *e, uint64_t at) {
  const uint64_t left = e->size_bytes - at;
  return e->method == 8 || left < CRC_CHUNK_BYTES ? (size_t)left : CRC_CHUNK_BYTES;
}

/* The checksum is taken while the bytes are still in the cache. */
static bool read_piece(const ReadAll *r, Piece *p) {
  const LpZipEntry *e = r->reads[p->read].entry;
  uint8_t *to = (uint8_t *)r->reads[p->read].to + p->at;
  if (e->method == 8) return read_deflated(r->zip, e, to, &p->crc);
  const size_t n = piece_bytes(e, p->at);
  TRY(lp_source_read(r->zip->source, e->data_at + p->at, to, n));
  p->crc = lp_crc32_fast(0, to, n);
  return true;
}

/* The range only says how many threads there are: each takes the next piece until none is
 * left, as some pieces take much longer than others. */
static void read_pieces(void *ctx, int64_t from, int64_t to) {
  ReadAll *r = ctx;
  for (size_t i; !r->failed && (i = r->next++) < r->count;)
    if (!read_piece(r, &r->pieces[i])) {
      if (lp_last_error()->code == LP_ERR_INTERRUPT) r->interrupted = true;
      r->failed = true;
    }
}

static bool check_crcs(const ReadAll *r) {
  for (size_t i = 0; i < r->count;) {
    const uint32_t read = r->pieces[i].read;
    const LpZipEntry *e = r->reads[read].entry;
    uint32_t crc = r->pieces[i].crc;
    for (i++; i < r->count && r->pieces[i].read == read; i++)
      crc = (uint32_t)crc32_combine(crc, r->pieces[i].crc,
                                    (z_off_t)piece_bytes(e, r->pieces[i].at));
    TRY(check_crc(e, crc));
  }
  return true;
}

/* Charges what is unpacked, checks what has no piece; the number of pieces. */
static bool count_pieces(LpZip *zip, const LpZipRead *reads, size_t count,
                         size_t *pieces) {
  *pieces = 0;
  for (size_t i = 0; i < count; i++) {
    const LpZipEntry *e = reads[i].entry;
    *pieces += pieces_of(e);
    if (e->method != 8 && e->size_bytes == 0) TRY(check_crc(e, 0));
    if (e->method != 8) continue;
    CHECK(e->size_bytes <= zip->unpack_limit_bytes &&
              zip->unpacked_bytes <= zip->unpack_limit_bytes - e->size_bytes,
          LP_ERR_IO,
          "the members unpack to more than %llu MiB, the limit for a file of this size",
          (unsigned long long)zip->unpack_limit_bytes >> 20);
    zip->unpacked_bytes += e->size_bytes;
  }
  return true;
}

bool lp_zip_read_all(LpZip *zip, const LpZipRead *reads, size_t count) {
  ReadAll r = {.zip = zip, .reads = reads};
  Piece one;
  TRY(count_pieces(zip, reads, count, &r.count));
  if (r.count == 0) return true;
  r.pieces = r.count == 1 ? &one : lp_alloc(r.count * sizeof *r.pieces);
  if (!r.pieces) return false;
  size_t next = 0;
  for (size_t i = 0; i < count; i++)
    for (size_t k = 0; k < pieces_of(reads[i].entry); k++)
      r.pieces[next++] = (Piece){(uint32_t)i, 0, (uint64_t)k * CRC_CHUNK_BYTES};
  lp_parallel_for((int64_t)r.count, 1, read_pieces, &r);
  /* The error of another thread is that thread's: read again for one of our own. */
  bool ok = !r.interrupted || lp_fail(LP_ERR_INTERRUPT, "interrupted reading a file");
  for (size_t i = 0; r.failed && ok && i < r.count; i++)
    ok = read_piece(&r, &r.pieces[i]);
  ok = ok && check_crcs(&r);
  if (r.pieces != &one) lp_free(r.pieces, r.count * sizeof *r.pieces);
  return ok;
}

bool lp_zip_read(LpZip *zip, const LpZipEntry *entry, void *to) {
  const LpZipRead read = {entry, to};
  return lp_zip_read_all(zip, &read, 1);
}
