/* Discrete Fourier transforms along one dim of strided memory, float and double: any
 * length, many transforms at once, over the thread pool. Knows nothing of tensors; the
 * checks stand in dispatch/fft.c. Owned by fft.c. */
#ifndef LP_CPU_FFT_H
#define LP_CPU_FFT_H

#include "lampad/base.h"

typedef enum LpFftKind {
  LP_FFT_C2C,      /* n complex -> n complex */
  LP_FFT_R2C,      /* n real -> n/2 + 1 complex */
  LP_FFT_R2C_FULL, /* n real -> n complex, the second half by symmetry */
  LP_FFT_C2R /* n/2 + 1 complex -> n real; imaginary parts that must be 0 are not looked
                at */
} LpFftKind;

/* X[k] = scale * sum over j of x[j] exp(-+ 2 pi i j k / n); minus when `forward`. Steps
 * and strides count real scalars, also between complex elements, whose parts lie side by
 * side. in and out may be the same memory of the same geometry, or apart. */
typedef struct LpFftJob {
  LpFftKind kind;
  bool is_double, forward;
  double scale;
  int64_t n; /* at least 1 */
  const void *in;
  void *out;
  int64_t in_step, out_step; /* between neighbours in a transform */
  int ndim; /* of the batch; the last dim should have the smallest stride */
  int64_t sizes[LP_MAX_DIMS], in_strides[LP_MAX_DIMS], out_strides[LP_MAX_DIMS];
  int64_t count; /* product of sizes */
} LpFftJob;

/* False with the error recorded: out of memory or an interrupt. */
bool lp_fft_run(const LpFftJob *job);

#endif
