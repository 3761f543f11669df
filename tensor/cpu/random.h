/* CPU kernels of the random ops, over raw memory: no shapes, no checks, no locking (the
 * caller holds the generator's lock). The order of draws and the arithmetic are
 * PyTorch's, bit for bit.
 *
 * Note [Fused multiply-add in streams]: PyTorch's x86 kernels are compiled for FMA
 * processors, and the compiler fuses the last `value * scale + shift`. The kernels here
 * say fma where it does, so every machine gives the numbers PyTorch gives on a current
 * one.
 *
 * Note [Bernoulli and MKL]: older PyTorch builds with MKL drew bernoulli_(p) on Intel
 * processors from a stream of MKL's, seeded by one word. Here it is 53 bits of the
 * generator for each element on every machine, as in PyTorch 2.15 and in builds without
 * MKL. */
#ifndef LP_CPU_RANDOM_H
#define LP_CPU_RANDOM_H

#include "core/generator.h"
#include "cpu/caps.h"
#include "lampad/tensor.h"

typedef struct LpMt19937Kernels {
  void (*advance)(uint32_t *state);
  void (*temper)(uint32_t *out, const uint32_t *state, int64_t n);
} LpMt19937Kernels;

/* Words to numbers, n results each. */
typedef struct LpRandomKernels {
  /* 24 bits of one word in [0, 1), then fma(u, range, from). */
  void (*uniform_float)(float *out, const uint32_t *words, int64_t n, float range,
                        float from);
  /* 53 bits of two words, high word first. */
  void (*uniform_double)(double *out, const uint32_t *words, int64_t n, double range,
                         double from);
  /* out = uniform_double < p. */
  void (*bernoulli)(float *out, const uint32_t *words, int64_t n, double p);
  /* out = (float)(scale * log1p(-u)), u in [0, 1), with the bits of the C library's
   * log1p. */
  void (*exponential_float)(float *out, const double *u, int64_t n, double scale);
  /* Box-Muller in place on groups of 16 uniforms (8 radii, then 8 angles); n is a
   * multiple of 16. */
  void (*normal_groups_float)(float *data, int64_t n, float mean, float std);
  void (*normal_groups_double)(double *data, int64_t n, double mean, double std);
} LpRandomKernels;

typedef enum LpRandomKind {
  LP_RANDOM_UNIFORM, /* a = from, b = to */
  LP_RANDOM_NORMAL,  /* a = mean, b = std; double Box-Muller through the generator's slot
                      */
  LP_RANDOM_INTEGER, /* (word % range) + base; range 0: the whole word */
  LP_RANDOM_BERNOULLI,   /* a = p */
  LP_RANDOM_EXPONENTIAL, /* a = lambda */
  LP_RANDOM_GEOMETRIC,   /* a = p */
  LP_RANDOM_LOG_NORMAL,  /* a = mean, b = std */
  LP_RANDOM_CAUCHY       /* a = median, b = sigma */
} LpRandomKind;

typedef struct LpRandomFill {
  LpGenerator *generator;
  LpRandomKind kind;
  LpDtype dtype; /* of the memory to be filled */
  double a, b;
  bool wide; /* LP_RANDOM_INTEGER: draws 64-bit words */
  uint64_t range;
  int64_t base;
} LpRandomFill;

/* Fills n elements, stride_bytes apart, in order. */
void lp_cpu_random_fill(const LpRandomFill *fill, char *data, int64_t stride_bytes,
                        int64_t n);
/* n >= 16 contiguous elements of a floating dtype by groups of 16; a tail is drawn anew
 * with the 15 elements before it, as PyTorch does. */
void lp_cpu_random_normal(LpGenerator *g, void *data, LpDtype dtype, int64_t n,
                          double mean, double std);
/* A random permutation of 0 .. n-1 into contiguous memory. */
void lp_cpu_random_permutation(LpGenerator *g, void *data, LpDtype dtype, int64_t n);
/* n uniform numbers in [0, 1): of 53 bits each when `wide`, else of 24. */
void lp_cpu_random_units(LpGenerator *g, double *out, int64_t n, bool wide);
/* A Poisson variate of the given rate (>= 0). */
double lp_cpu_random_poisson(LpGenerator *g, double rate);
/* A binomial variate; `single`: with PyTorch's float32 arithmetic for float32 tensors. */
double lp_cpu_random_binomial(LpGenerator *g, double count, double p, bool single);
/* The first of `count` entries of the cumulative distribution `cdf` (the last is 1) that
 * is not below u, in [0, 1). */
static inline int64_t lp_cpu_random_category(const double *cdf, int64_t count, double u) {
  const double *from = cdf;
  for (int64_t half; count > 1; count -= half) { /* without a branch to guess */
    half = count / 2;
    from += half * (from[half - 1] < u);
  }
  return from - cdf;
}

#endif
