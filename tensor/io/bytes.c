/* Tensors over bytes of a file (bytes.h). Called by the file formats. */
#define _GNU_SOURCE /* madvise */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "io/bytes.h"
#include "lampad/storage.h"

#define MAX_READ_BYTES ((size_t)1 << 26) /* between two looks at the interrupt flag */

#define HUGE_PAGE ((size_t)2 << 20)

LpTensor *lp_bytes_new(LpInts sizes, LpDtype dtype) {
  LpTensor *t = lp_tensor_new(sizes, dtype, lp_cpu());
  const size_t size = t ? t->storage->size_bytes : 0;
  if (size < HUGE_PAGE || size % HUGE_PAGE == 0) return t;
  char *begin = lp_data(t), *end = begin + size, *tail = end - (uintptr_t)end % HUGE_PAGE;
  /* Only a hint: what it returns does not matter. */
  if (tail > begin)
    (void)madvise(tail, (size_t)(end - tail), MADV_NOHUGEPAGE);
  return t;
}

static bool check_regular(const char *path, const struct stat *info) {
  CHECK(S_ISREG(info->st_mode), LP_ERR_IO, "cannot read %s: it is %s", path,
        S_ISDIR(info->st_mode) ? "a folder" : "no regular file");
  return true;
}

LpTensor *lp_bytes_map(const char *path) {
  struct stat info;
  CHECK(stat(path, &info) == 0, LP_ERR_IO, "cannot open %s: %s", path, strerror(errno));
  TRY(check_regular(path, &info));
  return lp_tensor_from_file(path, false, info.st_size, LP_UINT8);
}

static bool read_all(int fd, const char *path, uint8_t *to, size_t left) {
  while (left) {
    if (lp_interrupt_pending()) {
      lp_interrupt_take();
      return lp_fail(LP_ERR_INTERRUPT, "interrupted reading %s", path);
    }
    const ssize_t got = read(fd, to, left < MAX_READ_BYTES ? left : MAX_READ_BYTES);
    if (got < 0 && errno == EINTR) continue;
    CHECK(got >= 0, LP_ERR_IO, "cannot read %s: %s", path, strerror(errno));
    CHECK(got > 0, LP_ERR_IO, "cannot read %s: it became shorter meanwhile", path);
    to += got;
    left -= (size_t)got;
  }
  return true;
}

LpTensor *lp_bytes_read(const char *path) {
  /* A pipe without a writer must not block. */
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  CHECK(fd >= 0, LP_ERR_IO, "cannot open %s: %s", path, strerror(errno));
  struct stat info;
  LpTensor *t = NULL;
  if (fstat(fd, &info) != 0) {
    lp_fail(LP_ERR_IO, "cannot read %s: %s", path, strerror(errno));
  } else if (check_regular(path, &info)) {
    const int64_t size = info.st_size;
    t = lp_bytes_new(lp_ints(&size, 1), LP_UINT8);
    if (t && !read_all(fd, path, lp_data(t), (size_t)size)) lp_drop(&t);
  }
  close(fd);
  return t;
}

static void release_owner(void *ctx, void *data) {
  (void)data;
  lp_storage_release(ctx);
}

static bool is_aligned(const uint8_t *data, LpDtype dtype) {
  return (uintptr_t)data % lp_dtype_size(lp_dtype_to_real(dtype)) == 0;
}

static void release_source(void *ctx, void *data) {
  (void)data;
  lp_source_release(ctx);
}

LpTensor *lp_bytes_of_source(LpSource *source, uint64_t at, LpInts sizes, LpDtype dtype) {
  int64_t numel;
  size_t size;
  if (!source->is_mapped || !lp_numel_of(sizes, &numel) || numel == 0 ||
      __builtin_mul_overflow((size_t)numel, lp_dtype_size(dtype), &size) ||
      at > source->size_bytes || size > source->size_bytes - at ||
      !is_aligned(source->data + at, dtype))
    return NULL;
  LpTensor *t = lp_tensor_from_blob((void *)(source->data + at), sizes, dtype,
                                    release_source, lp_source_retain(source));
  if (!t) lp_source_release(source);
  return t;
}

static bool are_booleans(const uint8_t *data, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (data[i] > 1) return false;
  return true;
}

LpTensor *lp_bytes_view(LpTensor *owner, const uint8_t *data, LpInts sizes,
                        LpDtype dtype) {
  int64_t numel;
  TRY(lp_numel_of(sizes, &numel));
  if (numel == 0) return lp_tensor_new(sizes, dtype, lp_cpu());
  const bool fits = dtype != LP_BOOL || are_booleans(data, numel);
  if (fits && is_aligned(data, dtype)) {
    LpStorage *storage = lp_storage_retain(owner->storage);
    LpTensor *t = lp_tensor_from_blob((void *)data, sizes, dtype, release_owner, storage);
    if (!t) lp_storage_release(storage);
    return t;
  }
  LpTensor *t = lp_tensor_new(sizes, dtype, lp_cpu());
  if (!t) return NULL;
  uint8_t *copy = lp_data(t);
  memcpy(copy, data, (size_t)numel * lp_dtype_size(dtype));
  for (int64_t i = 0; !fits && i < numel; i++) copy[i] = copy[i] != 0;
  return t;
}
