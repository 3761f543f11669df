/* Runs Fourier transforms over a batch; see fft.h, and Note [How a transform runs] in
 * fft_plan.h. */
#include "cpu/fft.h"

#include <stdatomic.h>
#include <string.h>
#include "core/alloc.h"
#include "core/check.h"
#include "core/parallel.h"
#include "cpu/caps.h"
#include "cpu/fft_plan.h"

LP_DISPATCH(LpFftKernels, lp_fft_kernels)

const LpFftKernelSet *lp_fft_kernel_set(bool is_double) {
  return &lp_fft_kernels()->of[is_double];
}

/* Lengths up to which batches go over the lanes whatever their layout; for real
 * sequences, whose other way has more to copy, and for batches that leave most lanes
 * idle. */
#define LANES_UP_TO 128
#define LANES_REAL_UP_TO 512
#define LANES_FEW_UP_TO 63
#define THREADS_FROM 32768 /* lengths whose passes are worth splitting over threads */
#define ELEMENT_WORK 2     /* what an element costs, in elements of LP_GRAIN's cheap work */

static size_t scalar_size(bool is_double) {
  return is_double ? sizeof(double) : sizeof(float);
}
static size_t cell_size(const LpFftPlan *plan) {
  return 2 * (size_t)plan->lanes * scalar_size(plan->is_double);
}
static int64_t blocks_of(int64_t n, int lanes) {
  return (n + lanes - 1) / lanes;
}
static int64_t max64(int64_t a, int64_t b) {
  return a > b ? a : b;
}
static int64_t grain_of(int64_t elems) {
  return max64(1, LP_GRAIN / ELEMENT_WORK / max64(1, elems));
}

void lp_fft_offsets(const LpFftJob *job, int64_t first, int count, int64_t *in,
                    int64_t *out) {
  int64_t index[LP_MAX_DIMS], at_in = 0, at_out = 0;
  for (int d = job->ndim - 1; d >= 0; d--) {
    index[d] = first % job->sizes[d];
    first /= job->sizes[d];
    at_in += index[d] * job->in_strides[d];
    at_out += index[d] * job->out_strides[d];
  }
  for (int l = 0; l < count; l++) {
    in[l] = at_in;
    out[l] = at_out;
    for (int d = job->ndim - 1; d >= 0; d--) {
      at_in += job->in_strides[d];
      at_out += job->out_strides[d];
      if (++index[d] < job->sizes[d]) break;
      at_in -= index[d] * job->in_strides[d];
      at_out -= index[d] * job->out_strides[d];
      index[d] = 0;
    }
  }
}

/* --- one transform, contiguous ------------------------------------------------------ */

static size_t passes_bytes(const LpFftPlan *plan) {
  return (size_t)max64(2 * plan->n1, plan->n2) * cell_size(plan);
}
static size_t split_bytes(const LpFftPlan *plan) {
  return (size_t)(blocks_of(plan->n1, plan->lanes) * plan->n2) * cell_size(plan);
}
static size_t complex_bytes(int64_t n, bool is_double) {
  size_t bytes = 2 * (size_t)n * scalar_size(is_double);
  return (bytes + LP_ALIGNMENT - 1) / LP_ALIGNMENT * LP_ALIGNMENT;
}

size_t lp_fft_work_bytes(const LpFftPlan *plan) {
  if (plan->inner)
    return complex_bytes(plan->inner->n, plan->is_double) +
           lp_fft_work_bytes(plan->inner);
  if (plan->n1) return split_bytes(plan) + passes_bytes(plan);
  return (size_t)(2 * plan->n + 2) * cell_size(plan);
}

typedef struct Split {
  const LpFftPlan *plan;
  const LpFftKernelSet *kernels;
  const void *in;
  void *out, *tmp, *work; /* work NULL: each piece takes its own */
  bool swap;
  double scale;
  _Atomic bool failed;
} Split;

static void split_part(Split *s, bool columns, int64_t begin, int64_t end) {
  size_t capacity = 0;
  void *work = s->work ? s->work : lp_block_alloc(passes_bytes(s->plan), &capacity);
  if (!work || lp_interrupt_pending())
    s->failed = true;
  else if (columns)
    s->kernels->columns(s->plan, s->in, s->swap, s->tmp, begin, end, work);
  else
    s->kernels->rows(s->plan, s->tmp, s->out, s->swap, s->scale, begin, end, work);
  if (work && !s->work) lp_block_free(work, capacity);
}
static void split_columns(void *ctx, int64_t begin, int64_t end) {
  split_part(ctx, true, begin, end);
}
static void split_rows(void *ctx, int64_t begin, int64_t end) {
  split_part(ctx, false, begin, end);
}

