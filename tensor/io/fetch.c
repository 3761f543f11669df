/* Downloads by libcurl, which is opened at the first one: it brings twenty libraries
 * along that no other call needs. Http and https only, also after redirects; a part that
 * an earlier try left is continued. */
#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "core/check.h"
#include "lampad/io.h"

#define CONNECT_TIMEOUT_S 30L
#define STALL_TIMEOUT_S 60L /* without a byte */
#define MAX_REDIRECTS 10L
#define HTTP_RANGE_REFUSED 416
#define LOCK_POLL_NS 100000000L
#define USER_AGENT "lampad"

/* --- the library
 * --------------------------------------------------------------------------- */

static struct {
  __typeof__(curl_global_init) *global_init;
  __typeof__(curl_easy_init) *init;
  __typeof__(curl_easy_setopt) *setopt;
  __typeof__(curl_easy_perform) *perform;
  __typeof__(curl_easy_getinfo) *getinfo;
  __typeof__(curl_easy_strerror) *describe;
  __typeof__(curl_easy_cleanup) *cleanup;
  bool is_open;
} curl;

static void *find(void *library, const char *name, bool *ok) {
  void *symbol = dlsym(library, name);
  *ok = *ok && symbol;
  return symbol;
}

static void open_library(void) {
  void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  if (!library) library = dlopen("libcurl-gnutls.so.4", RTLD_NOW | RTLD_LOCAL);
  if (!library) return;
  bool ok = true;
  *(void **)&curl.global_init = find(library, "curl_global_init", &ok);
  *(void **)&curl.init = find(library, "curl_easy_init", &ok);
  *(void **)&curl.setopt = find(library, "curl_easy_setopt", &ok);
  *(void **)&curl.perform = find(library, "curl_easy_perform", &ok);
  *(void **)&curl.getinfo = find(library, "curl_easy_getinfo", &ok);
  *(void **)&curl.describe = find(library, "curl_easy_strerror", &ok);
  *(void **)&curl.cleanup = find(library, "curl_easy_cleanup", &ok);
  curl.is_open = ok && curl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

static bool need_library(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, open_library);
  CHECK(curl.is_open, LP_ERR_IO,
        "libcurl is not installed (Debian: apt install libcurl4)");
  return true;
}

/* --- one download
 * ---------------------------------------------------------------------------- */

typedef struct Download {
  LpFetch *fetch;
  int fd;
  int64_t start_bytes, written_bytes;
  int cause; /* errno of a failed write */
  bool is_interrupted, is_stopped;
} Download;

static size_t on_data(char *data, size_t size, size_t count, void *ctx) {
  Download *d = ctx;
  const size_t bytes = size * count;
  for (size_t done = 0; done < bytes;) {
    const ssize_t written = write(d->fd, data + done, bytes - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      d->cause = errno;
      return 0;
    }
    done += (size_t)written;
  }
  d->written_bytes += (int64_t)bytes;
  return bytes;
}

static int on_progress(void *ctx, curl_off_t total, curl_off_t now, curl_off_t up_total,
                       curl_off_t up_now) {
  Download *d = ctx;
  if (lp_interrupt_pending()) {
    lp_interrupt_take();
    d->is_interrupted = true;
    return 1;
  }
  if (!d->fetch->progress) return 0;
  const int64_t whole = total > 0 ? d->start_bytes + total : -1;
  d->is_stopped = !d->fetch->progress(d->fetch->ctx, d->start_bytes + now, whole);
  return d->is_stopped;
}

/* This machine itself, which no proxy can reach for us. */
static bool is_local(const char *url) {
  const char *host = strstr(url, "://");
  if (!host) return false;
  host += 3;
  const size_t n = strcspn(host, ":/");
  return (n == 9 && strncmp(host, "localhost", 9) == 0) ||
         strncmp(host, "127.", 4) == 0 || strncmp(host, "[::1]", 5) == 0;
}

