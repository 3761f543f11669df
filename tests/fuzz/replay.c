/* Reads the files of the corpus by the fuzzer's target, without the fuzzer: FUZZ_FORMAT
 * in the environment names the format, the arguments are the files. What the target does
 * not like ends the process; the last line is "N passed, 0 failed". */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* For mutate.c, whose functions the target's table names; nothing is changed here. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size) {
  abort();
}

static void read_file(const char *path) {
  FILE *file = fopen(path, "rb");
  long size = -1;
  if (file && fseek(file, 0, SEEK_END) == 0) size = ftell(file);
  uint8_t *data = size < 0 ? NULL : malloc((size_t)size + 1);
  if (!data || fseek(file, 0, SEEK_SET) != 0 ||
      fread(data, 1, (size_t)size, file) != (size_t)size) {
    fprintf(stderr, "cannot read %s\n", path);
    exit(1);
  }
  fclose(file);
  fprintf(stderr, "%s\r", path); /* what a failure's last words are */
  LLVMFuzzerTestOneInput(data, (size_t)size);
  free(data);
}

int main(int argc, char **argv) {
  LLVMFuzzerInitialize(&argc, &argv);
  for (int i = 1; i < argc; i++) read_file(argv[i]);
  printf("%d passed, 0 failed\n", argc - 1);
  return argc > 1 ? 0 : 1;
}
