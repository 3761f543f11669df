/* The choice of instruction set; see caps.h. */
#include "cpu/caps.h"

#include <stdlib.h>
#include <string.h>

LpCapability lp_cpu_capability = LP_CAPABILITY_BASELINE;
bool lp_cpu_allows_tiles;

static LpCapability detect(void) {
#ifdef LP_HAVE_X86_CAPS
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
              __builtin_cpu_supports("f16c");
  bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return avx512 ? LP_CAPABILITY_AVX512
         : avx2 ? LP_CAPABILITY_AVX2
                : LP_CAPABILITY_BASELINE;
#else
  return LP_CAPABILITY_BASELINE;
#endif
}

/* Runs before main and before any other constructor could call a kernel. */
__attribute__((constructor(101))) static void choose_capability(void) {
  static const char *const names[] = {"baseline", "avx2", "avx512"};
  LpCapability best = detect();
  const char *wanted = getenv("LAMPAD_CPU_CAPABILITY");
  lp_cpu_allows_tiles = best == LP_CAPABILITY_AVX512;
  for (int i = 0; wanted && i <= (int)best; i++) {
    if (strcmp(wanted, names[i]) != 0) continue;
    best = (LpCapability)i;
    lp_cpu_allows_tiles = false;
  }
  lp_cpu_capability = best;
}

bool lp_cpu_multiplies_bf16(void) {
#ifdef LP_HAVE_X86_CAPS
  return lp_cpu_capability == LP_CAPABILITY_AVX512 &&
         __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

const char *lp_cpu_capability_name(void) {
  static const char *const names[] = {"baseline", "avx2", "avx512"};
  return names[lp_cpu_capability];
}
