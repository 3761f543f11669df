/* Files that appear only once they are whole (write.h), and lp_write_file_atomic over
 * them. Called by the file formats and the binding. Knows nothing of tensors.
 *
 * Note [Whole or not at all]: the bytes go to a new file in the same folder, which is
 * flushed to the disk and then renamed over the old one; the folder is flushed last, so
 * that the rename itself survives a power cut. A symbolic link stays one: what it points
 * to is replaced. What is no regular file (a device, a pipe) cannot be renamed over, and
 * is written directly.
 *
 * Note [What a killed process leaves]: the old file, and the new one as far as it came,
 * under its temporary name. That name comes from the file's own, and who writes holds a
 * lock (flock) on it, which ends with the process, however it ends. So the next writer of
 * the same file finds what was left, sees that nobody holds it, and removes it; one that
 * is at work, in this process or another, is left alone, and the next number taken. */
#define _GNU_SOURCE /* sync_file_range */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/check.h"
#include "io/write.h"

#define BUFFER_BYTES ((size_t)1 << 16)
#define MIN_WRITE_BACK_BYTES ((size_t)1 << 20)
#define MAX_WRITE_BYTES ((size_t)1 << 23) /* between two looks at the interrupt flag */
#define MAX_WRITERS 100                   /* of one file at a time */

/* --- the end of a writer
 * --------------------------------------------------------------------- */

static void release(LpWriter *w) {
  free(w->target);
  free(w->temporary);
  free(w->buffer);
  w->target = w->temporary = NULL;
  w->buffer = NULL;
  w->fd = -1;
  w->used_bytes = w->capacity_bytes = 0;
}

void lp_writer_abort(LpWriter *w) {
  if (w->temporary) unlink(w->temporary);
  if (w->fd >= 0) close(w->fd);
  release(w);
}

static bool fail_and_abort(LpWriter *w, int cause) {
  const bool replaces = w->temporary && access(w->target, F_OK) == 0;
  const char *path = w->path;
  lp_writer_abort(w);
  return lp_fail(LP_ERR_IO, "cannot write %s: %s%s", path, strerror(cause),
                 replaces ? "; the file was left as it was" : "");
}

static bool out_of_memory(LpWriter *w) {
  lp_writer_abort(w);
  return lp_fail(LP_ERR_MEMORY, "out of memory writing %s",
                 w->path ? w->path : "to memory");
}

/* --- opening
 * --------------------------------------------------------------------------------- */

/* "folder/.lampad-HASH-N.tmp": the hash is of the name of `target` in its folder, which
 * itself may be too long to add to; malloc'ed. */
static char *temporary_name(const char *target, int number) {
  const char *slash = strrchr(target, '/');
  const int folder = slash ? (int)(slash - target) + 1 : 0;
  uint64_t hash = 14695981039346656037u;
  for (const char *c = target + folder; *c; c++)
    hash = (hash ^ (uint8_t)*c) * 1099511628211u;
  char *name = malloc((size_t)folder + 64);
  if (name)
    snprintf(name, (size_t)folder + 64, "%.*s.lampad-%016llx-%d.tmp", folder, target,
             (unsigned long long)hash, number);
  return name;
}

/* Is the open file still the one of that name? */
static bool is_named(int fd, const char *name) {
  struct stat own, named;
  return fstat(fd, &own) == 0 && lstat(name, &named) == 0 && own.st_dev == named.st_dev &&
         own.st_ino == named.st_ino;
}

