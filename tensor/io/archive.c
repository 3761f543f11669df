/* Archives of data sets and compressed files, by libarchive, which is opened at the first
 * use: tar and zip, with gzip, bzip2, xz or zstd.
 *
 * Note [Unpacking what strangers packed]: only folders and regular files are made, below
 * the folder that was asked for. A member whose name is absolute or has a "..", and
 * links, end the unpacking with an error that names it; as no link is ever made, no name
 * can lead out of the folder by way of one. */
#include <archive.h>
#include <archive_entry.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/check.h"
#include "lampad/io.h"
#include "lampad/tensor.h"

#define BLOCK_BYTES ((size_t)1 << 16)

/* --- the library
 * --------------------------------------------------------------------------- */

#define FUNCTIONS(X)                                                                     \
  X(archive_read_new)                                                                    \
  X(archive_read_free)                                                                   \
  X(archive_read_support_filter_all)                                                     \
  X(archive_read_support_format_tar)                                                     \
  X(archive_read_support_format_zip)                                                     \
  X(archive_read_support_format_raw)                                                     \
  X(archive_read_support_format_empty)                                                   \
  X(archive_read_open_filename)                                                          \
  X(archive_read_next_header)                                                            \
  X(archive_read_data)                                                                   \
  X(archive_error_string)                                                                \
  X(archive_entry_pathname)                                                              \
  X(archive_entry_hardlink)                                                              \
  X(archive_entry_filetype)

#define DECLARE(name) __typeof__(name) *name;
static struct {
  FUNCTIONS(DECLARE)
  bool is_open;
} lib;

static void open_library(void) {
  void *library = dlopen("libarchive.so.13", RTLD_NOW | RTLD_LOCAL);
  if (!library) return;
  bool ok = true;
#define FIND(name) ok = (*(void **)&lib.name = dlsym(library, #name)) && ok;
  FUNCTIONS(FIND)
  lib.is_open = ok;
}

static bool need_library(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, open_library);
  CHECK(lib.is_open, LP_ERR_IO,
        "libarchive is not installed (Debian: apt install libarchive13)");
  return true;
}

/* --- reading
 * ------------------------------------------------------------------------------- */

static bool fail_reading(struct archive *a, const char *path) {
  const char *message = lib.archive_error_string(a);
  return lp_fail(LP_ERR_IO, "cannot unpack %s: %s", path,
                 message ? message : "it is damaged");
}

/* Owned: archive_read_free. raw: a compressed file rather than an archive. */
static struct archive *open_archive(const char *path, bool raw) {
  TRY(need_library());
  CHECK(access(path, R_OK) == 0, LP_ERR_IO, "cannot open %s: %s", path, strerror(errno));
  struct archive *a = lib.archive_read_new();
  if (!a) {
    lp_fail(LP_ERR_MEMORY, "out of memory unpacking %s", path);
    return NULL;
  }
  lib.archive_read_support_filter_all(a);
  if (raw) {
    lib.archive_read_support_format_raw(a);
    lib.archive_read_support_format_empty(a);
  } else {
    lib.archive_read_support_format_tar(a);
    lib.archive_read_support_format_zip(a);
  }
  if (lib.archive_read_open_filename(a, path, BLOCK_BYTES) == ARCHIVE_OK) return a;
  fail_reading(a, path);
  lib.archive_read_free(a);
  return NULL;
}

static bool interrupted(const char *path) {
  if (!lp_interrupt_pending()) return false;
  lp_interrupt_take();
  lp_fail(LP_ERR_INTERRUPT, "interrupted unpacking %s", path);
  return true;
}

/* Copies the member's bytes to the file; counts them. */
static bool copy_data(struct archive *a, const char *from, int fd, const char *to,
                      uint8_t *block) {
  for (;;) {
    if (interrupted(from)) return false;
    const la_ssize_t got = lib.archive_read_data(a, block, BLOCK_BYTES);
    if (got < 0) return fail_reading(a, from);
    if (got == 0) return true;
    for (la_ssize_t done = 0; done < got;) {
      const ssize_t written = write(fd, block + done, (size_t)(got - done));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0)
        return lp_fail(LP_ERR_IO, "cannot write %s: %s", to, strerror(errno));
      done += written;
    }
  }
}

static bool write_member(struct archive *a, const char *from, const char *to,
                         uint8_t *block) {
  const int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
  CHECK(fd >= 0, LP_ERR_IO, "cannot write %s: %s", to, strerror(errno));
  const bool ok = copy_data(a, from, fd, to, block);
  if (close(fd) != 0 && ok)
    return lp_fail(LP_ERR_IO, "cannot write %s: %s", to, strerror(errno));
  return ok;
}

/* --- names
 * --------------------------------------------------------------------------------- */

static bool is_inside(const char *name) {
  if (*name == '/' || *name == '\0') return false;
  for (const char *part = name; part; part = strchr(part, '/')) {
    part += *part == '/';
    if (part[0] == '.' && part[1] == '.' && (part[2] == '/' || part[2] == '\0'))
      return false;
  }
  return true;
}

