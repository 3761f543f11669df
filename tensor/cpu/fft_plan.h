/* Plans of Fourier transforms: factors and tables for one length and precision. Made on
 * demand and kept in a small cache, shared by threads, read only. Owned by fft_plan.c;
 * used by fft.c and the kernels in cpu/simd/fft.c.
 *
 * Note [How a transform runs]: the kernels work on cells, a vector of real parts and a
 * vector of imaginary parts, so that every butterfly is plain vector arithmetic:
 * LpFftLanes is a mixed-radix self-sorting (Stockham) transform of as many independent
 * sequences as the vector has lanes. Two ways lead there.
 *  - Batches: each lane is one transform of the batch (`group` in cpu/simd/fft.c). Best
 * for short lengths, and for dims whose neighbouring transforms lie side by side in
 * memory.
 *  - Split: one long transform of length n1 * n2 is n2 transforms of length n1 over
 * columns, a multiplication by roots of unity, and n1 transforms of length n2 (`columns`,
 * `rows`). All passes of a short transform stay in the first-level cache. Lengths with a
 * prime factor above LP_FFT_MAX_PRIME become a convolution of a longer, smooth length
 * (Bluestein, "A linear filtering approach to the computation of the discrete Fourier
 * transform", 1970). A real sequence of even length n is a complex one of length n / 2
 * and one more pass. */
#ifndef LP_CPU_FFT_PLAN_H
#define LP_CPU_FFT_PLAN_H

#include "cpu/fft.h"

#define LP_FFT_MAX_PASSES 48
/* Larger prime factors cost more as a direct sum than the detour over a convolution. */
#define LP_FFT_MAX_PRIME 61
/* Batches over lanes of longer sequences would not fit the caches: split ones have no
 * `direct`. */
#define LP_FFT_MAX_DIRECT 16384

/* One pass: m * s butterflies of `radix` cells. Tables hold the plan's precision. */
typedef struct LpFftPass {
  int64_t radix, m, s;
  const void *twiddles; /* m rows of radix - 1 complex numbers */
  const void
      *roots; /* odd radix: cos and sin of 2 pi j k / radix, j and k to radix / 2 */
} LpFftPass;

typedef struct LpFftLanes {
  int64_t n; /* 0: none */
  int n_passes;
  LpFftPass passes[LP_FFT_MAX_PASSES];
} LpFftLanes;

typedef struct LpFftPlan {
  int64_t n;
  bool is_double;
  int lanes;         /* of the vectors of this machine */
  LpFftLanes direct; /* n itself, where of use */
  /* Split: n = n1 * n2; n1 = 0: none. */
  int64_t n1, n2;
  LpFftLanes first, second;
  /* exp(-2 pi i k c / n) for column c = block * lanes + lane as a product of two: n1
   * cells for the lanes, and for each block n1 numbers. */
  const void *split_within, *split_across;
  /* Bluestein. */
  struct LpFftPlan *inner; /* NULL: none */
  const void *chirp;       /* exp(-i pi k k / n), k to n - 1 */
  const void *filter;      /* spectrum of the conjugate chirp, over inner->n */
  /* Real sequences. */
  struct LpFftPlan *half; /* complex: n / 2, or n where it is odd; NULL: not real */
  const void *real;       /* even n: exp(-2 pi i k / n), k to n / 4 */
  /* Memory and cache. */
  struct LpFftBlock *blocks;
  size_t size_bytes;
  bool is_real;
  _Atomic int refcount;
  uint64_t used; /* the cache's clock */
} LpFftPlan;

/* A plan for n, to be released; is_real: for real sequences. NULL: out of memory,
 * recorded. */
LpFftPlan *lp_fft_plan(int64_t n, bool is_double, bool is_real);
void lp_fft_plan_release(LpFftPlan *plan);

/* --- kernels (cpu/simd/fft.c) ------------------------------------------------------- */

typedef struct LpFftKernelSet {
  int lanes;
  /* Transforms first .. first + count - 1 of the job (count <= lanes). plan is the
   * complex one, of n / 2 for real sequences of even n; work: 2 * (n + 1) cells. */
  void (*group)(const LpFftJob *job, const LpFftPlan *plan, const void *real,
                int64_t first, int count, void *work);
  /* Blocks begin .. end - 1 of the split's first half: from n contiguous complex numbers
   * to tmp, ceil(n1 / lanes) * n2 cells; work: 2 * n1 cells. swap: imaginary and real
   * parts change places, which at both ends makes an inverse transform of a forward one.
   */
  void (*columns)(const LpFftPlan *plan, const void *in, bool swap, void *tmp,
                  int64_t begin, int64_t end, void *work);
  /* Blocks of the second half: from tmp, which it overwrites, to n contiguous complex
   * numbers; work: n2 cells. */
  void (*rows)(const LpFftPlan *plan, void *tmp, void *out, bool swap, double scale,
               int64_t begin, int64_t end, void *work);
  /* Bluestein: out (inner->n complex) = in * chirp, then zeros; data *= filter; out =
   * data * chirp. */
  void (*chirp_in)(const LpFftPlan *plan, const void *in, bool swap, void *out);
  void (*chirp_filter)(const LpFftPlan *plan, void *data);
  void (*chirp_out)(const LpFftPlan *plan, const void *data, void *out, bool swap,
                    double scale);
  /* Real sequences of length n = 2h, contiguous: `after` turns the transform of length h
   * in data (h + 1 complex) into the first h + 1 of the real one's; `before` makes of h +
   * 1 numbers what an inverse transform of length h turns into the real sequence. conj:
   * of the real one's spectrum. */
  void (*real_after)(const LpFftPlan *plan, bool conj, void *data);
  void (*real_before)(const LpFftPlan *plan, bool conj, const void *in, void *out);
} LpFftKernelSet;

typedef struct LpFftKernels {
  LpFftKernelSet of[2]; /* float, double */
} LpFftKernels;

const LpFftKernelSet *lp_fft_kernel_set(bool is_double);
/* One transform of contiguous numbers through the split or Bluestein, in place allowed;
 * work: lp_fft_work_bytes; threads: use the pool. False: an interrupt or no memory,
 * nothing recorded. */
bool lp_fft_transform(const LpFftPlan *plan, const void *in, void *out, bool forward,
                      double scale, void *work, bool threads);
size_t lp_fft_work_bytes(const LpFftPlan *plan);

/* Where the lanes' transforms start, in scalars. */
void lp_fft_offsets(const LpFftJob *job, int64_t first, int count, int64_t *in,
                    int64_t *out);

#endif
