/* How long OpenMP's idle threads spin before they sleep. libgomp's own answer,
 * milliseconds, makes every op wait for the scheduler as soon as another process wants a
 * core: measured four times slower beside one busy neighbour, for nothing on a quiet
 * machine. libgomp reads its settings while it is loaded, before main, and has no call to
 * change them: so the process sets them and starts itself once more (about 2 ms). Hosts
 * that load the library set GOMP_SPINCOUNT themselves (docs/performance.md). */
#define _GNU_SOURCE /* sched_setaffinity */
#include "threads.h"
#include <limits.h>
#include <omp.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/* 100 to 400 microseconds: longer than the gap between two ops. */
#define SPIN_COUNT "10000"

/* Where the user binds threads to processors (OMP_PROC_BIND, GOMP_CPU_AFFINITY), libgomp
 * has bound this one already, to the first place. The process that starts anew would
 * inherit that processor as all there are, and run every thread on it: give it back those
 * of all places. */
static void unbind_thread(void) {
  if (omp_get_proc_bind() == omp_proc_bind_false) return;
  cpu_set_t processors;
  CPU_ZERO(&processors);
  for (int place = 0; place < omp_get_num_places(); place++) {
    const int n = omp_get_place_num_procs(place);
    int *ids = malloc((size_t)(n > 0 ? n : 1) * sizeof *ids);
    if (!ids) return;
    omp_get_place_proc_ids(place, ids);
    for (int i = 0; i < n; i++) {
      if (ids[i] < CPU_SETSIZE) CPU_SET(ids[i], &processors);
    }
    free(ids);
  }
  sched_setaffinity(0, sizeof processors,
                    &processors); /* an empty set is refused: nothing changes */
}

void repl_shorten_spin(char **argv) {
  char path[PATH_MAX];
  if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY")) return;
  const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
  if (n <= 0 || setenv("GOMP_SPINCOUNT", SPIN_COUNT, 1) != 0) return;
  path[n] = '\0';
  unbind_thread();
  execv(path, argv);
}
#else
void repl_shorten_spin(char **argv) {
  (void)argv;
}
#endif
