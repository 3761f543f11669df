/* Reading HDF5, by libhdf5, opened at the first use. Its few declarations stand here, so
 * that building needs no package; source: the headers of 1.10, whose identifiers have 64
 * bits. The library is not safe for threads, so one lock holds everything; errors stay in
 * its own records, which are not printed. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/check.h"
#include "lampad/stores.h"
#include "lampad/tensor.h"

#define MAX_DIMS 16
#define MAX_DEPTH 32
#define MAX_NAME_BYTES 1024

typedef int64_t Id;
typedef unsigned long long Size;

enum {
  CLASS_INTEGER = 0,
  CLASS_FLOAT = 1,
  CLASS_ENUM = 8,
  SIGN_TWOS = 1,
  BY_NAME = 0,
  INCREASING = 0,
  TYPE_GROUP = 0,
  TYPE_ARRAY = 1,
  SELECT_SET = 0
};

static struct {
  int (*open)(void);
  int (*version)(unsigned *major, unsigned *minor, unsigned *release);
  int (*silence)(Id stack, void *function, void *data);
  Id (*file_open)(const char *name, unsigned flags, Id access);
  int (*file_close)(Id file);
  Id (*array_open)(Id file, const char *name, Id access);
  int (*array_close)(Id array);
  Id (*array_space)(Id array);
  Id (*array_type)(Id array);
  int (*array_read)(Id array, Id type, Id memory_space, Id file_space, Id list,
                    void *data);
  int (*space_ndims)(Id space);
  int (*space_dims)(Id space, Size *dims, Size *max);
  Id (*space_create)(int ndims, const Size *dims, const Size *max);
  int (*space_select)(Id space, int operation, const Size *start, const Size *stride,
                      const Size *count, const Size *block);
  int (*space_close)(Id space);
  int (*type_class)(Id type);
  size_t (*type_size)(Id type);
  int (*type_sign)(Id type);
  Id (*type_base)(Id type);
  int (*type_close)(Id type);
  Id (*group_open)(Id file, const char *name, Id access);
  int (*group_close)(Id group);
  int (*group_count)(Id group, Size *count);
  ssize_t (*group_name)(Id group, Size index, char *name, size_t size);
  int (*group_type)(Id group, Size index);
  const Id *native[9]; /* by Kind */
  bool is_open;
} h5;

/* What numbers become in memory. */
typedef enum Kind {
  INT8,
  UINT8,
  INT16,
  INT32,
  INT64,
  FLOAT32,
  FLOAT64,
  UINT16,
  UINT32
} Kind;
static const char *const native_names[] = {
    "H5T_NATIVE_INT8_g",   "H5T_NATIVE_UINT8_g",  "H5T_NATIVE_INT16_g",
    "H5T_NATIVE_INT32_g",  "H5T_NATIVE_INT64_g",  "H5T_NATIVE_FLOAT_g",
    "H5T_NATIVE_DOUBLE_g", "H5T_NATIVE_UINT16_g", "H5T_NATIVE_UINT32_g"};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void open_library(void) {
  void *library = dlopen("libhdf5_serial.so.103", RTLD_NOW | RTLD_LOCAL);
  if (!library) library = dlopen("libhdf5.so.103", RTLD_NOW | RTLD_LOCAL);
  if (!library) return;
  const struct {
    void **to;
    const char *name;
  } symbols[] = {
      {(void **)&h5.open, "H5open"},
      {(void **)&h5.version, "H5get_libversion"},
      {(void **)&h5.silence, "H5Eset_auto2"},
      {(void **)&h5.file_open, "H5Fopen"},
      {(void **)&h5.file_close, "H5Fclose"},
      {(void **)&h5.array_open, "H5Dopen2"},
      {(void **)&h5.array_close, "H5Dclose"},
      {(void **)&h5.array_space, "H5Dget_space"},
      {(void **)&h5.array_type, "H5Dget_type"},
      {(void **)&h5.array_read, "H5Dread"},
      {(void **)&h5.space_ndims, "H5Sget_simple_extent_ndims"},
      {(void **)&h5.space_dims, "H5Sget_simple_extent_dims"},
      {(void **)&h5.space_create, "H5Screate_simple"},
      {(void **)&h5.space_select, "H5Sselect_hyperslab"},
      {(void **)&h5.space_close, "H5Sclose"},
      {(void **)&h5.type_class, "H5Tget_class"},
      {(void **)&h5.type_size, "H5Tget_size"},
      {(void **)&h5.type_sign, "H5Tget_sign"},
      {(void **)&h5.type_base, "H5Tget_super"},
      {(void **)&h5.type_close, "H5Tclose"},
      {(void **)&h5.group_open, "H5Gopen2"},
      {(void **)&h5.group_close, "H5Gclose"},
      {(void **)&h5.group_count, "H5Gget_num_objs"},
      {(void **)&h5.group_name, "H5Gget_objname_by_idx"},
      {(void **)&h5.group_type, "H5Gget_objtype_by_idx"},
  };
  bool ok = true;
  for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
    ok = (*symbols[i].to = dlsym(library, symbols[i].name)) && ok;
  for (int i = 0; i < 9; i++) ok = (h5.native[i] = dlsym(library, native_names[i])) && ok;
  unsigned major, minor, release;
  ok = ok && h5.open() >= 0 && h5.version(&major, &minor, &release) >= 0 && major == 1 &&
       minor >= 10;
  if (ok) h5.silence(0, NULL, NULL);
  h5.is_open = ok;
}

