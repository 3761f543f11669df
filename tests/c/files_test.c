/* Files from C: the writer, safetensors, .npy and .npz. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/tensor.h"
#include "io/write.h"
#include "lampad/memory.h"
#include "lampad/npy.h"
#include "lampad/safetensors.h"
#include "test.h"

static char folder[64], path[128];

/* A name in a new folder. */
static void begin(const char *name) {
  strcpy(folder, "/tmp/lampad-files-XXXXXX");
  EXPECT(mkdtemp(folder) != NULL);
  snprintf(path, sizeof path, "%s/%s", folder, name);
}
/* Nothing but that file was left behind. */
static void end(void) {
  unlink(path);
  EXPECT(rmdir(folder) == 0);
}

static LpTensor *row(int64_t count, LpDtype dtype) {
  LpTensor *t = lp_tensor_new(lp_ints(&count, 1), dtype, lp_cpu());
  for (int64_t i = 0; t && i < count; i++)
    lp_scalar_store(lp_scalar_int(i), dtype,
                    (char *)lp_data(t) + i * (int64_t)lp_dtype_size(dtype));
  return t;
}

static bool same_bytes(const LpTensor *a, const LpTensor *b) {
  return a && b && lp_dtype(a) == lp_dtype(b) && lp_numel(a) == lp_numel(b) &&
         memcmp(lp_data(a), lp_data(b),
                (size_t)lp_numel(a) * lp_dtype_size(lp_dtype(a))) == 0;
}

static size_t size_of(const char *name) {
  struct stat info;
  return stat(name, &info) == 0 ? (size_t)info.st_size : 0;
}

TEST(file_writer) {
  begin("file");
  LpWriter w;
  EXPECT(lp_writer_open(&w, path));
  char block[1000] = {0};
  for (int i = 0; i < 200; i++) EXPECT(lp_writer_put(&w, block, sizeof block));
  EXPECT(w.total_bytes == 200000);
  EXPECT(size_of(path) == 0); /* not there before it is whole */
  EXPECT(lp_writer_finish(&w));
  EXPECT(size_of(path) == 200000);

  EXPECT(lp_writer_open(&w, path));
  EXPECT(lp_writer_put(&w, block, 10));
  lp_writer_abort(&w);
  lp_writer_abort(&w);
  EXPECT(size_of(path) == 200000);

  EXPECT(lp_writer_open(&w, path));
  lp_interrupt();
  bool ok = true;
  for (int i = 0; ok && i < 100; i++) ok = lp_writer_put(&w, block, sizeof block);
  EXPECT(!ok && lp_last_error()->code == LP_ERR_INTERRUPT);
  EXPECT(size_of(path) == 200000);

  uint8_t *data;
  size_t size;
  lp_writer_open_memory(&w);
  for (int i = 0; i < 100; i++) EXPECT(lp_writer_put(&w, &i, 1));
  EXPECT(lp_writer_take(&w, &data, &size));
  EXPECT(size == 100 && data[99] == 99);
  lp_bytes_free(data);
  EXPECT_FAILS(lp_writer_open(&w, ""), LP_ERR_IO, "path is empty");
  EXPECT_FAILS(lp_writer_open(&w, folder), LP_ERR_IO, "Is a directory");
  end();
}

