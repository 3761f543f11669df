/* Kernels of Fourier transforms; see Note [How a transform runs] in cpu/fft_plan.h. */
#include "cpu/simd/simd.h"

#include <string.h>
#include "cpu/fft_plan.h"

/* What the shuffles are made of: lane l of a result, as a lane of two operands side by
 * side. */
#define EVEN(l, h) (2 * (l))
#define ODD(l, h) (2 * (l) + 1)
#define ZIP_LOW(l, h) ((l) % 2 * LANES + (l) / 2)
#define ZIP_HIGH(l, h) ((l) % 2 * LANES + (l) / 2 + LANES / 2)
#define TURN_LOW(l, h) ((l) & (h) ? LANES + (l) - (h) : (l))
#define TURN_HIGH(l, h) ((l) & (h) ? LANES + (l) : (l) + (h))
#define REVERSED(l, h) (LANES - 1 - (l))
#define EACH2(f, l, h) f(l, h), f((l) + 1, h)
#define EACH4(f, l, h) EACH2(f, l, h), EACH2(f, (l) + 2, h)
#define EACH8(f, l, h) EACH4(f, l, h), EACH4(f, (l) + 4, h)
#define EACH16(f, l, h) EACH8(f, l, h), EACH8(f, (l) + 8, h)

#define MAX_LANES 16

#define T float
#define FN(name) name##_f32
#if defined(LP_CAP_avx512)
#define LANES 16
#define EACH(f, h) EACH16(f, 0, h)
#elif defined(LP_CAP_avx2)
#define LANES 8
#define EACH(f, h) EACH8(f, 0, h)
#else
#define LANES 4
#define EACH(f, h) EACH4(f, 0, h)
#endif
#include "cpu/simd/fft_template.h"
#undef T
#undef FN
#undef LANES
#undef EACH

#define T double
#define FN(name) name##_f64
#if defined(LP_CAP_avx512)
#define LANES 8
#define EACH(f, h) EACH8(f, 0, h)
#elif defined(LP_CAP_avx2)
#define LANES 4
#define EACH(f, h) EACH4(f, 0, h)
#else
#define LANES 2
#define EACH(f, h) EACH2(f, 0, h)
#endif
#include "cpu/simd/fft_template.h"

const LpFftKernels LP_SIMD(lp_fft_kernels) = {
    .of = {KERNEL_SET(f32, float), KERNEL_SET(f64, double)}};