bool lp_fft_transform(const LpFftPlan *plan, const void *in, void *out, bool forward,
                      double scale, void *work, bool threads) {
  const LpFftKernelSet *kernels = lp_fft_kernel_set(plan->is_double);
  if (plan->inner) {
    char *data = work, *rest = data + complex_bytes(plan->inner->n, plan->is_double);
    kernels->chirp_in(plan, in, !forward, data);
    if (!lp_fft_transform(plan->inner, data, data, true, 1, rest, threads)) return false;
    kernels->chirp_filter(plan, data);
    if (!lp_fft_transform(plan->inner, data, data, false, 1, rest, threads)) return false;
    kernels->chirp_out(plan, data, out, !forward, scale);
    return true;
  }
  if (!plan->n1) { /* too short or prime: one lane of many */
    LpFftJob one = {.kind = LP_FFT_C2C,
                    .is_double = plan->is_double,
                    .forward = forward,
                    .scale = scale,
                    .n = plan->n,
                    .in = in,
                    .out = out,
                    .in_step = 2,
                    .out_step = 2,
                    .count = 1};
    kernels->group(&one, plan, NULL, 0, 1, work);
    return true;
  }
  Split s = {.plan = plan,
             .kernels = kernels,
             .in = in,
             .out = out,
             .tmp = work,
             .swap = !forward,
             .scale = scale};
  int64_t column_blocks = blocks_of(plan->n2, plan->lanes),
          row_blocks = blocks_of(plan->n1, plan->lanes);
  if (threads) {
    lp_parallel_for(column_blocks, grain_of(plan->n1 * plan->lanes), split_columns, &s);
    if (!s.failed)
      lp_parallel_for(row_blocks, grain_of(plan->n2 * plan->lanes), split_rows, &s);
  } else {
    s.work = (char *)work + split_bytes(plan);
    split_part(&s, true, 0, column_blocks);
    split_part(&s, false, 0, row_blocks);
  }
  return !s.failed;
}

/* --- one transform of a job --------------------------------------------------------- */

typedef struct Run {
  const LpFftJob *job;
  const LpFftPlan *plan; /* complex: of n, or of n / 2 for real sequences of even n */
  const LpFftPlan *real; /* for real sequences; else NULL */
  const LpFftKernelSet *kernels;
  size_t row_bytes, work_bytes; /* of buffers for one transform */
  bool threads;                 /* inside a transform */
  _Atomic bool failed;
} Run;

/* Copies n numbers of `width` scalars. */
static void copy_strided(bool is_double, const void *from, int64_t from_step, void *to,
                         int64_t to_step, int64_t n, int width) {
  if (is_double) {
    const double *x = from;
    double *y = to;
    for (int64_t k = 0; k < n; k++)
      for (int w = 0; w < width; w++) y[k * to_step + w] = x[k * from_step + w];
  } else {
    const float *x = from;
    float *y = to;
    for (int64_t k = 0; k < n; k++)
      for (int w = 0; w < width; w++) y[k * to_step + w] = x[k * from_step + w];
  }
}

/* The second half of n complex numbers, by symmetry. */
static void mirror(bool is_double, void *data, int64_t n) {
  for (int64_t k = n / 2 + 1; k < n; k++) {
    if (is_double) {
      double *z = data;
      z[2 * k] = z[2 * (n - k)], z[2 * k + 1] = -z[2 * (n - k) + 1];
    } else {
      float *z = data;
      z[2 * k] = z[2 * (n - k)], z[2 * k + 1] = -z[2 * (n - k) + 1];
    }
  }
}

/* The first n scalars of data become complex numbers, in place from the end. */
static void widen(bool is_double, void *data, int64_t n) {
  for (int64_t k = n - 1; k >= 0; k--) {
    if (is_double)
      ((double *)data)[2 * k] = ((double *)data)[k], ((double *)data)[2 * k + 1] = 0;
    else
      ((float *)data)[2 * k] = ((float *)data)[k], ((float *)data)[2 * k + 1] = 0;
  }
}

static void drop_imaginary(bool is_double, void *data, int64_t k) {
  if (is_double)
    ((double *)data)[2 * k + 1] = 0;
  else
    ((float *)data)[2 * k + 1] = 0;
}

