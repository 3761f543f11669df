/* How long OpenMP's idle threads spin before they sleep. libgomp's own answer, milliseconds, makes every
 * op wait for the scheduler as soon as another process wants a core: measured four times slower beside
 * one busy neighbour, for nothing on a quiet machine. libgomp reads its settings while it is loaded, before
 * main, and has no call to change them: so the process sets them and starts itself once more (about
 * 2 ms). Hosts that load the library set GOMP_SPINCOUNT themselves (docs/performance.md). */
#include "threads.h"
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#define SPIN_COUNT "10000" /* 100 to 400 microseconds: longer than the gap between two ops */

void repl_shorten_spin(char **argv) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  char path[PATH_MAX];
  if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY")) return;
  const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
  if (n <= 0 || setenv("GOMP_SPINCOUNT", SPIN_COUNT, 1) != 0) return;
  path[n] = '\0';
  execv(path, argv);
#else
  (void)argv;
#endif
}