static bool need_library(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, open_library);
  CHECK(h5.is_open, LP_ERR_IO,
        "libhdf5 1.10 or later is not installed (Debian: apt install libhdf5-103-1)");
  return true;
}

/* --- files
 * ----------------------------------------------------------------------------------- */

struct LpHdf5 {
  Id file;
  char *path;
};

LpHdf5 *lp_hdf5_open(const char *path) {
  TRY(need_library());
  CHECK(access(path, R_OK) == 0, LP_ERR_IO, "cannot open %s: %s", path, strerror(errno));
  LpHdf5 *f = calloc(1, sizeof *f);
  char *copy = strdup(path);
  if (!f || !copy) {
    free(f);
    free(copy);
    lp_fail(LP_ERR_MEMORY, "out of memory opening %s", path);
    return NULL;
  }
  pthread_mutex_lock(&lock);
  *f = (LpHdf5){h5.file_open(path, 0, 0), copy};
  pthread_mutex_unlock(&lock);
  if (f->file >= 0) return f;
  lp_fail(LP_ERR_IO, "cannot read %s: it is no HDF5 file, or damaged", path);
  free(f->path);
  free(f);
  return NULL;
}

void lp_hdf5_close(LpHdf5 *f) {
  if (!f) return;
  pthread_mutex_lock(&lock);
  h5.file_close(f->file);
  pthread_mutex_unlock(&lock);
  free(f->path);
  free(f);
}

/* --- arrays
 * ---------------------------------------------------------------------------------- */

typedef struct Array {
  Id id, space;
  Kind kind;
  LpDtype dtype;
  int ndim;
  Size sizes[MAX_DIMS];
} Array;

/* The memory type of a file's type; false when its values are no numbers. */
static bool choose_kind(Id type, Array *a) {
  const int class = h5.type_class(type);
  const size_t bytes = h5.type_size(type);
  if (class == CLASS_FLOAT) {
    a->kind = bytes <= 4 ? FLOAT32 : FLOAT64;
    a->dtype = bytes <= 4 ? LP_FLOAT32 : LP_FLOAT64;
    return true;
  }
  if (class == CLASS_ENUM) { /* h5py's booleans are an enumeration of two */
    a->kind = INT8;
    a->dtype = LP_BOOL;
    return bytes == 1;
  }
  if (class != CLASS_INTEGER) return false;
  const bool is_signed = h5.type_sign(type) == SIGN_TWOS;
  if (bytes == 1) {
    a->kind = is_signed ? INT8 : UINT8;
    a->dtype = is_signed ? LP_INT8 : LP_UINT8;
  } else if (bytes == 2 && is_signed) {
    a->kind = INT16;
    a->dtype = LP_INT16;
  } else if (bytes == 2 || (bytes == 4 && is_signed)) {
    a->kind = INT32;
    a->dtype = LP_INT32;
  } else {
    a->kind = INT64;
    a->dtype = LP_INT64;
  }
  return true;
}

static void close_array(Array *a) {
  if (a->space >= 0) h5.space_close(a->space);
  if (a->id >= 0) h5.array_close(a->id);
}

/* Under the lock. Close it also after a failure. */
static bool open_array(LpHdf5 *f, const char *name, Array *a) {
  *a = (Array){.id = h5.array_open(f->file, name, 0), .space = -1};
  CHECK(a->id >= 0, LP_ERR_IO, "%s has no array '%s'", f->path, name);
  a->space = h5.array_space(a->id);
  const Id type = h5.array_type(a->id);
  const bool ok = type >= 0 && choose_kind(type, a);
  if (type >= 0) h5.type_close(type);
  CHECK(ok, LP_ERR_TYPE, "%s: the values of '%s' are no numbers", f->path, name);
  a->ndim = h5.space_ndims(a->space);
  CHECK(a->ndim >= 0 && a->ndim <= MAX_DIMS, LP_ERR_IO, "%s: '%s' has too many dims",
        f->path, name);
  CHECK(a->ndim == 0 || h5.space_dims(a->space, a->sizes, NULL) >= 0, LP_ERR_IO,
        "%s: '%s' is damaged", f->path, name);
  for (int i = 0; i < a->ndim; i++)
    CHECK(a->sizes[i] <= INT64_MAX / 16, LP_ERR_IO, "%s: '%s' is damaged", f->path, name);
  return true;
}