static bool transform_row(const Run *run, const char *in, char *out, char *buffer,
                          void *work) {
  const LpFftJob *job = run->job;
  const LpFftPlan *plan = run->plan;
  bool is_double = job->is_double, even = job->n % 2 == 0, forward = job->forward;
  int64_t n = job->n, h = n / 2;
  if (job->kind == LP_FFT_C2C) {
    if (job->in_step != 2) copy_strided(is_double, in, job->in_step, buffer, 2, n, 2);
    void *to = job->out_step == 2 ? out : buffer;
    if (!lp_fft_transform(plan, job->in_step == 2 ? in : buffer, to, forward, job->scale,
                          work, run->threads))
      return false;
    if (job->out_step != 2) copy_strided(is_double, buffer, 2, out, job->out_step, n, 2);
    return true;
  }
  if (job->kind == LP_FFT_C2R) {
    copy_strided(is_double, in, job->in_step, buffer, 2, h + 1, 2);
    if (even) {
      run->kernels->real_before(run->real, forward, buffer, buffer);
    } else {
      drop_imaginary(is_double, buffer, 0);
      mirror(is_double, buffer, n);
    }
    /* The sequence is real: the conjugate spectrum gives it by the transform of the other
     * sign. */
    if (!lp_fft_transform(plan, buffer, buffer, !even && forward, job->scale, work,
                          run->threads))
      return false;
    copy_strided(is_double, buffer, even ? 1 : 2, out, job->out_step, n, 1);
    return true;
  }
  copy_strided(is_double, in, job->in_step, buffer, 1, n, 1);
  if (!even) widen(is_double, buffer, n);
  if (!lp_fft_transform(plan, buffer, buffer, even || forward, job->scale, work,
                        run->threads))
    return false;
  if (even) run->kernels->real_after(run->real, !forward, buffer);
  if (even && job->kind == LP_FFT_R2C_FULL) mirror(is_double, buffer, n);
  copy_strided(is_double, buffer, 2, out, job->out_step,
               job->kind == LP_FFT_R2C_FULL ? n : h + 1, 2);
  return true;
}

static void run_rows(void *ctx, int64_t begin, int64_t end) {
  Run *run = ctx;
  const LpFftJob *job = run->job;
  size_t capacity, item = scalar_size(job->is_double);
  char *work = lp_block_alloc(run->row_bytes + run->work_bytes, &capacity);
  if (!work) run->failed = true;
  for (int64_t i = begin; i < end && !run->failed; i++) {
    int64_t in, out;
    lp_fft_offsets(job, i, 1, &in, &out);
    if (!transform_row(run, (const char *)job->in + (size_t)in * item,
                       (char *)job->out + (size_t)out * item, work,
                       work + run->row_bytes) ||
        lp_interrupt_pending())
      run->failed = true;
  }
  if (work) lp_block_free(work, capacity);
}

static void run_groups(void *ctx, int64_t begin, int64_t end) {
  Run *run = ctx;
  const LpFftJob *job = run->job;
  int lanes = run->kernels->lanes;
  size_t capacity;
  void *work = lp_block_alloc(2 * (size_t)(job->n + 1) * cell_size(run->plan), &capacity);
  if (!work) run->failed = true;
  for (int64_t g = begin; g < end && !run->failed; g++) {
    int64_t left = job->count - g * lanes;
    run->kernels->group(job, run->plan, run->real ? run->real->real : NULL, g * lanes,
                        left < lanes ? (int)left : lanes, work);
    if (lp_interrupt_pending()) run->failed = true;
  }
  if (work) lp_block_free(work, capacity);
}

/* Whether the batch goes over the lanes, or each transform by itself. */
static bool over_lanes(const LpFftJob *job, const LpFftPlan *plan) {
  if (plan->inner) return false;
  if (!plan->n1) return true;
  int64_t up_to = job->count < plan->lanes / 2 ? LANES_FEW_UP_TO
                  : job->kind == LP_FFT_C2C    ? LANES_UP_TO
                                               : LANES_REAL_UP_TO;
  if (plan->n <= up_to) return true;
  int64_t width = job->kind == LP_FFT_R2C || job->kind == LP_FFT_R2C_FULL ? 1 : 2,
          last = job->ndim - 1;
  bool side =
      last >= 0 && job->in_strides[last] == width && job->sizes[last] >= plan->lanes / 2;
  return side && plan->direct.n; /* neighbouring transforms lie side by side */
}

bool lp_fft_run(const LpFftJob *job) {
  if (job->count == 0) return true;
  bool is_real = job->kind != LP_FFT_C2C;
  LpFftPlan *plan = lp_fft_plan(job->n, job->is_double, is_real);
  if (!plan) return false;
  Run run = {.job = job,
             .plan = is_real ? plan->half : plan,
             .real = is_real ? plan : NULL,
             .kernels = lp_fft_kernel_set(job->is_double)};
  if (over_lanes(job, run.plan)) {
    lp_parallel_for(blocks_of(job->count, run.kernels->lanes),
                    grain_of(job->n * run.kernels->lanes), run_groups, &run);
  } else {
    run.row_bytes = complex_bytes(job->n + 1, job->is_double);
    run.work_bytes = lp_fft_work_bytes(run.plan);
    run.threads = job->count < lp_num_threads() && job->n >= THREADS_FROM;
    if (run.threads)
      run_rows(&run, 0, job->count);
    else
      lp_parallel_for(job->count, grain_of(job->n), run_rows, &run);
  }
  lp_fft_plan_release(plan);
  if (!run.failed) return true;
  if (lp_interrupt_take()) return lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt");
  return lp_fail(LP_ERR_MEMORY, "out of memory for a transform of length %lld",
                 (long long)job->n);
}
