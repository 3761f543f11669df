/* The calling thread's own settings (core/thread.h). */
#include "core/thread.h"
#include <stddef.h>

_Thread_local LpThread *lp_tls_thread __attribute__((tls_model("initial-exec")));

void lp_thread_enter(LpThread *own) {
  lp_tls_thread = own;
}
void lp_thread_leave(void) {
  lp_tls_thread = NULL;
}