bool lp_make_folders(const char *path) {
  char *copy = strdup(path);
  if (!copy) return lp_fail(LP_ERR_MEMORY, "out of memory making the folder %s", path);
  bool ok = true;
  for (char *at = copy + 1; ok; at++) {
    if (*at != '/' && *at != '\0') continue;
    const char kept = *at;
    *at = '\0';
    struct stat info;
    ok = mkdir(copy, 0777) == 0 ||
         (errno == EEXIST && stat(copy, &info) == 0 && S_ISDIR(info.st_mode)) ||
         lp_fail(LP_ERR_IO, "cannot make the folder %s: %s", copy,
                 strerror(errno == EEXIST ? ENOTDIR : errno));
    *at = kept;
    if (kept == '\0') break;
  }
  free(copy);
  return ok;
}

static bool make_folder_of(char *path) {
  char *slash = strrchr(path, '/');
  *slash = '\0';
  const bool ok = lp_make_folders(path);
  *slash = '/';
  return ok;
}

/* --- public
 * ---------------------------------------------------------------------------------- */

static bool unpack_member(struct archive *a, struct archive_entry *entry,
                          const char *from, const char *folder, uint8_t *block) {
  const char *name = lib.archive_entry_pathname(entry);
  CHECK(name && is_inside(name), LP_ERR_IO,
        "cannot unpack %s: its member '%s' would leave the folder", from,
        name ? name : "");
  const unsigned type = lib.archive_entry_filetype(entry);
  CHECK(!lib.archive_entry_hardlink(entry) && (type == AE_IFREG || type == AE_IFDIR),
        LP_ERR_IO, "cannot unpack %s: its member '%s' is a link or a device", from, name);
  const size_t length = strlen(folder) + strlen(name) + 2;
  char *to = malloc(length);
  if (!to) return lp_fail(LP_ERR_MEMORY, "out of memory unpacking %s", from);
  snprintf(to, length, "%s/%s", folder, name);
  const bool ok = type == AE_IFDIR
                      ? lp_make_folders(to)
                      : make_folder_of(to) && write_member(a, from, to, block);
  free(to);
  return ok;
}

bool lp_unpack_archive(const char *from, const char *folder) {
  TRY(lp_make_folders(folder));
  struct archive *a = open_archive(from, false);
  if (!a) return false;
  uint8_t *block = malloc(BLOCK_BYTES);
  bool ok = block || lp_fail(LP_ERR_MEMORY, "out of memory unpacking %s", from);
  while (ok) {
    struct archive_entry *entry;
    const int status = lib.archive_read_next_header(a, &entry);
    if (status == ARCHIVE_EOF) break;
    ok = status == ARCHIVE_OK || status == ARCHIVE_WARN
             ? unpack_member(a, entry, from, folder, block)
             : fail_reading(a, from);
  }
  free(block);
  lib.archive_read_free(a);
  return ok;
}

bool lp_unpack_file(const char *from, const char *to) {
  struct archive *a = open_archive(from, true);
  if (!a) return false;
  uint8_t *block = malloc(BLOCK_BYTES);
  struct archive_entry *entry;
  bool ok = block || lp_fail(LP_ERR_MEMORY, "out of memory unpacking %s", from);
  ok = ok &&
       (lib.archive_read_next_header(a, &entry) == ARCHIVE_OK || fail_reading(a, from));
  ok = ok && write_member(a, from, to, block);
  free(block);
  lib.archive_read_free(a);
  return ok;
}

/* Reads on until the end; *data grows and is owned by the caller also after a failure. */
static bool read_rest(struct archive *a, const char *path, size_t max_bytes,
                      uint8_t **data, size_t *used) {
  size_t capacity = 0;
  for (;;) {
    if (*used + BLOCK_BYTES > capacity) {
      capacity = capacity * 2 + BLOCK_BYTES;
      uint8_t *larger = realloc(*data, capacity);
      if (!larger) return lp_fail(LP_ERR_MEMORY, "out of memory unpacking %s", path);
      *data = larger;
    }
    if (interrupted(path)) return false;
    const la_ssize_t got = lib.archive_read_data(a, *data + *used, BLOCK_BYTES);
    if (got < 0) return fail_reading(a, path);
    if (got == 0) return true;
    *used += (size_t)got;
    CHECK(max_bytes == 0 || *used <= max_bytes, LP_ERR_IO,
          "cannot unpack %s: it holds more than %zu bytes", path, max_bytes);
  }
}

static void free_data(void *ctx, void *data) {
  free(data);
}

LpTensor *lp_read_packed(const char *path, size_t max_bytes) {
  struct archive *a = open_archive(path, true);
  if (!a) return NULL;
  struct archive_entry *entry;
  uint8_t *data = NULL;
  size_t used = 0;
  const int status = lib.archive_read_next_header(a, &entry);
  const bool ok = status == ARCHIVE_EOF ||
                  (status == ARCHIVE_OK ? read_rest(a, path, max_bytes, &data, &used)
                                        : fail_reading(a, path));
  lib.archive_read_free(a);
  const int64_t size = (int64_t)used;
  LpTensor *bytes =
      ok ? lp_tensor_from_blob(data, (LpInts){&size, 1}, LP_UINT8, free_data, NULL)
         : NULL;
  if (!bytes) free(data);
  return bytes;
}
