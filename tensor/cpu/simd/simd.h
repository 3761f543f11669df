/* Included first by every file under cpu/simd/, which is compiled once per capability with
 * LP_CAP = baseline, avx2 or avx512; see Note [Kernels by capability] in cpu/caps.h. */
#ifndef LP_CPU_SIMD_H
#define LP_CPU_SIMD_H

#include <stdbool.h>
#include <stdint.h>

#ifndef LP_CAP
#error "files under cpu/simd/ are compiled with -DLP_CAP=<capability>"
#endif

#define LP_SIMD_PASTE2(a, b) a##_##b
#define LP_SIMD_PASTE(a, b) LP_SIMD_PASTE2(a, b)
/* name -> name_avx512: the only form in which a simd file exports a symbol. */
#define LP_SIMD(name) LP_SIMD_PASTE(name, LP_CAP)

/* Bytes of a vector register, and lanes for an element type. */
#if defined(LP_CAP_avx512)
#define LP_VECTOR_BYTES 64
#elif defined(LP_CAP_avx2)
#define LP_VECTOR_BYTES 32
#else
#define LP_VECTOR_BYTES 16
#endif
#define LP_LANES(type) ((int)(LP_VECTOR_BYTES / sizeof(type)))

/* Before a loop whose iterations are independent (operands are equal or apart, never shifted). */
#define LP_IVDEP _Pragma("GCC ivdep")

#endif
