/* The draws and derivatives behind torch.distributions: checks, and the walk over
 * elements. The numbers come from cpu/random_gamma.c. Elements are drawn in the order of
 * their indices. */
#include <float.h>
#include <math.h>
#include "cpu/random_gamma.h"
#include "dispatch/iter.h"
#include "impl.h"
#include "lampad/ops.h"

typedef struct GammaDraw {
  LpGenerator *generator;
  LpLoop load, store; /* one element of the tensors' dtypes to and from double */
  double least;       /* the smallest positive number of the result's dtype */
  bool single;
} GammaDraw;

static const int64_t none[2] = {0, 0};

static double load_double(LpLoop load, char *from) {
  double v;
  load((char *[]){(char *)&v, from}, none, 1, NULL);
  return v;
}

static void store_double(LpLoop store, char *to, double v) {
  store((char *[]){to, (char *)&v}, none, 1, NULL);
}

static void gamma_loop(char *const *ptrs, const int64_t *strides, int64_t n,
                       const void *params) {
  const GammaDraw *draw = params;
  for (int64_t i = 0; i < n; i++) {
    double shape = load_double(draw->load, ptrs[1] + i * strides[1]);
    double v = lp_cpu_random_gamma(draw->generator, shape, draw->single);
    store_double(draw->store, ptrs[0] + i * strides[0],
                 v < draw->least ? draw->least : v);
  }
}

static bool check_parameter(const LpTensor *t, const char *name) {
  CHECK(t->storage->device.type == LP_CPU, LP_ERR_DEVICE,
        "%s must be on the CPU, as the generator is; move it with :cpu()", name);
  CHECK(t->dtype == LP_FLOAT32 || t->dtype == LP_FLOAT64, LP_ERR_TYPE,
        "%s must have dtype float32 or float64, got %s", name, lp_dtype_name(t->dtype));
  return true;
}

/* Gamma variates of self's shape, contiguous, of the dtype. */
static LpTensor *draw_gammas(LpTensor *self, LpDtype dtype, LpGenerator *generator) {
  LpTensor *result = lp_tensor_new(lp_sizes(self), dtype, lp_cpu());
  if (!result || result->numel == 0) return result;
  GammaDraw draw = {.load = lp_cast_loop(LP_FLOAT64, self->dtype),
                    .store = lp_cast_loop(dtype, LP_FLOAT64),
                    .least = dtype == LP_FLOAT32 ? FLT_MIN : DBL_MIN,
                    .single = dtype == LP_FLOAT32};
  LpIter it;
  lp_iter_init(&it);
  it.no_resize = true;
  lp_iter_output(&it, result);
  lp_iter_input(&it, self);
  bool ok = lp_iter_build(&it);
  if (ok) {
    draw.generator = lp_generator_lock(generator);
    ok = lp_iter_run_serial(&it, gamma_loop, &draw);
    lp_generator_unlock(draw.generator);
  }
  lp_iter_done(&it);
  if (ok) return result;
  lp_tensor_release(result);
  return NULL;
}

LpTensor *lp_impl__standard_gamma(LpTensor *self, LpGenerator *generator) {
  TRY(check_parameter(self, "self (the shapes)"));
  return draw_gammas(self, self->dtype, generator);
}

/* Gammas over their sum, in doubles, kept inside (0, 1) of the result's dtype. */
static void simplex_loop(char *const *ptrs, const int64_t *strides, int64_t n,
                         const void *params) {
  const GammaDraw *draw = params;
  const double most = draw->single ? 1 - FLT_EPSILON / 2 : 1 - DBL_EPSILON / 2;
  for (int64_t i = 0; i < n; i++) {
    double v =
        *(double *)(ptrs[1] + i * strides[1]) / *(double *)(ptrs[2] + i * strides[2]);
    if (draw->single) v = (float)v;
    v = v < draw->least ? draw->least : v > most ? most : v;
    store_double(draw->store, ptrs[0] + i * strides[0], v);
  }
}

LpTensor *lp_impl__sample_dirichlet(LpTensor *self, LpGenerator *generator) {
  TRY(check_parameter(self, "self (the concentrations)"));
  CHECK(self->ndim > 0, LP_ERR_ARGUMENT,
        "self (the concentrations) must have at least 1 dim, got a 0-d tensor");
  int64_t last = -1;
  LpTensor *gammas = draw_gammas(self, LP_FLOAT64, generator), *sums = NULL,
           *result = NULL;
  if (gammas) sums = lp_sum_dim(gammas, lp_ints(&last, 1), true, LP_DTYPE_NONE);
  if (sums) {
    GammaDraw draw = {.store = lp_cast_loop(self->dtype, LP_FLOAT64),
                      .least = self->dtype == LP_FLOAT32 ? FLT_MIN : DBL_MIN,
                      .single = self->dtype == LP_FLOAT32};
    LpIter it;
    lp_iter_init(&it);
    it.output_dtype = self->dtype;
    lp_iter_output(&it, NULL);
    lp_iter_input(&it, gammas);
    lp_iter_input(&it, sums);
    if (lp_iter_build(&it) && lp_iter_run(&it, simplex_loop, &draw))
      result = lp_iter_take(&it, 0);
    lp_iter_done(&it);
  }
  lp_tensor_release(sums);
  lp_tensor_release(gammas);
  return result;
}

static void dirichlet_grad_loop(char *const *ptrs, const int64_t *strides, int64_t n,
                                const void *params) {
  (void)params;
  for (int64_t i = 0; i < n; i++) {
    double v[3];
    for (int k = 0; k < 3; k++) v[k] = *(double *)(ptrs[k + 1] + i * strides[k + 1]);
    *(double *)(ptrs[0] + i * strides[0]) = lp_dirichlet_grad_f64(v[0], v[1], v[2]);
  }
}

LpTensor *lp_impl__dirichlet_grad(LpTensor *x, LpTensor *alpha, LpTensor *total) {
  TRY(check_parameter(x, "x"));
  CHECK(alpha->dtype == x->dtype && total->dtype == x->dtype, LP_ERR_TYPE,
        "alpha and total must have x's dtype %s, got %s and %s", lp_dtype_name(x->dtype),
        lp_dtype_name(alpha->dtype), lp_dtype_name(total->dtype));
  LpIter it;
  lp_iter_init(&it);
  it.output_dtype = x->dtype;
  it.cast_inputs = true;
  it.common_dtype = it.loop_dtype = LP_FLOAT64;
  lp_iter_output(&it, NULL);
  lp_iter_input(&it, x);
  lp_iter_input(&it, alpha);
  lp_iter_input(&it, total);
  LpTensor *result = NULL;
  if (lp_iter_build(&it) && lp_iter_run(&it, dirichlet_grad_loop, NULL))
    result = lp_iter_take(&it, 0);
  lp_iter_done(&it);
  return result;
}
