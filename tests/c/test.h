/* A small C test harness: TEST(name) { ... } registers itself; EXPECT reports and goes on. */
#ifndef LP_TEST_H
#define LP_TEST_H

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "lampad/tensor.h"

typedef struct LpTest {
  const char *name, *file;
  void (*run)(void);
  struct LpTest *next;
} LpTest;

void test_register(LpTest *test);
void test_failure(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Uniform in [-0.5, 0.5), the same numbers in each run. */
double test_random(void);

#define TEST(id)                                                              \
  static void test_##id(void);                                                \
  __attribute__((constructor)) static void register_##id(void) {              \
    static LpTest test = {#id, __FILE__, test_##id, NULL};                    \
    test_register(&test);                                                     \
  }                                                                           \
  static void test_##id(void)

#define EXPECT(cond)                                                          \
  do {                                                                        \
    if (!(cond)) test_failure(__FILE__, __LINE__, "%s", #cond);               \
  } while (0)
#define EXPECT_NEAR(a, b, tol)                                                \
  do {                                                                        \
    double a_ = (a), b_ = (b);                                                \
    if (!(fabs(a_ - b_) <= (tol)))                                            \
      test_failure(__FILE__, __LINE__, "%s = %.17g, expected %.17g", #a, a_, b_); \
  } while (0)
/* The call fails with this code and a message holding this text. */
#define EXPECT_FAILS(call, error_code, text)                                  \
  do {                                                                        \
    lp_error_clear();                                                         \
    if (call) test_failure(__FILE__, __LINE__, "%s did not fail", #call);     \
    else if (lp_last_error()->code != (error_code) ||                         \
             !strstr(lp_last_error()->message, text))                         \
      test_failure(__FILE__, __LINE__, "%s failed with code %d: %s", #call,   \
                   lp_last_error()->code, lp_last_error()->message);          \
  } while (0)

#endif
