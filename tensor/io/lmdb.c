/* Reading LMDB, by liblmdb, opened at the first use. Its few declarations stand here, so
 * that building needs no package; source: lmdb.h of 0.9.
 *
 * Note [One environment a process]: LMDB must not open a file twice in one process, and
 * gives a handle that many threads may use. So open environments are kept in a list, by
 * the file they are, and counted. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "core/check.h"
#include "lampad/stores.h"
#include "lampad/tensor.h"

typedef struct Value {
  size_t size_bytes;
  void *data;
} Value;

typedef struct Stat {
  unsigned page_bytes, depth;
  size_t branch_pages, leaf_pages, overflow_pages, entries;
} Stat;

enum {
  NO_SUBFOLDER = 0x4000,
  READ_ONLY = 0x20000,
  NO_TLS = 0x200000,
  NO_LOCK = 0x400000,
  NEXT = 8,
  NOT_FOUND = -30798
};

static struct {
  int (*env_create)(void **env);
  int (*env_open)(void *env, const char *path, unsigned flags, unsigned mode);
  void (*env_close)(void *env);
  int (*txn_begin)(void *env, void *parent, unsigned flags, void **txn);
  void (*txn_abort)(void *txn);
  int (*dbi_open)(void *txn, const char *name, unsigned flags, unsigned *dbi);
  int (*stat)(void *txn, unsigned dbi, Stat *stat);
  int (*get)(void *txn, unsigned dbi, Value *key, Value *value);
  int (*cursor_open)(void *txn, unsigned dbi, void **cursor);
  int (*cursor_get)(void *cursor, Value *key, Value *value, int operation);
  void (*cursor_close)(void *cursor);
  char *(*strerror)(int code);
  bool is_open;
} mdb;

static void open_library(void) {
  void *library = dlopen("liblmdb.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!library) return;
  const struct {
    void **to;
    const char *name;
  } symbols[] = {
      {(void **)&mdb.env_create, "mdb_env_create"},
      {(void **)&mdb.env_open, "mdb_env_open"},
      {(void **)&mdb.env_close, "mdb_env_close"},
      {(void **)&mdb.txn_begin, "mdb_txn_begin"},
      {(void **)&mdb.txn_abort, "mdb_txn_abort"},
      {(void **)&mdb.dbi_open, "mdb_dbi_open"},
      {(void **)&mdb.stat, "mdb_stat"},
      {(void **)&mdb.get, "mdb_get"},
      {(void **)&mdb.cursor_open, "mdb_cursor_open"},
      {(void **)&mdb.cursor_get, "mdb_cursor_get"},
      {(void **)&mdb.cursor_close, "mdb_cursor_close"},
      {(void **)&mdb.strerror, "mdb_strerror"},
  };
  bool ok = true;
  for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
    ok = (*symbols[i].to = dlsym(library, symbols[i].name)) && ok;
  mdb.is_open = ok;
}

static bool need_library(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, open_library);
  CHECK(mdb.is_open, LP_ERR_IO,
        "liblmdb is not installed (Debian: apt install liblmdb0)");
  return true;
}

/* --- environments
 * ---------------------------------------------------------------------------- */

