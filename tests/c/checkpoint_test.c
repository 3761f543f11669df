/* Checkpoints from C: a tree is built, written, read back from the file, from memory and
 * from a mapping; faults are told. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "lampad/checkpoint.h"
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
