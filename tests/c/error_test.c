/* The error record and the interrupt flag. */
#include <pthread.h>
#include "test.h"

TEST(error_fail_records_code_and_message) {
  EXPECT(!lp_fail(LP_ERR_INDEX, "index %d is out of range", 7));
  EXPECT(lp_last_error()->code == LP_ERR_INDEX);
  EXPECT(strcmp(lp_last_error()->message, "index 7 is out of range") == 0);
  lp_error_clear();
  EXPECT(lp_last_error()->code == LP_OK);
  EXPECT(lp_last_error()->message[0] == '\0');
}

TEST(error_prefix_stands_in_front) {
  lp_fail(LP_ERR_TYPE, "expected float32");
  EXPECT(!lp_fail_prefix("%s: ", "add"));
  EXPECT(strcmp(lp_last_error()->message, "add: expected float32") == 0);
  EXPECT(lp_last_error()->code == LP_ERR_TYPE);
}

TEST(error_message_may_hold_itself) {
  lp_fail(LP_ERR_IO, "inner");
  lp_fail(LP_ERR_IO, "outer (%s)", lp_last_error()->message);
  EXPECT(strcmp(lp_last_error()->message, "outer (inner)") == 0);
}

TEST(error_long_message_is_cut) {
  char text[4096];
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  lp_fail(LP_ERR_ARGUMENT, "%s", text);
  EXPECT(strlen(lp_last_error()->message) == sizeof lp_last_error()->message - 1);
  lp_fail_prefix("%s", text);
  EXPECT(strlen(lp_last_error()->message) == sizeof lp_last_error()->message - 1);
}

static void *fail_elsewhere(void *arg) {
  *(bool *)arg = lp_last_error()->code == LP_OK;
  lp_fail(LP_ERR_MEMORY, "other thread");
  return NULL;
}

TEST(error_is_per_thread) {
  bool clean = false;
  pthread_t thread;
  lp_fail(LP_ERR_DEVICE, "mine");
  EXPECT(pthread_create(&thread, NULL, fail_elsewhere, &clean) == 0);
  pthread_join(thread, NULL);
  EXPECT(clean);
  EXPECT(lp_last_error()->code == LP_ERR_DEVICE);
}

TEST(error_interrupt_is_taken_once) {
  EXPECT(!lp_interrupt_pending());
  lp_interrupt();
  EXPECT(lp_interrupt_pending());
  EXPECT(lp_interrupt_take());
  EXPECT(!lp_interrupt_pending());
  EXPECT(!lp_interrupt_take());
}
