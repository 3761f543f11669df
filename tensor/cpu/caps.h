/* Which instruction set the kernels use: chosen once, when the library is loaded, from
 * what the processor and the system support; LAMPAD_CPU_CAPABILITY=baseline|avx2|avx512
 * lowers it (avx512: no tile unit, AMX).
 *
 * Note [Kernels by capability]: a file under a cpu/simd/ folder is compiled once per
 * capability. It exports one constant table of its loops, whose name carries the
 * capability:
 *
 *     const LpFooKernels LP_SIMD(lp_foo_kernels) = {.sum = sum_loop, ...};
 * (cpu/simd/foo.c)
 *
 * and the file that calls the kernels picks the table of this machine:
 *
 *     LP_DISPATCH(LpFooKernels, lp_foo_kernels) (cpu/foo.c)
 *     ... lp_foo_kernels()->sum(...);
 *
 * Everything else in a simd file is static, so that no symbol exists twice. Owned by
 * caps.c. */
#ifndef LP_CPU_CAPS_H
#define LP_CPU_CAPS_H

#include <stdbool.h>

typedef enum LpCapability {
  LP_CAPABILITY_BASELINE =
      0,               /* what every machine of the architecture has (SSE2 on x86-64) */
  LP_CAPABILITY_AVX2,  /* AVX2, FMA, F16C */
  LP_CAPABILITY_AVX512 /* AVX-512 F, BW, VL, DQ */
} LpCapability;

/* Set before main() by caps.c; read only. */
extern LpCapability lp_cpu_capability;
extern bool lp_cpu_allows_tiles; /* where there are some */

/* Are the kernels of AVX-512, and has the processor products of bfloat16 (AVX512_BF16)? */
bool lp_cpu_multiplies_bf16(void);

/* "baseline", "avx2" or "avx512": torch.backends.cpu.get_cpu_capability. */
const char *lp_cpu_capability_name(void);

/* Defines `static inline const type *name(void)`, the table `name_<capability>` of this
 * machine. */
#ifdef LP_HAVE_X86_CAPS
#define LP_DISPATCH(type, name)                                                          \
  extern const type name##_baseline, name##_avx2, name##_avx512;                         \
  static inline const type *name(void) {                                                 \
    return lp_cpu_capability == LP_CAPABILITY_AVX512 ? &name##_avx512                    \
           : lp_cpu_capability == LP_CAPABILITY_AVX2 ? &name##_avx2                      \
                                                     : &name##_baseline;                 \
  }
#else
#define LP_DISPATCH(type, name)                                                          \
  extern const type name##_baseline;                                                     \
  static inline const type *name(void) {                                                 \
    return &name##_baseline;                                                             \
  }
#endif

#endif
