/* What the library was built with and runs on; see lampad/storage.h. */
#include <cblas.h>
#include <dnnl.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include "cpu/caps.h"
#include "lampad/storage.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

static char text[1024];

static void write_text(void) {
  const dnnl_version_t *dnnl = dnnl_version();
  snprintf(text, sizeof text,
           "  - C compiler %s\n"
           "  - C version: %ld\n"
           "  - BLAS and LAPACK: %s\n"
           "  - oneDNN v%d.%d.%d\n"
           "  - OpenMP %d\n"
           "  - CPU capability usage: %s\n",
           __VERSION__, __STDC_VERSION__, openblas_get_config(), dnnl->major, dnnl->minor,
           dnnl->patch, _OPENMP, lp_cpu_capability_name());
}

const char *lp_build_info(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, write_text);
  return text;
}

bool lp_set_flush_denormal(bool on) {
#if defined(__x86_64__)
  const unsigned bits = 0x8040; /* flush to zero, and denormals are zero */
  _mm_setcsr(on ? _mm_getcsr() | bits : _mm_getcsr() & ~bits);
  return true;
#else
  return !on;
#endif
}
