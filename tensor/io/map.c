/* Mapped memory: files as tensors, storages that forked processes share; see
 * lampad/storage.h. Must not include kernels or Lua. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/alloc.h"
#include "core/tensor.h"
#include "lampad/storage.h"

LpTensor *lp_storage_tensor(LpTensor *t, LpDtype dtype) {
  int64_t one = 1, count = (int64_t)(t->storage->size_bytes / lp_dtype_size(dtype));
  return lp_tensor_wrap(t->storage, dtype, lp_ints(&count, 1), lp_ints(&one, 1), 0);
}

/* --- mappings
 * --------------------------------------------------------------------------- */

/* What munmap wants back, and whether other processes see the memory. */
typedef struct Mapping {
  size_t size_bytes;
} Mapping;

static void unmap(void *ctx, void *data) {
  Mapping *m = ctx;
  munmap(data, m->size_bytes);
  lp_free(m, sizeof *m);
}
/* A function of its own: its address marks shared storages. */
static void unmap_shared(void *ctx, void *data) {
  unmap(ctx, data);
}

bool lp_storage_is_shared(const LpTensor *t) {
  return t->storage->free_fn == unmap_shared;
}

bool lp_storage_share(LpTensor *t) {
  LpStorage *s = t->storage;
  if (lp_storage_is_shared(t)) return true;
  size_t size = s->size_bytes ? s->size_bytes : 1;
  Mapping *m = lp_alloc(sizeof *m);
  if (!m) return false;
  void *data =
      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) {
    lp_free(m, sizeof *m);
    return lp_fail(LP_ERR_MEMORY, "no %zu bytes of shared memory: %s", size,
                   strerror(errno));
  }
  *m = (Mapping){size};
  memcpy(data, lp_storage_data(s), s->size_bytes);
  if (s->free_fn)
    s->free_fn(s->free_ctx, s->memory);
  else if (s->capacity_bytes)
    lp_block_free(s->memory, s->capacity_bytes);
  s->memory = data;
  s->capacity_bytes = 0;
  s->free_fn = unmap_shared;
  s->free_ctx = m;
  return true;
}

/* --- files
 * -------------------------------------------------------------------------------- */

/* The open file made at least `size` bytes long, or an error that says why not. */
static bool make_room(int fd, const char *path, bool shared, size_t size) {
  struct stat info;
  CHECK(fstat(fd, &info) == 0, LP_ERR_IO, "unable to stat the file <%s>: %s", path,
        strerror(errno));
  CHECK(S_ISREG(info.st_mode), LP_ERR_IO, "<%s> is not a regular file", path);
  if ((size_t)info.st_size >= size) return true;
  CHECK(shared, LP_ERR_IO,
        "file <%s> size <%lld> is smaller than the required mapping size <%zu>", path,
        (long long)info.st_size, size);
  CHECK(ftruncate(fd, (off_t)size) == 0, LP_ERR_IO,
        "unable to resize file <%s> to the right size: %s", path, strerror(errno));
  return true;
}

static void *map_file(const char *path, bool shared, size_t size) {
  const int flags = O_CLOEXEC | O_NONBLOCK; /* a pipe without a writer must not block */
  int fd =
      shared ? open(path, flags | O_RDWR | O_CREAT, 0600) : open(path, flags | O_RDONLY);
  CHECK(fd >= 0, LP_ERR_IO, "unable to open file <%s> in %s mode: %s (%d)", path,
        shared ? "read-write" : "read-only", strerror(errno), errno);
  void *data = NULL;
  if (make_room(fd, path, shared, size)) {
    data = mmap(NULL, size, PROT_READ | PROT_WRITE, shared ? MAP_SHARED : MAP_PRIVATE, fd,
                0);
    if (data == MAP_FAILED) {
      data = NULL;
      lp_fail(LP_ERR_IO, "unable to map %zu bytes from file <%s>: %s (%d)", size, path,
              strerror(errno), errno);
    }
  }
  close(fd);
  return data;
}

LpTensor *lp_tensor_from_file(const char *path, bool shared, int64_t count,
                              LpDtype dtype) {
  size_t size;
  CHECK(count >= 0, LP_ERR_ARGUMENT, "size must not be negative, got %lld",
        (long long)count);
  CHECK(!__builtin_mul_overflow((size_t)count, lp_dtype_size(dtype), &size) &&
            size < PTRDIFF_MAX,
        LP_ERR_ARGUMENT, "size %lld is larger than any file", (long long)count);
  if (size == 0) return lp_tensor_new(lp_ints(&count, 1), dtype, lp_cpu());
  Mapping *m = lp_alloc(sizeof *m);
  void *data = m ? map_file(path, shared, size) : NULL;
  LpTensor *t = NULL;
  if (data) {
    *m = (Mapping){size};
    t = lp_tensor_from_blob(data, lp_ints(&count, 1), dtype,
                            shared ? unmap_shared : unmap, m);
    if (!t) munmap(data, size);
  }
  if (!t) lp_free(m, sizeof *m);
  return t;
}
