/* What the ops fft_c2c, fft_r2c and fft_c2r mean by their argument `normalization`. */
#ifndef LP_DISPATCH_FFT_H
#define LP_DISPATCH_FFT_H

enum {
  LP_FFT_BY_NOTHING,
  LP_FFT_BY_ROOT, /* 1 / sqrt(n), n the number of elements of one transform */
  LP_FFT_BY_COUNT /* 1 / n */
};

#endif