static CURLcode perform(CURL *handle, Download *d, char *message) {
  LpFetch *f = d->fetch;
  curl.setopt(handle, CURLOPT_URL, f->url);
#if LIBCURL_VERSION_NUM >= 0x075500
  curl.setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl.setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
  curl.setopt(handle, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
  curl.setopt(handle, CURLOPT_REDIR_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  if (is_local(f->url)) curl.setopt(handle, CURLOPT_PROXY, "");
  curl.setopt(handle, CURLOPT_FOLLOWLOCATION, 1L);
  curl.setopt(handle, CURLOPT_MAXREDIRS, MAX_REDIRECTS);
  curl.setopt(handle, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
  curl.setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl.setopt(handle, CURLOPT_LOW_SPEED_TIME,
              f->stall_timeout_s > 0 ? (long)f->stall_timeout_s : STALL_TIMEOUT_S);
  curl.setopt(handle, CURLOPT_FAILONERROR, 1L);
  curl.setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl.setopt(handle, CURLOPT_USERAGENT, USER_AGENT);
  curl.setopt(handle, CURLOPT_ERRORBUFFER, message);
  curl.setopt(handle, CURLOPT_WRITEFUNCTION, on_data);
  curl.setopt(handle, CURLOPT_WRITEDATA, d);
  curl.setopt(handle, CURLOPT_NOPROGRESS, 0L);
  curl.setopt(handle, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl.setopt(handle, CURLOPT_XFERINFODATA, d);
  curl.setopt(handle, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)d->start_bytes);
  const CURLcode code = curl.perform(handle);
  long status = 0;
  curl.getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  f->http_status = (int)status;
  return code;
}

/* Downloads into the open file, from the start or from where it ends. *again: the server
 * cannot continue the part. */
static bool run(Download *d, bool *again) {
  CURL *handle = curl.init();
  if (!handle)
    return lp_fail(LP_ERR_MEMORY, "out of memory downloading %s", d->fetch->url);
  char message[CURL_ERROR_SIZE] = "";
  const CURLcode code = perform(handle, d, message);
  curl.cleanup(handle);
  if (code == CURLE_OK) return true;
  const bool is_part = d->start_bytes > 0 && d->written_bytes == 0;
  *again = is_part &&
           (code == CURLE_RANGE_ERROR || d->fetch->http_status == HTTP_RANGE_REFUSED);
  if (d->is_interrupted)
    return lp_fail(LP_ERR_INTERRUPT, "interrupted downloading %s", d->fetch->url);
  if (d->is_stopped)
    return lp_fail(LP_ERR_CALLBACK, "stopped downloading %s", d->fetch->url);
  if (d->cause)
    return lp_fail(LP_ERR_IO, "cannot write %s: %s", d->fetch->path, strerror(d->cause));
  return lp_fail(LP_ERR_IO, "cannot download %s: %s", d->fetch->url,
                 message[0] ? message : curl.describe(code));
}

/* Opens and locks the file; waits while another process downloads to it. -1 with the
 * error recorded. */
static int open_locked(const char *path) {
  for (;;) {
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
      lp_fail(LP_ERR_IO, "cannot write %s: %s", path, strerror(errno));
      return -1;
    }
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR)
        return fd; /* a file system without locks */
      nanosleep(&(struct timespec){.tv_nsec = LOCK_POLL_NS}, NULL);
      if (!lp_interrupt_pending()) continue;
      lp_interrupt_take();
      lp_fail(LP_ERR_INTERRUPT, "interrupted waiting for another download to %s", path);
      close(fd);
      return -1;
    }
    /* The other may have renamed it while we waited. */
    struct stat ours, theirs;
    if (fstat(fd, &ours) == 0 && stat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino)
      return fd;
    close(fd);
  }
}

bool lp_fetch(LpFetch *fetch) {
  fetch->http_status = 0;
  fetch->resumed_bytes = 0;
  fetch->was_ready = false;
  TRY(need_library());
  Download d = {.fetch = fetch, .fd = open_locked(fetch->path)};
  if (d.fd < 0) return false;
  if (fetch->ready && access(fetch->ready, F_OK) == 0) {
    fetch->was_ready = true;
    unlink(fetch->path);
    close(d.fd);
    return true;
  }
  bool again = false;
  const off_t end = lseek(d.fd, 0, SEEK_END);
  d.start_bytes = end > 0 ? end : 0;
  bool ok = run(&d, &again);
  if (again) {
    d = (Download){.fetch = fetch, .fd = d.fd};
    ok = ftruncate(d.fd, 0) == 0 && lseek(d.fd, 0, SEEK_SET) == 0 && run(&d, &again);
  }
  fetch->resumed_bytes = d.start_bytes;
  /* No empty file is left behind; after a failure none can be waiting for this name to
   * become the whole. */
  if (!ok && d.start_bytes + d.written_bytes == 0) unlink(fetch->path);
  if (close(d.fd) != 0 && ok)
    return lp_fail(LP_ERR_IO, "cannot write %s: %s", fetch->path, strerror(errno));
  return ok;
}
