/* Which of OpenBLAS's kernels are used. OpenBLAS knows processors by their model numbers,
 * and takes those of 2004 (SSE3) for a newer one that it has no entry for: products in
 * float64 are then five times slower than they need be. Where that happens, the kernels
 * for the instruction set that caps.c found are chosen instead. OPENBLAS_CORETYPE, set by
 * the user, decides as ever. */
#include <stdlib.h>
#include <string.h>
#include "cpu/caps.h"

/* Of OpenBLAS built with DYNAMIC_ARCH; other builds have one set of kernels. */
char *openblas_get_corename(void) __attribute__((weak));
void gotoblas_dynamic_init(void) __attribute__((weak));
void gotoblas_dynamic_quit(void) __attribute__((weak));

/* After caps.c's constructor, before anything calls OpenBLAS. */
__attribute__((constructor(102))) static void choose_blas_kernels(void) {
  if (!openblas_get_corename || !gotoblas_dynamic_init || !gotoblas_dynamic_quit) return;
  if (lp_cpu_capability < LP_CAPABILITY_AVX2 || getenv("OPENBLAS_CORETYPE")) return;
  const char *core = openblas_get_corename();
  if (!core || strcmp(core, "Prescott") != 0) return;
  const char *better = lp_cpu_capability == LP_CAPABILITY_AVX512 ? "SkylakeX" : "Haswell";
  if (setenv("OPENBLAS_CORETYPE", better, 1)) return;
  gotoblas_dynamic_quit();
  gotoblas_dynamic_init();
  unsetenv("OPENBLAS_CORETYPE"); /* child processes choose for themselves */
}