TEST(file_safetensors) {
  begin("x.safetensors");
  LpTensor *a = row(5, LP_INT32), *b = row(3, LP_FLOAT64);
  const LpNamedTensor tensors[] = {{"a", a}, {"b", b}};
  const LpTextPair texts[] = {{"format", "pt"}};
  EXPECT(lp_safetensors_save_file(path, tensors, 2, texts, 1));
  LpSafetensors *s = lp_safetensors_open(path, true);
  EXPECT(s && lp_safetensors_count(s) == 2 && lp_safetensors_find(s, "a") == 1);
  EXPECT(lp_safetensors_find(s, "c") == -1 &&
         lp_safetensors_find(s, "__metadata__") == -1);
  EXPECT(strcmp(lp_safetensors_name(s, 0), "b") == 0 &&
         strcmp(lp_safetensors_type(s, 0), "F64") == 0);
  EXPECT(lp_safetensors_dtype(s, 1) == LP_INT32 && lp_safetensors_bytes(s, 1) == 20);
  EXPECT(lp_safetensors_sizes(s, 1).data[0] == 5);
  EXPECT(strcmp(lp_safetensors_metadata(s, 0).value, "pt") == 0);
  LpTensor *a2 = lp_safetensors_tensor(s, 1), *b2 = lp_safetensors_tensor(s, 0);
  lp_safetensors_close(s);
  EXPECT(same_bytes(a, a2) && same_bytes(b, b2)); /* they outlive the file */
  lp_tensor_release(a2);
  lp_tensor_release(b2);

  /* Over memory that a tensor holds, without copying. */
  uint8_t *data;
  size_t size;
  EXPECT(lp_safetensors_save(tensors, 2, texts, 1, &data, &size));
  EXPECT(size == size_of(path) && lp_safetensors_recognise(data, 16, size));
  const int64_t count = (int64_t)size;
  LpTensor *bytes = lp_tensor_new(lp_ints(&count, 1), LP_UINT8, lp_cpu());
  memcpy(lp_data(bytes), data, size);
  lp_bytes_free(data);
  EXPECT((s = lp_safetensors_parse(bytes)) != NULL);
  b2 = lp_safetensors_tensor(s, 0);
  EXPECT((char *)lp_data(b2) > (char *)lp_data(bytes) &&
         (char *)lp_data(b2) < (char *)lp_data(bytes) + size);
  lp_tensor_release(bytes);
  lp_safetensors_close(s);
  EXPECT(same_bytes(b, b2));
  lp_tensor_release(b2);

  const LpNamedTensor twice[] = {{"a", a}, {"a", b}};
  EXPECT_FAILS(lp_safetensors_save_file(path, twice, 2, NULL, 0), LP_ERR_ARGUMENT,
               "two tensors are named 'a'");
  EXPECT(size_of(path) == size);
  lp_tensor_release(a);
  lp_tensor_release(b);
  end();
}

TEST(file_npy) {
  begin("x.npz");
  LpTensor *a = row(5, LP_INT32), *b = row(3, LP_COMPLEX64);
  const LpNamedTensor tensors[] = {{"a", a}, {"b", b}};
  for (int compress = 0; compress < 2; compress++) {
    EXPECT(lp_npz_save_file(path, tensors, 2, compress));
    LpNpz *npz = lp_npz_open(path);
    EXPECT(npz && lp_npz_count(npz) == 2 && strcmp(lp_npz_name(npz, 1), "b") == 0);
    LpTensor *a2 = lp_npz_tensor(npz, 0), *b2 = lp_npz_tensor(npz, 1);
    EXPECT(same_bytes(a, a2) && same_bytes(b, b2));
    lp_npz_close(npz);
    lp_tensor_release(a2);
    lp_tensor_release(b2);
  }
  const LpNamedTensor twice[] = {{"a", a}, {"a", b}};
  EXPECT_FAILS(lp_npz_save_file(path, twice, 2, false), LP_ERR_ARGUMENT,
               "two arrays are named 'a'");
  EXPECT(lp_npy_save_file(path, a));
  for (int use_mmap = 0; use_mmap < 2; use_mmap++) {
    LpTensor *a2 = lp_npy_load(path, use_mmap);
    EXPECT(same_bytes(a, a2));
    lp_tensor_release(a2);
  }
  uint8_t *data;
  size_t size;
  EXPECT(lp_npy_save(b, &data, &size));
  EXPECT(lp_npy_recognise(data, size) && size == 128 + 24);
  lp_bytes_free(data);
  EXPECT_FAILS(lp_npz_open(path), LP_ERR_IO, "no zip archive");
  lp_tensor_release(a);
  lp_tensor_release(b);
  end();
}
