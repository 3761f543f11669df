/* libFuzzer target of the file readers: checkpoints (zip with its pickle, legacy, tar),
 * safetensors, npy, npz. FUZZ_FORMAT in the environment names the format. A reader must
 * give values that lie within their memory, or a recorded error; what was read must
 * survive being written and read again; all memory comes back. scripts/fuzz_files.sh
 * builds and runs it; mutate.c changes the inputs along the grain of their format. The
 * tests read the corpus by it (replay.c).
 *
 * Only tensor/io and tensor/core are linked; the few things they need of the rest of the
 * engine are at the end. */
#define _GNU_SOURCE /* memfd_create */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "core/tensor.h"
#include "lampad/checkpoint.h"
#include "lampad/memory.h"
#include "lampad/npy.h"
#include "lampad/safetensors.h"
#include "mutate.h"

#define MEMORY_LIMIT ((size_t)512 << 20)
#define MAX_TENSOR_BYTES ((size_t)1 << 20) /* of one that is written again */

static void fail(const char *what) {
  fprintf(stderr, "finding: %s (last error: %s)\n", what, lp_last_error()->message);
  abort();
}

static void expect_error(void) {
  const LpError *error = lp_last_error();
  const bool known = error->code == LP_ERR_IO || error->code == LP_ERR_TYPE ||
                     error->code == LP_ERR_MEMORY || error->code == LP_ERR_ARGUMENT;
  if (!known || !error->message[0]) fail("a refusal without a proper error");
}

/* --- looking at what was read
 * ---------------------------------------------------------------------- */

static volatile uint8_t sink;

static void look_at_bytes(const void *data, size_t n) {
  uint8_t sum = 0;
  for (size_t i = 0; i < n; i++) sum = (uint8_t)(sum + ((const uint8_t *)data)[i]);
  sink = sum;
}

/* The elements from the first to the last in memory; truths are 0 or 1. */
static void look_at_tensor(const LpTensor *t) {
  int64_t last = 0;
  if (lp_numel(t) == 0) return;
  for (int d = 0; d < lp_ndim(t); d++) last += (lp_size(t, d) - 1) * lp_stride(t, d);
  if (last < 0) fail("a negative stride");
  const size_t unit = lp_dtype_size(lp_dtype(t)), bytes = ((size_t)last + 1) * unit;
  const uint8_t *data = lp_data(t), *start = lp_storage_data(t->storage);
  if (data < start || bytes > t->storage->size_bytes - (size_t)(data - start))
    fail("a tensor outside of its storage");
  look_at_bytes(data, bytes);
  for (size_t i = 0; lp_dtype(t) == LP_BOOL && i < bytes; i++)
    if (data[i] > 1) fail("a truth that is neither 0 nor 1");
}

static bool look_at_value(const LpIoValue *v) {
  size_t writable = 0;
  switch (v->kind) {
  case LP_IO_BIGINT:
  case LP_IO_STRING:
  case LP_IO_BYTES:
  case LP_IO_DEVICE: look_at_bytes(v->as.text.data, v->as.text.size_bytes); break;
  case LP_IO_GLOBAL:
    look_at_bytes(v->as.global.module, strlen(v->as.global.module));
    look_at_bytes(v->as.global.name, strlen(v->as.global.name));
    break;
  case LP_IO_TENSOR:
  case LP_IO_STORAGE:
    look_at_tensor(v->as.tensor.tensor);
    writable = v->as.tensor.tensor->storage->size_bytes;
    break;
  case LP_IO_LIST:
  case LP_IO_TUPLE:
  case LP_IO_SET:
  case LP_IO_FROZENSET:
  case LP_IO_SIZE:
  case LP_IO_DICT:
  case LP_IO_ORDERED_DICT:
    for (size_t i = 0; i < v->as.items.count; i++)
      look_at_bytes(v->as.items.data[i], sizeof *v);
    break;
  default: break;
  }
  return writable <= MAX_TENSOR_BYTES;
}

/* Values may be cyclic, so they are visited by number. */
static bool look_at_tree(const LpIoTree *tree) {
  bool writable = true;
  const LpIoValue *v;
  if (!lp_io_tree_root(tree)) fail("a tree without a root");
  for (size_t i = 0; (v = lp_io_tree_value(tree, i)); i++)
    if (!look_at_value(v)) writable = false;
  return writable;
}

/* --- files in memory
 * ------------------------------------------------------------------------------- */

typedef struct File {
  int fd;
  char path[64];
} File;

static File open_file(const uint8_t *data, size_t size) {
  File f = {memfd_create("fuzz", MFD_CLOEXEC), ""};
  if (f.fd < 0 || write(f.fd, data, size) != (ssize_t)size) fail("no file in memory");
  snprintf(f.path, sizeof f.path, "/proc/self/fd/%d", f.fd);
  return f;
}

