/* Checkpoints from C: a tree is built, written, read back from the file, from memory and
 * from a mapping; faults are told. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "lampad/checkpoint.h"
#include "lampad/npy.h"
#include "lampad/safetensors.h"
#include "test.h"

static LpIoValue *text(LpIoTree *tree, const char *s) {
  return lp_io_text(tree, LP_IO_STRING, s, strlen(s));
}

/* {"x": a tensor of 0, 1, 2, "again": the same, "list": [7]} */
static LpIoTree *make_tree(void) {
  LpIoTree *tree = lp_io_tree_new();
  int64_t three = 3;
  LpTensor *t = lp_tensor_new((LpInts){&three, 1}, LP_FLOAT32, (LpDevice){LP_CPU, 0});
  for (int i = 0; i < 3; i++) ((float *)lp_data(t))[i] = (float)i;
  LpIoValue *x = lp_io_tensor(tree, t, 0), *dict = lp_io_new(tree, LP_IO_DICT);
  LpIoValue *list = lp_io_new(tree, LP_IO_LIST), *seven = lp_io_new(tree, LP_IO_INT);
  lp_tensor_release(t);
  seven->as.i = 7;
  EXPECT(lp_io_append(tree, list, seven));
  LpIoValue *items[] = {text(tree, "x"),    x,   text(tree, "again"), x,
                        text(tree, "list"), list};
  for (int i = 0; i < 6; i++) EXPECT(lp_io_append(tree, dict, items[i]));
  lp_io_tree_set_root(tree, dict);
  return tree;
}

static void check_tree(LpIoTree *tree) {
  EXPECT(tree != NULL);
  if (!tree) return;
  const LpIoValue *root = lp_io_tree_root(tree);
  EXPECT(root->kind == LP_IO_DICT && root->as.items.count == 6);
  LpIoValue **items = root->as.items.data;
  EXPECT(items[1]->kind == LP_IO_TENSOR && items[1] == items[3]);
  EXPECT(lp_numel(items[1]->as.tensor.tensor) == 3);
  EXPECT(((float *)lp_data(items[1]->as.tensor.tensor))[2] == 2);
  EXPECT(items[5]->as.items.data[0]->as.i == 7);
  EXPECT(strcmp(lp_io_tree_format(tree), "zip") == 0);
  lp_io_tree_free(tree);
}

TEST(checkpoint_round_trip) {
  char path[] = "/tmp/lampad-ctest-XXXXXX";
  static char bytes[1 << 16];
  const int fd = mkstemp(path);
  EXPECT(fd >= 0);
  close(fd);
  LpIoTree *tree = make_tree();
  EXPECT(lp_checkpoint_write(path, tree));
  lp_io_tree_free(tree);
  check_tree(lp_checkpoint_open(path, false));
  check_tree(lp_checkpoint_open(path, true));
  FILE *file = fopen(path, "rb");
  const size_t n = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  check_tree(lp_checkpoint_read(bytes, n));
  EXPECT_FAILS(lp_checkpoint_read(bytes, n / 2), LP_ERR_IO, "damaged");
  unlink(path);
  EXPECT_FAILS(lp_checkpoint_open(path, false), LP_ERR_IO, "cannot open");
}

TEST(checkpoint_describes) {
  char path[] = "/tmp/lampad-ctest-XXXXXX";
  close(mkstemp(path));
  LpIoTree *tree = make_tree();
  EXPECT(lp_io_tree_info(tree) == NULL);
  EXPECT(lp_checkpoint_write(path, tree));
  lp_io_tree_free(tree);
  tree = lp_checkpoint_describe(path);
  EXPECT(tree && lp_io_tree_info(tree));
  const LpIoValue *info = tree ? lp_io_tree_info(tree) : NULL;
  bool found = false;
  for (size_t i = 0; info && i < info->as.items.count; i += 2) {
    const LpIoValue *key = info->as.items.data[i], *value = info->as.items.data[i + 1];
    found |=
        key->as.text.size_bytes == 8 && memcmp(key->as.text.data, "producer", 8) == 0 &&
        value->as.text.size_bytes == 6 && memcmp(value->as.text.data, "Lampad", 6) == 0;
  }
  EXPECT(found);
  check_tree(tree);
  unlink(path);
  EXPECT_FAILS(lp_checkpoint_describe(path), LP_ERR_IO, "cannot open");
}

/* A safetensors file and an array of NumPy are trees too. */
TEST(checkpoint_reads_arrays) {
  char path[] = "/tmp/lampad-ctest-XXXXXX";
  close(mkstemp(path));
  int64_t three = 3;
  LpTensor *t = lp_tensor_new((LpInts){&three, 1}, LP_FLOAT32, (LpDevice){LP_CPU, 0});
  for (int i = 0; i < 3; i++) ((float *)lp_data(t))[i] = (float)i;
  const LpNamedTensor named = {"x", t};
  for (int kind = 0; kind < 3; kind++) {
    const char *formats[] = {"safetensors", "npz", "npy"};
    EXPECT(kind == 0   ? lp_safetensors_save_file(path, &named, 1, NULL, 0)
           : kind == 1 ? lp_npz_save_file(path, &named, 1, false)
                       : lp_npy_save_file(path, t));
    for (int how = 0; how < 3; how++) {
      LpIoTree *tree =
          how < 2 ? lp_checkpoint_open(path, how == 1) : lp_checkpoint_describe(path);
      EXPECT(tree != NULL);
      if (!tree) continue;
      EXPECT(strcmp(lp_io_tree_format(tree), formats[kind]) == 0);
      const LpIoValue *v = lp_io_tree_root(tree);
      EXPECT(v->kind == (kind < 2 ? LP_IO_ORDERED_DICT : LP_IO_TENSOR));
      if (kind < 2) v = v->as.items.data[1];
      LpTensor *x = lp_io_own_tensor(v), *again = lp_io_own_tensor(v);
      EXPECT(x != again && lp_data(x) == lp_data(again) && lp_numel(x) == 3);
      if (how < 2) EXPECT(((float *)lp_data(x))[2] == 2);
      lp_tensor_release(again);
      lp_io_tree_free(tree);
      EXPECT(lp_size(x, 0) == 3); /* it outlives the tree */
      lp_tensor_release(x);
    }
  }
  lp_tensor_release(t);
  unlink(path);
}

TEST(checkpoint_faults) {
  LpIoTree *tree = lp_io_tree_new();
  EXPECT_FAILS(lp_checkpoint_write("/tmp/x", tree), LP_ERR_ARGUMENT, "nothing to save");
  lp_io_tree_set_root(tree, lp_io_global(tree, "os", "system"));
  EXPECT_FAILS(lp_checkpoint_write("/tmp/x", tree), LP_ERR_ARGUMENT, "inert");
  EXPECT(lp_io_tree_value(tree, 99) == NULL);
  lp_io_tree_free(tree);
  lp_io_tree_free(NULL);
  EXPECT_FAILS(lp_checkpoint_read("", 0), LP_ERR_IO, "empty");
}
