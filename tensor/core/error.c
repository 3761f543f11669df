/* The calling thread's error record and the interrupt flag (lampad/base.h).
 * Includes nothing but the base header: everything else in the engine reports through here. */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "lampad/base.h"

static _Thread_local LpError last_error;
static atomic_bool interrupted;

const LpError *lp_last_error(void) { return &last_error; }

void lp_error_clear(void) {
  last_error.code = LP_OK;
  last_error.message[0] = '\0';
}

/* The text is formatted aside first: an argument may point into the record itself. */
bool lp_fail(LpErrorCode code, const char *format, ...) {
  char text[sizeof last_error.message];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  last_error.code = code;
  memcpy(last_error.message, text, strlen(text) + 1);
  return false;
}

bool lp_fail_prefix(const char *format, ...) {
  char text[sizeof last_error.message];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  size_t used = strlen(text);
  snprintf(text + used, sizeof text - used, "%s", last_error.message);
  memcpy(last_error.message, text, strlen(text) + 1);
  return false;
}

void lp_interrupt(void) { atomic_store_explicit(&interrupted, true, memory_order_relaxed); }

bool lp_interrupt_pending(void) { return atomic_load_explicit(&interrupted, memory_order_relaxed); }

bool lp_interrupt_take(void) { return atomic_exchange(&interrupted, false); }