static const char *written_path(void) {
  static char path[64];
  if (!path[0]) snprintf(path, sizeof path, "/dev/shm/lampad-fuzz-%ld", (long)getpid());
  return path;
}

/* --- one target per format
 * ------------------------------------------------------------------------- */

static void write_again(const LpIoTree *tree) {
  LpIoTree *again;
  if (!lp_checkpoint_write(written_path(), tree)) {
    expect_error(); /* inert objects, tuples within themselves, two dtypes of one storage
                     */
    return;
  }
  if (!(again = lp_checkpoint_open(written_path(), false))) {
    if (lp_last_error()->code != LP_ERR_MEMORY) fail("what was written cannot be read");
    return;
  }
  look_at_tree(again);
  if (lp_io_tree_root(again)->kind != lp_io_tree_root(tree)->kind)
    fail("what was written reads as another kind of value");
  lp_io_tree_free(again);
}

/* What `lampad inspect` does: no bytes of tensors are read, and none are looked at here. */
static void try_describe(const char *path) {
  LpIoTree *tree = lp_checkpoint_describe(path);
  const LpIoValue *v;
  if (!tree) expect_error();
  for (size_t i = 0; tree && (v = lp_io_tree_value(tree, i)); i++)
    if (v->kind != LP_IO_TENSOR && v->kind != LP_IO_STORAGE) look_at_value(v);
  lp_io_tree_free(tree);
}

/* As torch.load does, whatever the format: from memory, then mapped. */
static void try_checkpoint(const uint8_t *data, size_t size) {
  LpIoTree *tree = lp_checkpoint_read(data, size);
  const bool is_zip = tree && strcmp(lp_io_tree_format(tree), "zip") == 0;
  if (!tree) {
    expect_error();
  } else {
    if (look_at_tree(tree)) write_again(tree);
    lp_io_tree_free(tree);
  }
  File file = open_file(data, size);
  LpIoTree *mapped = lp_checkpoint_open(file.path, true);
  if (mapped)
    look_at_tree(mapped);
  else
    expect_error();
  if (!mapped && is_zip && lp_last_error()->code != LP_ERR_MEMORY)
    fail("the mapped file is refused, the one in memory is not");
  lp_io_tree_free(mapped);
  try_describe(file.path);
  close(file.fd);
}

static LpTensor *bytes_of(const uint8_t *data, size_t size) {
  const int64_t count = (int64_t)size;
  LpTensor *t = lp_tensor_new((LpInts){(int64_t *)&count, 1}, LP_UINT8, lp_cpu());
  if (!t) fail("no memory for the input");
  if (size) memcpy(lp_data(t), data, size);
  return t;
}

static void save_safetensors(const LpSafetensors *s) {
  enum { MOST = 64 };
  LpNamedTensor named[MOST];
  LpTextPair pairs[MOST];
  const int64_t count = lp_safetensors_count(s), texts = lp_safetensors_metadata_count(s);
  uint8_t *bytes = NULL;
  size_t n, made = 0;
  if (count > MOST || texts > MOST) return;
  for (; made < (size_t)count; made++) {
    named[made].name = lp_safetensors_name(s, (int64_t)made);
    named[made].tensor = lp_safetensors_tensor(s, (int64_t)made);
    if (!named[made].tensor) break;
  }
  for (int64_t i = 0; i < texts; i++) pairs[i] = lp_safetensors_metadata(s, i);
  if (made == (size_t)count) {
    if (lp_safetensors_save(named, count, pairs, texts, &bytes, &n)) {
      LpTensor *copy = bytes_of(bytes, n);
      LpSafetensors *again = lp_safetensors_parse(copy);
      if (!again) fail("the safetensors written cannot be read");
      if (lp_safetensors_count(again) != count) fail("tensors were lost in writing");
      lp_safetensors_close(again);
      lp_tensor_release(copy);
      lp_bytes_free(bytes);
    } else {
      expect_error();
    }
  }
  while (made-- > 0) lp_tensor_release(named[made].tensor);
}

static void try_safetensors(const uint8_t *data, size_t size) {
  try_checkpoint(data, size);
  LpTensor *bytes = bytes_of(data, size);
  LpSafetensors *s = lp_safetensors_parse(bytes);
  lp_tensor_release(bytes);
  if (!s) {
    expect_error();
    return;
  }
  for (int64_t i = 0; i < lp_safetensors_count(s); i++) {
    const char *name = lp_safetensors_name(s, i);
    look_at_bytes(name, strlen(name));
    if (lp_safetensors_find(s, name) != i) fail("a tensor is not found by its name");
    LpTensor *t = lp_safetensors_tensor(s, i);
    if (t)
      look_at_tensor(t);
    else
      expect_error();
    lp_tensor_release(t);
  }
  save_safetensors(s);
  lp_safetensors_close(s);
}

