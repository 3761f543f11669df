/* Folders, checksums, downloads and archives, for torch.hub and vision.datasets. Nothing
 * here is a public name. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lampad/io.h"
#include "vm.h"
#include "state.h"

/* --- folders
 * --------------------------------------------------------------------------------- */

static int failure(lua_State *L, const char *verb, const char *path) {
  const int cause = errno;
  lua_pushnil(L);
  lua_pushfstring(L, "cannot %s %s: %s", verb, path, strerror(cause));
  return 2;
}

/* file_kind(path) -> "file", "folder", "other", and the size in bytes; nil when it is not
 * there. Links are followed. */
static int file_kind(lua_State *L) {
  struct stat info;
  if (stat(luaL_checkstring(L, 1), &info) != 0) {
    lua_pushnil(L);
    return 1;
  }
  lua_pushstring(L, S_ISREG(info.st_mode)   ? "file"
                    : S_ISDIR(info.st_mode) ? "folder"
                                            : "other");
  lua_pushinteger(L, (lua_Integer)info.st_size);
  return 2;
}

typedef struct Names {
  char **names;
  size_t count, capacity;
} Names;

static void free_names(Names *n) {
  for (size_t i = 0; i < n->count; i++) free(n->names[i]);
  free(n->names);
  *n = (Names){NULL, 0, 0};
}

static bool add_name(Names *n, const char *name) {
  if (n->count == n->capacity) {
    const size_t wanted = n->capacity * 2 + 64;
    char **larger = realloc(n->names, wanted * sizeof *larger);
    if (!larger) return false;
    n->names = larger;
    n->capacity = wanted;
  }
  return (n->names[n->count] = strdup(name)) && ++n->count;
}

