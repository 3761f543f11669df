/* bfloat16 products by oneDNN's matmul, which uses the processor's bfloat16 instructions
 * (AVX-512 BF16, AMX) and accumulates in float32. Only for the processors that have them:
 * see gemm.h. */
#include "cpu/gemm_bf16.h"

#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static dnnl_engine_t engine;
static _Atomic bool unsupported[2]; /* single products; batches of them */

static void make_engine(void) {
  if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success) engine = NULL;
}

/* Everything one call makes; released together. */
typedef struct Call {
  dnnl_memory_desc_t a, b, c;
  dnnl_primitive_attr_t attr;
  dnnl_post_ops_t post_ops;
  dnnl_primitive_desc_t desc;
  dnnl_primitive_t primitive;
  dnnl_memory_t memory[3];
  dnnl_stream_t stream;
} Call;

static void drop(Call *call) {
  for (int i = 0; i < 3; i++)
    if (call->memory[i]) dnnl_memory_destroy(call->memory[i]);
  if (call->stream) dnnl_stream_destroy(call->stream);
  if (call->primitive) dnnl_primitive_destroy(call->primitive);
  if (call->desc) dnnl_primitive_desc_destroy(call->desc);
  if (call->attr) dnnl_primitive_attr_destroy(call->attr);
  if (call->post_ops) dnnl_post_ops_destroy(call->post_ops);
}

/* Of `count` matrices `next` elements apart (0: one for all), or of a single one. */
static bool describe(dnnl_memory_desc_t *desc, dnnl_data_type_t type, int64_t count,
                     int64_t next, int64_t rows, int64_t columns, bool trans,
                     int64_t ld) {
  dnnl_dims_t sizes = {next ? count : 1, rows, columns},
              strides = {next ? next : rows * columns, trans ? 1 : ld, trans ? ld : 1};
  const int first = count == 1;
  return dnnl_memory_desc_init_by_strides(desc, 3 - first, sizes + first, type,
                                          strides + first) == dnnl_success;
}

/* alpha scales the product, beta (not 0) what c held. */
static bool set_scales(Call *call, float alpha, float beta) {
  if (alpha == 1 && beta == 0) return true;
  if (dnnl_primitive_attr_create(&call->attr) != dnnl_success) return false;
  if (alpha != 1 &&
      dnnl_primitive_attr_set_output_scales(call->attr, 1, 0, &alpha) != dnnl_success)
    return false;
  if (beta == 0) return true;
  return dnnl_post_ops_create(&call->post_ops) == dnnl_success &&
         dnnl_post_ops_append_sum(call->post_ops, beta) == dnnl_success &&
         dnnl_primitive_attr_set_post_ops(call->attr, call->post_ops) == dnnl_success;
}

/* An implementation without vector instructions is slower than converting to float32. */
static bool is_fast(const Call *call) {
  const char *name = "";
  dnnl_primitive_desc_query(call->desc, dnnl_query_impl_info_str, 0, (void *)&name);
  return strncmp(name, "ref", 3) != 0;
}

static bool run(Call *call, const LpGemm *g, const LpGemmSteps *s, float alpha,
                float beta) {
  if (!describe(&call->a, dnnl_bf16, s->count, s->a, g->m, g->k, g->trans_a, g->lda) ||
      !describe(&call->b, dnnl_bf16, s->count, s->b, g->k, g->n, g->trans_b, g->ldb) ||
      !describe(&call->c, g->wide ? dnnl_f32 : dnnl_bf16, s->count, s->c, g->m, g->n,
                false, g->ldc) ||
      !set_scales(call, alpha, beta))
    return false;
  dnnl_matmul_desc_t op;
  if (dnnl_matmul_desc_init(&op, &call->a, &call->b, NULL, &call->c) != dnnl_success)
    return false;
  if (dnnl_primitive_desc_create(&call->desc, &op, call->attr, engine, NULL) !=
          dnnl_success ||
      !is_fast(call)) {
    if (alpha == 1 && beta == 0) atomic_store(&unsupported[s->count > 1], true);
    return false;
  }
  void *data[3] = {(void *)g->a, (void *)g->b, g->c};
  const dnnl_memory_desc_t *descs[3] = {&call->a, &call->b, &call->c};
  for (int i = 0; i < 3; i++)
    if (dnnl_memory_create(&call->memory[i], descs[i], engine, data[i]) != dnnl_success)
      return false;
  dnnl_exec_arg_t args[3] = {{DNNL_ARG_SRC, call->memory[0]},
                             {DNNL_ARG_WEIGHTS, call->memory[1]},
                             {DNNL_ARG_DST, call->memory[2]}};
  return dnnl_primitive_create(&call->primitive, call->desc) == dnnl_success &&
         dnnl_stream_create(&call->stream, engine, dnnl_stream_default_flags) ==
             dnnl_success &&
         dnnl_primitive_execute(call->primitive, call->stream, 3, args) == dnnl_success &&
         dnnl_stream_wait(call->stream) == dnnl_success;
}

bool lp_cpu_gemm_bf16(const LpGemm *g, const LpGemmSteps *steps, float alpha,
                      float beta) {
  if (atomic_load_explicit(&unsupported[steps->count > 1], memory_order_relaxed))
    return false;
  pthread_once(&once, make_engine);
  if (!engine) return false;
  Call call = {.attr = NULL};
  bool done = run(&call, g, steps, alpha, beta);
  drop(&call);
  return done;
}