static void try_npy(const uint8_t *data, size_t size) {
  try_checkpoint(data, size);
  uint8_t *saved = NULL;
  size_t n;
  LpTensor *bytes = bytes_of(data, size), *t = lp_npy_parse(bytes);
  lp_tensor_release(bytes);
  if (!t) {
    expect_error();
    return;
  }
  look_at_tensor(t);
  if (!lp_npy_save(t, &saved, &n)) {
    expect_error(); /* bfloat16 */
  } else {
    bytes = bytes_of(saved, n);
    LpTensor *again = lp_npy_parse(bytes);
    lp_tensor_release(bytes);
    if (!again || lp_numel(again) != lp_numel(t) || lp_dtype(again) != lp_dtype(t))
      fail("the npy written reads as something else");
    lp_tensor_release(again);
    lp_bytes_free(saved);
  }
  lp_tensor_release(t);
}

static void try_npz(const uint8_t *data, size_t size) {
  try_checkpoint(data, size);
  File file = open_file(data, size);
  LpNpz *npz = lp_npz_open(file.path);
  if (!npz) expect_error();
  for (int64_t i = 0; npz && i < lp_npz_count(npz); i++) {
    look_at_bytes(lp_npz_name(npz, i), strlen(lp_npz_name(npz, i)));
    LpTensor *t = lp_npz_tensor(npz, i);
    if (t)
      look_at_tensor(t);
    else
      expect_error();
    lp_tensor_release(t);
  }
  lp_npz_close(npz);
  close(file.fd);
}

static const struct {
  const char *name;
  void (*run)(const uint8_t *data, size_t size);
  Mutate *mutate;
} targets[] = {{"zip", try_checkpoint, mutate_zip},
               {"legacy", try_checkpoint, mutate_plain},
               {"tar", try_checkpoint, mutate_tar},
               {"safetensors", try_safetensors, mutate_safetensors},
               {"npy", try_npy, mutate_npy},
               {"npz", try_npz, mutate_npz}};
static size_t target;

static void remove_written(void) {
  unlink(written_path());
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  const char *name = getenv("FUZZ_FORMAT");
  const size_t count = sizeof targets / sizeof *targets;
  while (target < count && (!name || strcmp(name, targets[target].name) != 0)) target++;
  if (target == count) {
    fputs("FUZZ_FORMAT must be zip, legacy, tar, safetensors, npy or npz\n", stderr);
    exit(2);
  }
  lp_memory_set_limit(MEMORY_LIMIT);
  atexit(remove_written);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  LpMemoryStats stats;
  targets[target].run(data, size);
  lp_memory_stats(lp_cpu(), &stats);
  if (stats.live_bytes || stats.live_count) fail("memory did not come back");
  return 0;
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed) {
  return targets[target].mutate(data, size, max_size, seed);
}

/* --- what tensor/io and tensor/core want of the rest of the engine
 * -----------------------------------------------------------------------------------------
 */

void lp_autograd_free(struct LpAutograd *autograd) {
  fail("a gradient in a file");
}

void lp_storage_to_plain(LpStorage *s) {
  fail("a storage of a layout of ours in a file");
}
void lp_storage_forsake(LpStorage *s) {
  (void)s;
}

/* The elements one by one, in C order. */
LpTensor *lp_contiguous(LpTensor *t, LpMemoryFormat format) {
  LpTensor *copy = lp_tensor_new(lp_sizes(t), lp_dtype(t), lp_cpu());
  const size_t unit = lp_dtype_size(lp_dtype(t));
  int64_t index[LP_MAX_DIMS] = {0};
  for (int64_t i = 0; copy && i < lp_numel(t); i++) {
    int64_t at = 0;
    for (int d = 0; d < lp_ndim(t); d++) at += index[d] * lp_stride(t, d);
    memcpy((char *)lp_data(copy) + (size_t)i * unit,
           (char *)lp_data(t) + (size_t)at * unit, unit);
    for (int d = lp_ndim(t); d-- > 0 && ++index[d] == lp_size(t, d);) index[d] = 0;
  }
  return copy;
}

/* One thread: the input alone decides what happens. */
int omp_in_parallel(void);
int omp_get_num_threads(void);
int omp_get_thread_num(void);
int omp_get_num_procs(void);
void omp_set_num_threads(int n);
int omp_in_parallel(void) {
  return 1;
}
int omp_get_num_threads(void) {
  return 1;
}
int omp_get_thread_num(void) {
  return 0;
}
int omp_get_num_procs(void) {
  return 1;
}
void omp_set_num_threads(int n) {}
