/* Fourier transforms against the sum that defines them: every kind and layout on every
 * instruction set of this machine, and many threads making and dropping plans at the same
 * time. */
#include "cpu/fft.h"
#include <complex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "cpu/caps.h"
#include "lampad/memory.h"
#include "test.h"

#define TURN 6.283185307179586476925

/* The job's memory: count transforms, one after the other or (`side`) element by element.
 */
typedef struct Case {
  LpFftJob job;
  int64_t n_in, n_out; /* entries of one transform */
  int in_width, out_width;
} Case;

static double number(int64_t i) {
  return sin((double)i * 1.7 + 0.5 + (double)(i % 101) * 0.3);
}

static double get(const LpFftJob *job, const void *data, int64_t at) {
  return job->is_double ? ((const double *)data)[at] : (double)((const float *)data)[at];
}

static bool case_new(Case *c, LpFftKind kind, bool is_double, bool forward, int64_t n,
                     int64_t count, bool side) {
  int64_t half = n / 2 + 1;
  *c = (Case){.n_in = kind == LP_FFT_C2R ? half : n,
              .n_out = kind == LP_FFT_R2C ? half : n,
              .in_width = kind == LP_FFT_C2C || kind == LP_FFT_C2R ? 2 : 1,
              .out_width = kind == LP_FFT_C2R ? 1 : 2};
  int64_t in_total = c->n_in * c->in_width * count,
          out_total = c->n_out * c->out_width * count;
  void *in = malloc((size_t)in_total * 8), *out = malloc((size_t)out_total * 8);
  c->job = (LpFftJob){.kind = kind,
                      .is_double = is_double,
                      .forward = forward,
                      .scale = 0.5,
                      .n = n,
                      .in = in,
                      .out = out,
                      .ndim = 1,
                      .count = count,
                      .sizes = {count}};
  c->job.in_step = side ? c->in_width * count : c->in_width;
  c->job.out_step = side ? c->out_width * count : c->out_width;
  c->job.in_strides[0] = side ? c->in_width : c->in_width * c->n_in;
  c->job.out_strides[0] = side ? c->out_width : c->out_width * c->n_out;
  for (int64_t i = 0; in && i < in_total; i++) {
    if (is_double)
      ((double *)in)[i] = number(i);
    else
      ((float *)in)[i] = (float)number(i);
  }
  return in && out;
}

static void case_free(Case *c) {
  free((void *)c->job.in);
  free(c->job.out);
}

/* The largest error of one transform of the batch, over the size of the result. */
static double error_of(const Case *c, int64_t which) {
  const LpFftJob *job = &c->job;
  int64_t n = job->n;
  double complex *x = malloc((size_t)n * sizeof *x),
                 *roots = malloc((size_t)n * sizeof *roots);
  double worst = 0, size = 0;
  for (int64_t k = 0; k < n; k++) {
    int64_t from = k < c->n_in ? k : n - k,
            at = which * job->in_strides[0] + from * job->in_step;
    double im = c->in_width == 2 ? get(job, job->in, at + 1) : 0;
    /* Half a spectrum: the ends are real, the rest follows by symmetry. */
    if (job->kind == LP_FFT_C2R && (k == 0 || 2 * k == n)) im = 0;
    x[k] = get(job, job->in, at) + I * (from == k ? im : -im);
    roots[k] = cos(TURN * (double)k / (double)n) +
               (job->forward ? -I : I) * sin(TURN * (double)k / (double)n);
  }
  for (int64_t k = 0; k < c->n_out; k++) {
    double complex sum = 0;
    for (int64_t j = 0; j < n; j++) sum += x[j] * roots[j * k % n];
    sum *= job->scale;
    int64_t at = which * job->out_strides[0] + k * job->out_step;
    double im = c->out_width == 2 ? get(job, job->out, at + 1) : cimag(sum);
    double error = cabs(sum - (get(job, job->out, at) + I * im));
    if (!(error <= worst)) worst = error;
    if (cabs(sum) > size) size = cabs(sum);
  }
  free(x);
  free(roots);
  return worst / size;
}

static void check(LpFftKind kind, bool is_double, bool forward, int64_t n, int64_t count,
                  bool side) {
  Case c;
  bool ok = case_new(&c, kind, is_double, forward, n, count, side) && lp_fft_run(&c.job);
  double error = ok ? fmax(error_of(&c, 0), error_of(&c, count - 1)) : NAN;
  if (!(error <= (is_double ? 2e-14 : 3e-6)))
    test_failure(
        __FILE__, __LINE__, "kind %d, %s, %s, length %lld, %lld transforms %s: error %g",
        (int)kind, is_double ? "double" : "float", forward ? "forward" : "inverse",
        (long long)n, (long long)count, side ? "side by side" : "in a row", error);
  case_free(&c);
}

/* Ones, radices alone and together, both ways of a batch, primes below and above the
 * direct ones. */
static const int64_t lengths[] = {1,   2,   3,   4,   5,   7,   8,    9,   11,  12,
                                  15,  16,  30,  61,  64,  67,  97,   98,  122, 128,
                                  134, 144, 201, 256, 300, 512, 1009, 1200};
static const int64_t counts[] = {1, 5, 19};

TEST(fft_equals_its_definition) {
  LpCapability best = lp_cpu_capability;
  for (int cap = 0; cap <= (int)best; cap++) {
    lp_cpu_capability = (LpCapability)cap;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
      for (size_t k = 0; k < 3; k++)
        for (int way = 0; way < 32; way++) {
          if (lengths[i] > 300 && (k > 0 || (way & 16)))
            continue; /* the direct sum takes long */
          check((LpFftKind)(way & 3), way & 4, way & 8, lengths[i], counts[k], way & 16);
        }
  }
  lp_cpu_capability = best;
}

/* Lengths not seen before, so that every table of a plan is made, and fails, in turn. */
TEST(fft_survives_failing_allocations) {
  const int64_t factors[] = {4 * 67, 2 * 48, 3 * 64, 71};
  for (int f = 0; f < 4; f++) {
    int failed = 0, steps = 0;
    for (bool done = false; !done && steps < 100; steps++) {
      Case c;
      bool ready =
          case_new(&c, LP_FFT_R2C, true, true, factors[f] * (31 + steps), 3, false);
      lp_memory_fail_after(steps);
      bool ok = ready && lp_fft_run(&c.job);
      lp_memory_fail_after(-1);
      if (!ok) failed++;
      EXPECT(ok || lp_last_error()->code == LP_ERR_MEMORY);
      done = ok && steps > 40;
      case_free(&c);
    }
    EXPECT(failed >= 3);
  }
}

static _Atomic int failures;

/* More lengths than the cache keeps, in an order of each thread's own. */
static void *churn(void *ctx) {
  int64_t seed = (int64_t)(intptr_t)ctx;
  for (int64_t i = 0; i < 300; i++) {
    int64_t n = 2 + (i * 37 + seed * 61) % 150;
    Case c;
    bool ok =
        case_new(&c, (LpFftKind)(i % 4), i % 3, true, n, 2, false) && lp_fft_run(&c.job);
    if (!ok || !(error_of(&c, 1) < 3e-6)) failures++;
    case_free(&c);
  }
  return NULL;
}

TEST(fft_plans_are_shared_by_threads) {
  pthread_t threads[4];
  for (intptr_t i = 0; i < 4; i++)
    EXPECT(pthread_create(&threads[i], NULL, churn, (void *)i) == 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  EXPECT(failures == 0);
}
