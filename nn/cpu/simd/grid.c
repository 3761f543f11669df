/* Grid sampling loops; see cpu/grid.h. */
#include <math.h>
#include <string.h>
#include "cpu/simd/simd.h"
#include "cpu/grid.h"
#if defined(LP_CAP_avx512) || defined(LP_CAP_avx2)
#include <immintrin.h>
#endif

#define BLOCK 32    /* positions whose taps are made at once */
#define MAX_TAPS 64 /* 4 x 4 x 4 */
#define COLUMNS 64  /* channels of a pixel at a time */

/* Of a number's own type, so that loops of them become vectors. */
#define FLOOR(v) (sizeof(v) == sizeof(float) ? floorf((float)(v)) : floor((double)(v)))
#define ROUND_EVEN(v)                                                                    \
  (sizeof(v) == sizeof(float) ? nearbyintf((float)(v)) : nearbyint((double)(v)))

/* to[j] = from[index[j]] where inside[j] has all bits, else 0: the compiler makes no
 * gathers of such a loop. */
#define LOOK_UP(to, from, index, inside)                                                 \
  _Generic((to), float * : look_up_f32, double * : look_up_f64)(to, from, index, inside)
static inline void look_up_f32(float *to, const float *from, const int32_t *index,
                               const int32_t *inside) {
#if defined(LP_CAP_avx512)
  for (int j = 0; j < BLOCK; j += 16) {
    const __m512i here = _mm512_loadu_si512(inside + j);
    _mm512_storeu_ps(to + j, _mm512_mask_i32gather_ps(
                                 _mm512_setzero_ps(), _mm512_test_epi32_mask(here, here),
                                 _mm512_loadu_si512(index + j), from, sizeof *from));
  }
#elif defined(LP_CAP_avx2)
  for (int j = 0; j < BLOCK; j += 8)
    _mm256_storeu_ps(
        to + j,
        _mm256_mask_i32gather_ps(
            _mm256_setzero_ps(), from, _mm256_loadu_si256((const void *)(index + j)),
            _mm256_castsi256_ps(_mm256_loadu_si256((const void *)(inside + j))),
            sizeof *from));
#else
  for (int j = 0; j < BLOCK; j++) to[j] = inside[j] ? from[index[j]] : 0;
#endif
}
static inline void look_up_f64(double *to, const double *from, const int32_t *index,
                               const int32_t *inside) {
#if defined(LP_CAP_avx512)
  for (int j = 0; j < BLOCK; j += 8) {
    const __m256i here = _mm256_loadu_si256((const void *)(inside + j));
    _mm512_storeu_pd(to + j, _mm512_mask_i32gather_pd(
                                 _mm512_setzero_pd(), _mm256_test_epi32_mask(here, here),
                                 _mm256_loadu_si256((const void *)(index + j)), from,
                                 sizeof *from));
  }
#else
  for (int j = 0; j < BLOCK; j++) to[j] = inside[j] ? from[index[j]] : 0;
#endif
}

#define BODY "cpu/simd/grid_body.h"
#include "cpu/simd/nn_each.h"

const LpGridKernels LP_SIMD(lp_grid_kernels) = {
    .sample = EACH_TYPE(sample),
    .grid_grad = EACH_TYPE(grid_grad),
    .input_grad = EACH_TYPE(input_grad),
    .sample_last = EACH_TYPE(sample_last),
    .grid_grad_last = EACH_TYPE(grid_grad_last),
    .input_grad_last = EACH_TYPE(input_grad_last),
    .weights = EACH_TYPE(weights),
    .indices = EACH_TYPE(indices),
};