struct LpLmdb {
  void *env;
  unsigned dbi;
  dev_t device;
  ino_t inode;
  int users;
  LpLmdb *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static LpLmdb *environments;

static bool fail_lmdb(const char *path, int code) {
  return lp_fail(code == ENOMEM ? LP_ERR_MEMORY : LP_ERR_IO, "cannot read %s: %s", path,
                 mdb.strerror(code));
}

static bool open_env(LpLmdb *db, const char *path, unsigned flags) {
  int code = mdb.env_create(&db->env);
  if (code) return fail_lmdb(path, code);
  code = mdb.env_open(db->env, path, flags, 0644);
  /* Where no lock file can be written, nobody else writes either. */
  if (code == EACCES || code == EROFS || code == EPERM) {
    mdb.env_close(db->env);
    code = mdb.env_create(&db->env);
    if (!code) code = mdb.env_open(db->env, path, flags | NO_LOCK, 0644);
  }
  void *txn = NULL;
  if (!code) code = mdb.txn_begin(db->env, NULL, READ_ONLY, &txn);
  if (!code) code = mdb.dbi_open(txn, NULL, 0, &db->dbi);
  if (txn) mdb.txn_abort(txn); /* the handle of the main table stays */
  if (!code) return true;
  if (db->env) mdb.env_close(db->env);
  return fail_lmdb(path, code);
}

static LpLmdb *open_locked(const char *path, const struct stat *info, unsigned flags) {
  for (LpLmdb *db = environments; db; db = db->next)
    if (db->device == info->st_dev && db->inode == info->st_ino) {
      db->users++;
      return db;
    }
  LpLmdb *db = calloc(1, sizeof *db);
  if (!db) {
    lp_fail(LP_ERR_MEMORY, "out of memory opening %s", path);
    return NULL;
  }
  if (!open_env(db, path, flags)) {
    free(db);
    return NULL;
  }
  db->device = info->st_dev;
  db->inode = info->st_ino;
  db->users = 1;
  db->next = environments;
  environments = db;
  return db;
}

LpLmdb *lp_lmdb_open(const char *path) {
  TRY(need_library());
  struct stat info;
  CHECK(stat(path, &info) == 0, LP_ERR_IO, "cannot open %s: %s", path, strerror(errno));
  const bool is_folder = S_ISDIR(info.st_mode);
  if (is_folder) { /* LMDB would make an empty one */
    char file[4096];
    snprintf(file, sizeof file, "%s/data.mdb", path);
    CHECK(stat(file, &info) == 0, LP_ERR_IO, "cannot open %s: %s", file, strerror(errno));
  }
  pthread_mutex_lock(&lock);
  LpLmdb *db =
      open_locked(path, &info, READ_ONLY | NO_TLS | (is_folder ? 0 : NO_SUBFOLDER));
  pthread_mutex_unlock(&lock);
  return db;
}

void lp_lmdb_close(LpLmdb *db) {
  if (!db) return;
  pthread_mutex_lock(&lock);
  if (--db->users == 0) {
    LpLmdb **at = &environments;
    while (*at != db) at = &(*at)->next;
    *at = db->next;
    mdb.env_close(db->env);
    free(db);
  }
  pthread_mutex_unlock(&lock);
}

/* --- reading
 * --------------------------------------------------------------------------------- */

static void *begin(LpLmdb *db) {
  void *txn = NULL;
  const int code = mdb.txn_begin(db->env, NULL, READ_ONLY, &txn);
  if (code) fail_lmdb("the LMDB file", code);
  return code ? NULL : txn;
}

bool lp_lmdb_count(LpLmdb *db, int64_t *count) {
  void *txn = begin(db);
  if (!txn) return false;
  Stat stat;
  const int code = mdb.stat(txn, db->dbi, &stat);
  mdb.txn_abort(txn);
  if (code) return fail_lmdb("the LMDB file", code);
  *count = (int64_t)stat.entries;
  return true;
}

LpTensor *lp_lmdb_get(LpLmdb *db, const void *key, size_t key_bytes, bool *found) {
  *found = false;
  void *txn = begin(db);
  if (!txn) return NULL;
  Value k = {key_bytes, (void *)(uintptr_t)key}, v = {0};
  const int code = mdb.get(txn, db->dbi, &k, &v);
  LpTensor *bytes = NULL;
  if (code == 0) {
    *found = true;
    const int64_t size = (int64_t)v.size_bytes;
    bytes = lp_tensor_new((LpInts){&size, 1}, LP_UINT8, (LpDevice){LP_CPU, 0});
    if (bytes && size) memcpy(lp_data(bytes), v.data, v.size_bytes);
  }
  mdb.txn_abort(txn);
  if (code && code != NOT_FOUND) {
    *found = true; /* an error, rather than an absence */
    fail_lmdb("the LMDB file", code);
  }
  return bytes;
}

bool lp_lmdb_keys(LpLmdb *db, bool (*visit)(void *ctx, const void *key, size_t key_bytes),
                  void *ctx) {
  void *txn = begin(db), *cursor = NULL;
  if (!txn) return false;
  Value k, v;
  int code = mdb.cursor_open(txn, db->dbi, &cursor);
  bool stopped = false;
  while (!code && !stopped && !(code = mdb.cursor_get(cursor, &k, &v, NEXT)))
    stopped = !visit(ctx, k.data, k.size_bytes);
  if (cursor) mdb.cursor_close(cursor);
  mdb.txn_abort(txn);
  if (code && code != NOT_FOUND) return fail_lmdb("the LMDB file", code);
  return true;
}
