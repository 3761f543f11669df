/* What a worker thread has for itself where other threads share: its default generator,
 * how many threads its ops use, and the flag that stops them. A host sets one up for a
 * thread of its own; the engine only reads it. */
#ifndef LP_CORE_THREAD_H
#define LP_CORE_THREAD_H

#include <stdatomic.h>
#include "lampad/base.h"

typedef struct LpThread {
  LpGenerator *generator;  /* what lp_default_generator gives on this thread; NULL: everybody's */
  _Atomic int n_threads;   /* as lp_set_num_threads, of this thread alone; 0: everybody's */
  const atomic_bool *stop; /* lp_interrupt_pending on this thread: this flag and not everybody's */
  /* The host's own, here because a library that is opened late has little thread-local storage. */
  void *host;
  const void *host_type;
  int host_type_ref;
} LpThread;

/* Borrowed until the thread ends or lp_thread_leave. */
LP_API void lp_thread_enter(LpThread *own);
LP_API void lp_thread_leave(void);

/* NULL on threads that share everything. */
extern LP_API _Thread_local LpThread *lp_tls_thread
    __attribute__((tls_model("initial-exec")));

/* Exchanges the states of two generators. */
LP_API void lp_generator_swap(LpGenerator *a, LpGenerator *b);

#endif