bool lp_hdf5_shape(LpHdf5 *f, const char *name, int64_t sizes[16], int64_t *ndim,
                   LpDtype *dtype) {
  Array a;
  pthread_mutex_lock(&lock);
  const bool ok = open_array(f, name, &a);
  close_array(&a);
  pthread_mutex_unlock(&lock);
  if (!ok) return false;
  for (int i = 0; i < a.ndim; i++) sizes[i] = (int64_t)a.sizes[i];
  *ndim = a.ndim;
  *dtype = a.dtype;
  return true;
}

static LpTensor *read_array(LpHdf5 *f, const char *name, Array *a, int64_t start,
                            int64_t count) {
  Size from[MAX_DIMS] = {0};
  int64_t sizes[MAX_DIMS];
  if (count >= 0) {
    CHECK(a->ndim > 0 && start >= 0 && (Size)start <= a->sizes[0] &&
              (Size)count <= a->sizes[0] - (Size)start,
          LP_ERR_INDEX, "%s: rows %lld to %lld of '%s', which has %lld", f->path,
          (long long)start, (long long)(start + count), name,
          a->ndim ? (long long)a->sizes[0] : 0LL);
    from[0] = (Size)start;
    a->sizes[0] = (Size)count;
  }
  for (int i = 0; i < a->ndim; i++) sizes[i] = (int64_t)a->sizes[i];
  LpTensor *t = lp_tensor_new((LpInts){sizes, a->ndim}, a->dtype, (LpDevice){LP_CPU, 0});
  if (!t || lp_numel(t) == 0) return t;
  Id memory = 0; /* H5S_ALL */
  if (count >= 0) {
    memory = h5.space_create(a->ndim, a->sizes, NULL);
    h5.space_select(a->space, SELECT_SET, from, NULL, a->sizes, NULL);
  }
  const int status = h5.array_read(a->id, *h5.native[a->kind], memory,
                                   count >= 0 ? a->space : 0, 0, lp_data(t));
  if (memory > 0) h5.space_close(memory);
  if (status >= 0) return t;
  lp_tensor_release(t);
  lp_fail(LP_ERR_IO,
          "%s: the values of '%s' cannot be read: damaged, or packed by a filter that is "
          "not there",
          f->path, name);
  return NULL;
}

LpTensor *lp_hdf5_read(LpHdf5 *f, const char *name, int64_t start, int64_t count) {
  Array a;
  pthread_mutex_lock(&lock);
  LpTensor *t = open_array(f, name, &a) ? read_array(f, name, &a, start, count) : NULL;
  close_array(&a);
  pthread_mutex_unlock(&lock);
  if (t && a.dtype == LP_BOOL) {
    uint8_t *p = lp_data(t);
    for (int64_t i = 0; i < lp_numel(t); i++) p[i] = p[i] != 0;
  }
  return t;
}

/* --- names
 * ----------------------------------------------------------------------------------- */

typedef struct Walk {
  bool (*visit)(void *ctx, const char *name);
  void *ctx;
  bool is_stopped;
  char path[MAX_NAME_BYTES];
} Walk;

/* Links may go round: depth ends that. */
static bool walk(LpHdf5 *f, Walk *w, size_t length, int depth) {
  const Id group = h5.group_open(f->file, length ? w->path : "/", 0);
  CHECK(group >= 0, LP_ERR_IO, "%s is damaged: a group cannot be opened", f->path);
  Size count = 0;
  bool ok =
      h5.group_count(group, &count) >= 0 || lp_fail(LP_ERR_IO, "%s is damaged", f->path);
  for (Size i = 0; ok && !w->is_stopped && i < count; i++) {
    const int type = h5.group_type(group, i);
    const ssize_t n = h5.group_name(group, i, NULL, 0);
    if (n <= 0 || length + (size_t)n + 2 > MAX_NAME_BYTES ||
        (type != TYPE_GROUP && type != TYPE_ARRAY))
      continue;
    w->path[length] = '/';
    h5.group_name(group, i, w->path + length + 1, (size_t)n + 1);
    if (type == TYPE_GROUP && depth < MAX_DEPTH) {
      ok = walk(f, w, length + 1 + (size_t)n, depth + 1);
    } else if (type == TYPE_ARRAY) {
      Array a;
      if (open_array(f, w->path, &a)) w->is_stopped = !w->visit(w->ctx, w->path);
      close_array(&a);
    }
    w->path[length] = '\0';
  }
  h5.group_close(group);
  return ok;
}

bool lp_hdf5_names(LpHdf5 *f, bool (*visit)(void *ctx, const char *name), void *ctx) {
  Walk w = {.visit = visit, .ctx = ctx};
  pthread_mutex_lock(&lock);
  const bool ok = walk(f, &w, 0, 0);
  pthread_mutex_unlock(&lock);
  return ok;
}