/* Removes the file of that name when it is ours, a plain one, and nobody writes it. */
static bool remove_left(const char *name) {
  const int fd = open(name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT;
  struct stat info;
  const bool removed = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
                       info.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
                       is_named(fd, name) && unlink(name) == 0;
  close(fd);
  return removed;
}

/* A new file of that name, locked; -1 when the name is taken (EEXIST) or there is an
 * error. */
static int create_locked(const char *name) {
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  int fd = open(name, flags, 0666);
  if (fd < 0 && errno == EEXIST) {
    const bool removed = remove_left(name);
    errno = EEXIST;
    if (removed) fd = open(name, flags, 0666);
  }
  if (fd < 0) return -1;
  /* A file system without locks has nobody who could take it for left behind. */
  if (flock(fd, LOCK_EX | LOCK_NB) == 0 ? is_named(fd, name) : errno != EWOULDBLOCK)
    return fd;
  close(fd); /* another one was between the two steps */
  errno = EEXIST;
  return -1;
}

/* The name that a chain of symbolic links ends in, even when no file is there yet;
 * malloc'ed. */
static char *follow_links(const char *path) {
  char *target = strdup(path);
  for (int hops = 0; target && hops < 40; hops++) {
    char link[PATH_MAX];
    const ssize_t length = readlink(target, link, sizeof link);
    if (length < 0 || (size_t)length == sizeof link) return target;
    const char *slash = link[0] == '/' ? NULL : strrchr(target, '/');
    const size_t folder = slash ? (size_t)(slash - target) + 1 : 0;
    char *next = malloc(folder + (size_t)length + 1);
    if (next) {
      memcpy(next, target, folder);
      memcpy(next + folder, link, (size_t)length);
      next[folder + (size_t)length] = '\0';
    }
    free(target);
    target = next;
  }
  return target;
}

/* What others left that wrote the same file beside one that has gone on. */
static void remove_later(const char *target, int number) {
  for (bool more = true; more && number < MAX_WRITERS; number++) {
    char *name = temporary_name(target, number);
    more = name && access(name, F_OK) == 0;
    if (more) remove_left(name);
    free(name);
  }
}

bool lp_writer_open(LpWriter *w, const char *path) {
  *w = (LpWriter){.path = path, .fd = -1};
  CHECK(*path, LP_ERR_IO, "cannot write a file: its path is empty");
  if (!(w->target = follow_links(path)) || !(w->buffer = malloc(BUFFER_BYTES)))
    return out_of_memory(w);
  w->capacity_bytes = BUFFER_BYTES;
  struct stat old;
  const bool exists = stat(w->target, &old) == 0;
  if (exists && S_ISDIR(old.st_mode)) return fail_and_abort(w, EISDIR);
  if (exists && !S_ISREG(old.st_mode)) {
    w->fd = open(w->target, O_WRONLY | O_CLOEXEC);
    return w->fd >= 0 || fail_and_abort(w, errno);
  }
  /* A rename would replace a file that its owner has protected. */
  if (exists && access(w->target, W_OK) != 0) return fail_and_abort(w, errno);
  for (int number = 0; number < MAX_WRITERS; number++) {
    char *name = temporary_name(w->target, number);
    if (!name) return out_of_memory(w);
    w->fd = create_locked(name);
    if (w->fd >= 0) {
      w->temporary = name;
      remove_later(w->target, number + 1);
      if (exists) (void)!fchmod(w->fd, old.st_mode & 07777);
      return true;
    }
    const int cause = errno;
    free(name);
    errno = cause;
    if (cause != EEXIST) break;
  }
  return fail_and_abort(w, errno);
}

void lp_writer_open_memory(LpWriter *w) {
  *w = (LpWriter){.fd = -1};
}

/* --- bytes
 * ----------------------------------------------------------------------------------- */

/* The disk begins at once with what is large, while the rest is still being written: what
 * fsync has to wait for is less then. Only a hint, of Linux. */
static void begin_write_back(LpWriter *w, size_t size_bytes) {
#ifdef SYNC_FILE_RANGE_WRITE
  if (w->temporary && size_bytes >= MIN_WRITE_BACK_BYTES)
    (void)sync_file_range(w->fd, lseek(w->fd, 0, SEEK_CUR) - (off_t)size_bytes,
                          (off_t)size_bytes, SYNC_FILE_RANGE_WRITE);
#endif
}

static bool write_all(LpWriter *w, const uint8_t *next, size_t left) {
  while (left) {
    if (lp_interrupt_pending()) {
      lp_interrupt_take();
      lp_writer_abort(w);
      return lp_fail(LP_ERR_INTERRUPT, "interrupted writing %s", w->path);
    }
    ssize_t written = write(w->fd, next, left < MAX_WRITE_BYTES ? left : MAX_WRITE_BYTES);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_and_abort(w, errno);
    next += written;
    left -= (size_t)written;
    begin_write_back(w, (size_t)written);
  }
  return true;
}

static bool flush(LpWriter *w) {
  const size_t used = w->used_bytes;
  w->used_bytes = 0;
  return write_all(w, w->buffer, used);
}

/* Room for size_bytes more in memory. */
static bool grow(LpWriter *w, size_t size_bytes) {
  if (size_bytes <= w->capacity_bytes - w->used_bytes) return true;
  size_t wanted;
  if (__builtin_add_overflow(w->used_bytes, size_bytes, &wanted)) return out_of_memory(w);
  if (wanted < w->capacity_bytes * 2) wanted = w->capacity_bytes * 2;
  uint8_t *larger = realloc(w->buffer, wanted);
  if (!larger) return out_of_memory(w);
  w->buffer = larger;
  w->capacity_bytes = wanted;
  return true;
}

bool lp_writer_put(LpWriter *w, const void *data, size_t size_bytes) {
  if (size_bytes == 0) return true;
  w->total_bytes += size_bytes;
  if (!w->path) {
    TRY(grow(w, size_bytes));
  } else if (size_bytes > w->capacity_bytes - w->used_bytes) {
    TRY(flush(w));
    if (size_bytes >= w->capacity_bytes) return write_all(w, data, size_bytes);
  }
  memcpy(w->buffer + w->used_bytes, data, size_bytes);
  w->used_bytes += size_bytes;
  return true;
}

/* --- done
 * ------------------------------------------------------------------------------------ */

/* Makes the rename itself durable; a file system that cannot sync folders loses nothing
 * else. */
static void sync_folder_of(char *path) {
  char *slash = strrchr(path, '/');
  if (slash) slash[slash == path] = '\0';
  int fd = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  (void)fsync(fd);
  close(fd);
}

bool lp_writer_finish(LpWriter *w) {
  TRY(flush(w));
  /* Devices and pipes have nothing to sync, and say so with EINVAL. */
  if (fsync(w->fd) != 0 &&
      (w->temporary || (errno != EINVAL && errno != ENOTSUP && errno != EROFS)))
    return fail_and_abort(w, errno);
  /* Before the lock goes: what nobody holds, others may remove. */
  if (w->temporary && rename(w->temporary, w->target) != 0)
    return fail_and_abort(w, errno);
  const int closed = close(w->fd);
  w->fd = -1;
  if (w->temporary)
    sync_folder_of(w->target);
  else if (closed != 0)
    return fail_and_abort(w, errno);
  release(w);
  return true;
}

bool lp_writer_take(LpWriter *w, uint8_t **data, size_t *size_bytes) {
  TRY(grow(w, w->used_bytes ? 0 : 1)); /* no bytes are an address too */
  *data = w->buffer;
  *size_bytes = w->used_bytes;
  w->buffer = NULL;
  release(w);
  return true;
}

bool lp_write_file_atomic(const char *path, const LpBytes *parts, size_t part_count) {
  LpWriter w;
  TRY(lp_writer_open(&w, path));
  for (size_t i = 0; i < part_count; i++)
    TRY(lp_writer_put(&w, parts[i].data, parts[i].size_bytes));
  return lp_writer_finish(&w);
}
