/* The calling thread's error record and the interrupt flag (lampad/base.h).
 * Includes nothing but the base header: everything else in the engine reports through
 * here. */
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/thread.h"
#include "lampad/base.h"

/* Note [Small thread-local storage]: a library opened at run time (require "lampad" from
 * a host program) gets its thread-local variables from a small reserve of the loader's.
 * So the record itself is on the heap, made when a thread first fails, and freed at the
 * thread's end. */
static _Thread_local LpError *last_error;
static pthread_key_t record_key;
static pthread_once_t record_once = PTHREAD_ONCE_INIT;
static bool have_key;
static atomic_bool interrupted;

static const LpError no_error;
static LpError no_memory = {LP_ERR_MEMORY,
                            "out of memory, even for the message of an error"};

static void free_record(void *record) {
  last_error = NULL;
  if (record != &no_memory) free(record);
}

static void make_key(void) {
  have_key = pthread_key_create(&record_key, free_record) == 0;
}

/* The thread's record, or NULL when there is no memory for one. */
static LpError *own_record(void) {
  if (last_error && last_error != &no_memory) return last_error;
  pthread_once(&record_once, make_key);
  LpError *record = have_key ? calloc(1, sizeof *record) : NULL;
  if (record && pthread_setspecific(record_key, record) != 0) {
    free(record);
    record = NULL;
  }
  last_error = record ? record : &no_memory;
  return record;
}

const LpError *lp_last_error(void) {
  return last_error ? last_error : &no_error;
}

void lp_error_clear(void) {
  if (last_error == &no_memory) last_error = NULL;
  if (!last_error) return;
  last_error->code = LP_OK;
  last_error->message[0] = '\0';
}

/* The text is formatted aside first: an argument may point into the record itself. */
bool lp_fail(LpErrorCode code, const char *format, ...) {
  char text[sizeof no_error.message];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  LpError *record = own_record();
  if (!record) return false;
  record->code = code;
  memcpy(record->message, text, strlen(text) + 1);
  return false;
}

bool lp_fail_prefix(const char *format, ...) {
  char text[sizeof no_error.message];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  LpError *record = own_record();
  if (!record) return false;
  size_t used = strlen(text);
  snprintf(text + used, sizeof text - used, "%s", record->message);
  memcpy(record->message, text, strlen(text) + 1);
  return false;
}

void lp_interrupt(void) {
  atomic_store_explicit(&interrupted, true, memory_order_relaxed);
}

bool lp_interrupt_pending(void) {
  if (lp_tls_thread && lp_tls_thread->stop)
    return atomic_load_explicit(lp_tls_thread->stop, memory_order_relaxed);
  return atomic_load_explicit(&interrupted, memory_order_relaxed);
}

/* A thread that was told to stop stays stopped. */
bool lp_interrupt_take(void) {
  if (lp_tls_thread && lp_tls_thread->stop) return atomic_load(lp_tls_thread->stop);
  return atomic_exchange(&interrupted, false);
}
