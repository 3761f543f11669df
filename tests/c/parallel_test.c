/* The range splitter: every element once, whatever the size, the grain and the nesting.
 */
#include "core/parallel.h"
#include <stdlib.h>
#include "test.h"

static void count(void *ctx, int64_t begin, int64_t end) {
  unsigned char *seen = ctx;
  for (int64_t i = begin; i < end; i++) seen[i]++;
}

static void nested(void *ctx, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++)
    lp_parallel_for(100, 1, count, (char *)ctx + i * 100);
}

static bool all_once(const unsigned char *seen, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if (seen[i] != 1) return false;
  return true;
}

TEST(parallel_covers_every_element_once) {
  const int64_t sizes[] = {0, 1, 2, 3, 127, 128, 129, 1023, 1024, 5000, 100003};
  const int64_t grains[] = {1, 7, 1000, 1 << 20};
  int threads = lp_num_threads();
  for (int t = 1; t <= 5; t += 2) {
    lp_set_num_threads(t);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
      for (size_t k = 0; k < sizeof grains / sizeof *grains; k++) {
        unsigned char *seen = calloc((size_t)sizes[i] + 1, 1);
        lp_parallel_for(sizes[i], grains[k], count, seen);
        EXPECT(all_once(seen, sizes[i]));
        free(seen);
      }
  }
  lp_set_num_threads(threads);
  EXPECT(lp_num_threads() == threads && threads >= 1);
}

TEST(parallel_nests) {
  unsigned char *seen = calloc(1000, 1);
  lp_parallel_for(10, 1, nested, seen);
  EXPECT(all_once(seen, 1000));
  free(seen);
}
