/* Runs every registered C test, or those whose name contains argv[1]; last line "N passed, N failed". */
#include <stdarg.h>
#include <stdlib.h>
#include "test.h"

static LpTest *tests;
static const char *current;
static int current_failures;

/* A path's last part: how a compiler was given the path must not change the order. */
static const char *name_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

void test_register(LpTest *test) {
  LpTest **at = &tests;
  while (*at && strcmp(name_of((*at)->file), name_of(test->file)) <= 0) at = &(*at)->next;
  test->next = *at;
  *at = test;
}

void test_failure(const char *file, int line, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "%s:%d: %s: ", file, line, current);
  vfprintf(stderr, format, args);
  fprintf(stderr, "\n");
  va_end(args);
  current_failures++;
}

double test_random(void) {
  static uint64_t state = 88172645463325252u;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (double)(state >> 11) / 9007199254740992.0 - 0.5;
}

int main(int argc, char **argv) {
  int passed = 0, failed = 0;
  for (LpTest *t = tests; t; t = t->next) {
    if (argc > 1 && !strstr(t->name, argv[1])) continue;
    current = t->name;
    current_failures = 0;
    t->run();
    if (current_failures) failed++;
    else passed++;
  }
  printf("%d passed, %d failed\n", passed, failed);
  fflush(stdout); /* a leak report ends the process before its buffers are written */
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
