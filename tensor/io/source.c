/* Bytes of files and memory: see source.h. */
#include "io/source.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/alloc.h"
#include "core/parallel.h"

#define READ_CHUNK_BYTES ((size_t)16 << 20)
#define PIECE_BYTES ((size_t)2 << 20) /* of a read that threads share */
#define SHARED_BYTES ((size_t)8 << 20)

static LpSource *new_source(void) {
  LpSource *s = lp_calloc(sizeof *s);
  if (!s) return NULL;
  atomic_init(&s->refcount, 1);
  s->fd = -1;
  return s;
}

static bool open_file(LpSource *s, const char *path, bool use_mmap) {
  struct stat info;
  s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not block */
  CHECK(s->fd >= 0, LP_ERR_IO, "cannot open %s: %s", path, strerror(errno));
  CHECK(fstat(s->fd, &info) == 0, LP_ERR_IO, "cannot read %s: %s", path, strerror(errno));
  CHECK(!S_ISDIR(info.st_mode), LP_ERR_IO, "cannot read %s: it is a folder", path);
  CHECK(S_ISREG(info.st_mode), LP_ERR_IO, "cannot read %s: it is no regular file", path);
  s->size_bytes = (size_t)info.st_size;
  if (!use_mmap || !s->size_bytes) return true;
  void *data = mmap(NULL, s->size_bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_NORESERVE, s->fd, 0);
  CHECK(data != MAP_FAILED, LP_ERR_IO, "cannot map %s: %s", path, strerror(errno));
  s->data = data;
  s->is_mapped = true;
  return true;
}

LpSource *lp_source_open(const char *path, bool use_mmap) {
  LpSource *s = new_source();
  if (s && !open_file(s, path, use_mmap)) {
    lp_source_release(s);
    return NULL;
  }
  return s;
}

LpSource *lp_source_memory(const void *data, size_t size_bytes) {
  LpSource *s = new_source();
  if (!s) return NULL;
  s->data = data;
  s->size_bytes = size_bytes;
  return s;
}

LpSource *lp_source_retain(LpSource *s) {
  atomic_fetch_add_explicit(&s->refcount, 1, memory_order_relaxed);
  return s;
}

void lp_source_release(LpSource *s) {
  if (!s || atomic_fetch_sub_explicit(&s->refcount, 1, memory_order_acq_rel) != 1) return;
  if (s->is_mapped) munmap((void *)s->data, s->size_bytes);
  if (s->fd >= 0) close(s->fd);
  lp_free(s, sizeof *s);
}

static bool read_file(LpSource *s, size_t offset, void *to, size_t size_bytes) {
  while (size_bytes) {
    const size_t want = size_bytes < READ_CHUNK_BYTES ? size_bytes : READ_CHUNK_BYTES;
    const ssize_t got = pread(s->fd, to, want, (off_t)offset);
    if (got < 0 && errno == EINTR) continue;
    CHECK(got >= 0, LP_ERR_IO, "cannot read the file: %s", strerror(errno));
    CHECK(got > 0, LP_ERR_IO, "the file was cut short while it was read");
    to = (char *)to + got;
    offset += (size_t)got;
    size_bytes -= (size_t)got;
    if (lp_interrupt_pending()) {
      lp_interrupt_take();
      return lp_fail(LP_ERR_INTERRUPT, "interrupted reading a file");
    }
  }
  return true;
}

/* A large read, which all threads share: each takes the next piece. */
typedef struct SharedRead {
  LpSource *source;
  size_t offset, size_bytes;
  char *to;
  _Atomic size_t next;
  _Atomic bool failed, interrupted;
} SharedRead;

static void read_pieces(void *ctx, int64_t from, int64_t to) {
  SharedRead *r = ctx;
  for (size_t at;
       !r->failed && (at = atomic_fetch_add(&r->next, PIECE_BYTES)) < r->size_bytes;) {
    const size_t left = r->size_bytes - at, n = left < PIECE_BYTES ? left : PIECE_BYTES;
    if (read_file(r->source, r->offset + at, r->to + at, n)) continue;
    if (lp_last_error()->code == LP_ERR_INTERRUPT) r->interrupted = true;
    r->failed = true;
  }
}

static bool read_shared(LpSource *s, size_t offset, void *to, size_t size_bytes) {
  SharedRead r = {.source = s, .offset = offset, .size_bytes = size_bytes, .to = to};
  lp_parallel_for((int64_t)(size_bytes / PIECE_BYTES), 1, read_pieces, &r);
  if (!r.failed) return true;
  /* The error of another thread is that thread's: read again for one of our own. */
  if (r.interrupted) return lp_fail(LP_ERR_INTERRUPT, "interrupted reading a file");
  return read_file(s, offset, to, size_bytes);
}

bool lp_source_read(LpSource *s, size_t offset, void *to, size_t size_bytes) {
  CHECK(offset <= s->size_bytes && size_bytes <= s->size_bytes - offset, LP_ERR_IO,
        "the file is truncated: it has %zu bytes where %zu at %zu are needed",
        s->size_bytes, size_bytes, offset);
  if (s->data && !s->is_mapped) {
    if (size_bytes) memcpy(to, s->data + offset, size_bytes);
    return true;
  }
  return size_bytes < SHARED_BYTES ? read_file(s, offset, to, size_bytes)
                                   : read_shared(s, offset, to, size_bytes);
}