/* By bytes: the order of code points, which is Python's. */
static int by_bytes(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_folder(int folder_fd, const struct dirent *entry) {
  if (entry->d_type == DT_DIR) return true;
  if (entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN) return false;
  struct stat info;
  return fstatat(folder_fd, entry->d_name, &info, 0) == 0 && S_ISDIR(info.st_mode);
}

/* Reads one folder, sorted; false with errno. */
static bool read_folder(const char *path, Names *folders, Names *files) {
  DIR *dir = opendir(path);
  if (!dir) return false;
  bool ok = true;
  const struct dirent *entry;
  while (ok && (errno = 0, entry = readdir(dir))) {
    const char *name = entry->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
    Names *into = is_folder(dirfd(dir), entry) ? folders : files;
    if (!into) continue;
    ok = add_name(into, name);
    if (!ok) errno = ENOMEM;
  }
  const int cause = errno;
  closedir(dir);
  errno = cause;
  ok = ok && cause == 0;
  if (ok && folders && folders->count)
    qsort(folders->names, folders->count, sizeof *folders->names, by_bytes);
  if (ok && files && files->count)
    qsort(files->names, files->count, sizeof *files->names, by_bytes);
  return ok;
}

/* Runs under lua_pcall: {name, ...} of the Names at 1. */
static int push_names(lua_State *L) {
  const Names *n = lua_touserdata(L, 1);
  lua_createtable(L, (int)n->count, 0);
  for (size_t i = 0; i < n->count; i++) {
    lua_pushstring(L, n->names[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* list_folder(path) -> names of the folders in it, names of the files, each sorted by
 * bytes; or nil and a message. */
static int list_folder(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  lua_pushcfunction(L, push_names);
  lua_pushcfunction(L, push_names);
  Names folders = {0}, files = {0};
  if (!read_folder(path, &folders, &files)) {
    const int cause = errno;
    free_names(&folders);
    free_names(&files);
    errno = cause;
    return failure(L, "list", path);
  }
  lua_pushlightuserdata(L, &files);
  int status = lua_pcall(L, 1, 1, 0);
  if (status == LUA_OK) {
    lua_insert(L, -2);
    lua_pushlightuserdata(L, &folders);
    status = lua_pcall(L, 1, 1, 0);
  }
  free_names(&folders);
  free_names(&files);
  if (status != LUA_OK) return lua_error(L);
  lua_insert(L, -2);
  return 2;
}

/* Adds every folder below `path`, and itself. What cannot be listed is passed over, as
 * os.walk does. */
static bool walk(const char *path, Names *all) {
  if (lp_interrupt_pending()) {
    lp_interrupt_take();
    return lp_fail(LP_ERR_INTERRUPT, "interrupted listing %s", path);
  }
  if (!add_name(all, path))
    return lp_fail(LP_ERR_MEMORY, "out of memory listing %s", path);
  Names folders = {0};
  bool ok = read_folder(path, &folders, NULL) || errno != ENOMEM ||
            lp_fail(LP_ERR_MEMORY, "out of memory listing %s", path);
  for (size_t i = 0; ok && i < folders.count; i++) {
    const size_t length = strlen(path) + strlen(folders.names[i]) + 2;
    char *below = malloc(length);
    ok = below || lp_fail(LP_ERR_MEMORY, "out of memory listing %s", path);
    if (ok) snprintf(below, length, "%s/%s", path, folders.names[i]);
    ok = ok && walk(below, all);
    free(below);
  }
  free_names(&folders);
  return ok;
}

/* all_folders(path) -> the paths of the folder and those below it, sorted by bytes; links
 * are followed. */
static int all_folders(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  lua_pushcfunction(L, push_names);
  Names all = {0};
  const bool ok = walk(path, &all);
  if (ok && all.count) qsort(all.names, all.count, sizeof *all.names, by_bytes);
  lua_pushlightuserdata(L, &all);
  const int status = ok ? lua_pcall(L, 1, 1, 0) : LUA_OK;
  free_names(&all);
  if (!ok) return lpvm_raise(L, NULL);
  if (status != LUA_OK) return lua_error(L);
  return 1;
}

/* nil, message from the engine's last error; an interrupt, or a failed callback, is
 * raised instead. */
static int engine_failure(lua_State *L) {
  const LpErrorCode code = lp_last_error()->code;
  if (code == LP_ERR_INTERRUPT || code == LP_ERR_CALLBACK) return lpvm_raise(L, NULL);
  lua_pushnil(L);
  lua_pushstring(L, lp_last_error()->message);
  return 2;
}

static int done(lua_State *L, bool ok) {
  if (!ok) return engine_failure(L);
  lua_pushboolean(L, 1);
  return 1;
}

/* make_folders(path) -> true, or nil and a message. */
static int make_folders(lua_State *L) {
  return done(L, lp_make_folders(luaL_checkstring(L, 1)));
}

/* --- downloads and archives
 * ------------------------------------------------------------------- */

/* file_digest(path, "sha256" | "md5") -> hexadecimal digits, or nil and a message. */
static int file_digest(lua_State *L) {
  static const char *const kinds[] = {"sha256", "md5", NULL};
  char hex[65];
  const LpDigestKind kind = luaL_checkoption(L, 2, NULL, kinds) == 0 ? LP_SHA256 : LP_MD5;
  if (!lp_file_digest(luaL_checkstring(L, 1), kind, hex)) return engine_failure(L);
  lua_pushstring(L, hex);
  return 1;
}

#define PROGRESS 4 /* where the function is */

/* Calls it with the bytes done and the total, or nil. */
static bool report(void *ctx, int64_t done_bytes, int64_t total_bytes) {
  lua_State *L = ctx;
  lua_pushvalue(L, PROGRESS);
  lua_pushinteger(L, done_bytes);
  if (total_bytes < 0)
    lua_pushnil(L);
  else
    lua_pushinteger(L, total_bytes);
  if (lua_pcall(L, 2, 0, 0) == LUA_OK) return true;
  lpvm_keep_callback_error(L);
  return false;
}

/* fetch(url, path, ready, progress or nil, stall_timeout_s) -> bytes that were there
 * already, whether the file `ready` has appeared; or nil, a message and the HTTP status.
 * progress(done_bytes, total_bytes or nil). */
static int fetch(lua_State *L) {
  LpFetch f = {.url = luaL_checkstring(L, 1),
               .path = luaL_checkstring(L, 2),
               .ready = luaL_optstring(L, 3, NULL),
               .stall_timeout_s = (int)luaL_optinteger(L, 5, 0)};
  lua_settop(L, 5);
  luaL_checkstack(L, 8, "fetch");
  if (!lua_isnil(L, PROGRESS)) f.progress = report, f.ctx = L;
  if (!lp_fetch(&f)) {
    const int count = engine_failure(L);
    lua_pushinteger(L, f.http_status);
    return count + 1;
  }
  lua_pushinteger(L, f.resumed_bytes);
  lua_pushboolean(L, f.was_ready);
  return 2;
}

/* unpack_archive(path, folder), unpack_file(path, to) -> true, or nil and a message. */
static int unpack_archive(lua_State *L) {
  return done(L, lp_unpack_archive(luaL_checkstring(L, 1), luaL_checkstring(L, 2)));
}
static int unpack_file(lua_State *L) {
  return done(L, lp_unpack_file(luaL_checkstring(L, 1), luaL_checkstring(L, 2)));
}

/* read_packed(path, max_bytes = 0) -> tensor of bytes, or nil and a message. */
static int read_packed(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  const lua_Integer max_bytes = luaL_optinteger(L, 2, 0);
  luaL_argcheck(L, max_bytes >= 0, 2, "a limit in bytes must not be negative");
  lpvm_collect_pressure(L);
  LpBox *box = lpvm_new_box(L);
  LpTensor *bytes = lp_read_packed(path, (size_t)max_bytes);
  if (!bytes) return engine_failure(L);
  lpvm_fill_box(L, box, bytes);
  return 1;
}

/* inflate(tensor of bytes, max_bytes) -> tensor of bytes, or nil and a message. */
static int inflate_bytes(lua_State *L) {
  LpTensor *packed = lpvm_check_tensor(L, 1, "inflate");
  luaL_argcheck(L,
                lp_is_contiguous(packed, LP_CONTIGUOUS) && lp_dtype(packed) == LP_UINT8,
                1, "contiguous bytes expected");
  const lua_Integer max_bytes = luaL_checkinteger(L, 2);
  lpvm_collect_pressure(L);
  LpBox *box = lpvm_new_box(L);
  LpTensor *bytes =
      lp_inflate(lp_data(packed), (size_t)lp_numel(packed), (size_t)max_bytes);
  if (!bytes) return engine_failure(L);
  lpvm_fill_box(L, box, bytes);
  return 1;
}

/* Adds the functions to the core table (what `require "lampad.core"` returns). */
void lpvm_open_folder(lua_State *L, int core_index) {
  static const luaL_Reg functions[] = {
      {"file_kind", file_kind},
      {"list_folder", list_folder},
      {"all_folders", all_folders},
      {"make_folders", make_folders},
      {"file_digest", file_digest},
      {"fetch", fetch},
      {"unpack_archive", unpack_archive},
      {"unpack_file", unpack_file},
      {"read_packed", read_packed},
      {"inflate", inflate_bytes},
      {NULL, NULL},
  };
  lua_pushvalue(L, core_index);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
