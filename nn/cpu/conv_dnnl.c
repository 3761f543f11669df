/* float32 and bfloat16 convolutions through oneDNN: a cache of ready plans (primitive,
 * reorders, descriptors) by geometry. Owns the library's engine; nothing of oneDNN shows
 * outside this file.
 *
 * The library falls back to `ref` kernels without a word, 1000 times slower; a plan whose
 * kernel is one is recorded as unusable, and the caller takes im2col. Activations lie
 * channels last; where the kernel wants another layout, as for weights, arguments are
 * reordered into scratch of the caching allocator. */
#include <omp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <oneapi/dnnl/dnnl.h>
#include "core/alloc.h"
#include "core/kept.h"
#include "core/parallel.h"
#include "cpu/conv.h"

enum { X, W, Y, N_BUFFERS };
#define CACHE_BUCKETS 256
#define CACHE_LIMIT 1024

typedef struct PlanKey {
  int64_t pass, dtype, has_bias, threads, keeps_weights;
  LpConvGeometry geometry;
} PlanKey;

typedef struct Plan {
  PlanKey key;
  struct Plan *next; /* in its bucket */
  int users;         /* running now; guarded by the cache's lock, like the three below */
  uint64_t last_use;
  bool usable;
  dnnl_primitive_t primitive;
  dnnl_memory_desc_t plain[N_BUFFERS], wanted[N_BUFFERS], bias, scratchpad;
  dnnl_primitive_t reorder[N_BUFFERS]; /* NULL: the plain buffer serves */
  size_t scratch_bytes[N_BUFFERS], scratchpad_bytes;
} Plan;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Plan *buckets[CACHE_BUCKETS];
static int n_plans;
static uint64_t clock_ticks;
static dnnl_engine_t engine; /* made under the lock, never freed */

static bool failed(dnnl_status_t status, const char *what) {
  if (status == dnnl_out_of_memory)
    lp_fail(LP_ERR_MEMORY, "out of memory in oneDNN (%s)", what);
  else
    lp_fail(LP_ERR_INTERNAL, "oneDNN failed with status %d (%s)", (int)status, what);
  return false;
}

static void plan_free(Plan *plan) {
  for (int i = 0; i < N_BUFFERS; i++)
    if (plan->reorder[i]) dnnl_primitive_destroy(plan->reorder[i]);
  if (plan->primitive) dnnl_primitive_destroy(plan->primitive);
  free(plan);
}

static bool is_output(LpConvPass pass, int buffer) {
  return buffer == (pass == LP_CONV_FORWARD ? Y : pass == LP_CONV_INPUT_GRAD ? X : W);
}

/* The three shapes and the paddings as oneDNN wants them; 1-d runs as 2-d of height 1. */
typedef struct DnnlGeometry {
  int ndim;
  dnnl_dims_t shape[N_BUFFERS], stride, dilation, left, right;
  int weight_dims;
} DnnlGeometry;

static DnnlGeometry translate(const LpConvGeometry *g) {
  DnnlGeometry t = {.ndim = g->ndim == 3 ? 3 : 2};
  int skip = t.ndim - g->ndim, lead = g->groups > 1;
  t.weight_dims = t.ndim + 2 + lead;
  t.shape[X][0] = t.shape[Y][0] = g->n;
  t.shape[X][1] = g->c;
  t.shape[Y][1] = g->k;
  if (lead) t.shape[W][0] = g->groups;
  t.shape[W][lead] = g->k / g->groups;
  t.shape[W][lead + 1] = g->c / g->groups;
  for (int d = 0; d < t.ndim; d++) {
    int from = d - skip;
    int64_t in = from < 0 ? 1 : g->in[from], out = from < 0 ? 1 : g->out[from];
    int64_t kernel = from < 0 ? 1 : g->kernel[from];
    t.stride[d] = from < 0 ? 1 : g->stride[from];
    t.dilation[d] = from < 0 ? 0 : g->dilation[from] - 1;
    t.left[d] = from < 0 ? 0 : g->padding[from];
    t.right[d] =
        (out - 1) * t.stride[d] + (kernel - 1) * (t.dilation[d] + 1) + 1 - in - t.left[d];
    t.shape[X][2 + d] = in;
    t.shape[Y][2 + d] = out;
    t.shape[W][lead + 2 + d] = kernel;
  }
  return t;
}

static const char *name_of(const_dnnl_primitive_desc_t pd) {
  const char *name = NULL;
  dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name);
  return name ? name : "ref";
}

/* Does the processor multiply bfloat16 by itself? The names end in what a kernel needs.
 */
static bool in_hardware(const_dnnl_primitive_desc_t pd) {
  const char *needs = strchr(name_of(pd), ':');
  return needs && strstr(needs, "bf16");
}

/* The first kernel for a description that is no reference kernel; NULL: none. */
static dnnl_primitive_desc_t kernel_for(const_dnnl_op_desc_t desc,
                                        const_dnnl_primitive_attr_t attr,
                                        const_dnnl_primitive_desc_t hint) {
  dnnl_primitive_desc_iterator_t it = NULL;
  dnnl_primitive_desc_t found = NULL;
  if (dnnl_primitive_desc_iterator_create(&it, desc, attr, engine, hint)) return NULL;
  do {
    found = dnnl_primitive_desc_iterator_fetch(it);
    if (!found || !strstr(name_of(found), "ref")) break;
    dnnl_primitive_desc_destroy(found);
    found = NULL;
  } while (!dnnl_primitive_desc_iterator_next(it));
  dnnl_primitive_desc_iterator_destroy(it);
  return found;
}

/* A primitive descriptor of the pass, NULL when there is only a reference kernel. */
static dnnl_primitive_desc_t describe(const PlanKey *key, const DnnlGeometry *t,
                                      const dnnl_memory_desc_t any[N_BUFFERS],
                                      const dnnl_memory_desc_t *bias,
                                      const_dnnl_primitive_attr_t attr) {
  dnnl_convolution_desc_t forward, desc;
  const dnnl_alg_kind_t algorithm = dnnl_convolution_direct;
  const bool is_forward = key->pass == LP_CONV_FORWARD;
  dnnl_memory_desc_t weights = any[W]; /* for the hint of one type with the others */
  weights.data_type = any[X].data_type;
  if (dnnl_dilated_convolution_forward_desc_init(
          &forward, key->keeps_weights ? dnnl_forward_inference : dnnl_forward_training,
          algorithm, &any[X], &weights, is_forward && key->has_bias ? bias : NULL,
          &any[Y], t->stride, t->dilation, t->left, t->right))
    return NULL;
  if (is_forward) return kernel_for(&forward, attr, NULL);
  dnnl_primitive_desc_t hint = NULL, pd = NULL;
  if (dnnl_primitive_desc_create(&hint, &forward, attr, engine, NULL)) return NULL;
  dnnl_status_t status = key->pass == LP_CONV_INPUT_GRAD
                             ? dnnl_dilated_convolution_backward_data_desc_init(
                                   &desc, algorithm, &any[X], &any[W], &any[Y], t->stride,
                                   t->dilation, t->left, t->right)
                             : dnnl_dilated_convolution_backward_weights_desc_init(
                                   &desc, algorithm, &any[X], &any[W], NULL, &any[Y],
                                   t->stride, t->dilation, t->left, t->right);
  if (!status) pd = kernel_for(&desc, attr, hint);
  dnnl_primitive_desc_destroy(hint);
  return pd;
}

/* Activations lie channels last, weights as PyTorch's. */
static dnnl_format_tag_t activation_tag(int spatial) {
  return spatial == 3 ? dnnl_acdeb : dnnl_acdb;
}

static dnnl_format_tag_t weight_tag(int ndim) {
  return ndim == 4 ? dnnl_abcd : ndim == 5 ? dnnl_abcde : dnnl_abcdef;
}

static bool make_reorder(Plan *plan, int i) {
  const dnnl_memory_desc_t *from = &plan->plain[i], *to = &plan->wanted[i];
  if (dnnl_memory_desc_equal(from, to)) return true;
  if (is_output(plan->key.pass, i)) {
    from = &plan->wanted[i];
    to = &plan->plain[i];
  }
  dnnl_primitive_desc_t pd;
  if (dnnl_reorder_primitive_desc_create(&pd, from, engine, to, engine, NULL))
    return false;
  dnnl_status_t status = dnnl_primitive_create(&plan->reorder[i], pd);
  dnnl_primitive_desc_destroy(pd);
  plan->scratch_bytes[i] = dnnl_memory_desc_get_size(&plan->wanted[i]);
  return status == dnnl_success;
}

/* Fills an unusable plan in; leaves it unusable when oneDNN has nothing good. */
static void plan_prepare(Plan *plan) {
  DnnlGeometry t = translate(&plan->key.geometry);
  dnnl_memory_desc_t any[N_BUFFERS];
  const bool is_half = plan->key.dtype == LP_BFLOAT16;
  const dnnl_data_type_t type = is_half ? dnnl_bf16 : dnnl_f32;
  for (int i = 0; i < N_BUFFERS; i++) {
    int ndim = i == W ? t.weight_dims : t.ndim + 2;
    const dnnl_data_type_t its =
        i == W && plan->key.pass == LP_CONV_WEIGHT_GRAD ? dnnl_f32 : type;
    if (dnnl_memory_desc_init_by_tag(&any[i], ndim, t.shape[i], its, dnnl_format_tag_any))
      return;
    if (dnnl_memory_desc_init_by_tag(&plan->plain[i], ndim, t.shape[i], its,
                                     i == W ? weight_tag(ndim) : activation_tag(t.ndim)))
      return;
  }
  const dnnl_memory_desc_t as_it_lies[N_BUFFERS] = {plan->plain[X], any[W],
                                                    plan->plain[Y]};
  dnnl_dims_t bias_shape = {plan->key.geometry.k};
  if (dnnl_memory_desc_init_by_tag(&plan->bias, 1, bias_shape, type, dnnl_a)) return;
  dnnl_primitive_attr_t attr;
  if (dnnl_primitive_attr_create(&attr)) return;
  dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
  dnnl_primitive_desc_t pd = NULL;
  pd = describe(&plan->key, &t, as_it_lies, &plan->bias, attr);
  if (!pd && !is_half) pd = describe(&plan->key, &t, any, &plan->bias, attr);
  if (pd && is_half && !in_hardware(pd)) {
    dnnl_primitive_desc_destroy(pd);
    pd = NULL;
  }
  dnnl_primitive_attr_destroy(attr);
  if (!pd) return;
  LpConvPass pass = (LpConvPass)plan->key.pass;
  dnnl_query_t queries[N_BUFFERS] = {
      pass == LP_CONV_INPUT_GRAD ? dnnl_query_diff_src_md : dnnl_query_src_md,
      pass == LP_CONV_WEIGHT_GRAD ? dnnl_query_diff_weights_md : dnnl_query_weights_md,
      pass == LP_CONV_FORWARD ? dnnl_query_dst_md : dnnl_query_diff_dst_md};
  for (int i = 0; i < N_BUFFERS; i++)
    plan->wanted[i] = *dnnl_primitive_desc_query_md(pd, queries[i], 0);
  plan->scratchpad = *dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
  plan->scratchpad_bytes = dnnl_memory_desc_get_size(&plan->scratchpad);
  bool ok = dnnl_primitive_create(&plan->primitive, pd) == dnnl_success;
  dnnl_primitive_desc_destroy(pd);
  for (int i = 0; ok && i < N_BUFFERS; i++) ok = make_reorder(plan, i);
  plan->usable = ok;
}

static void evict_oldest(void) {
  Plan **oldest = NULL;
  for (int i = 0; i < CACHE_BUCKETS; i++)
    for (Plan **at = &buckets[i]; *at; at = &(*at)->next)
      if (!(*at)->users && (!oldest || (*at)->last_use < (*oldest)->last_use))
        oldest = at;
  if (!oldest) return;
  Plan *gone = *oldest;
  *oldest = gone->next;
  plan_free(gone);
  n_plans--;
}

static unsigned hash(const PlanKey *key) {
  uint64_t h = 1469598103934665603u;
  const int64_t *words = (const int64_t *)key;
  for (size_t i = 0; i < sizeof *key / sizeof *words; i++)
    h = (h ^ (uint64_t)words[i]) * 1099511628211u;
  return (unsigned)(h >> 32) % CACHE_BUCKETS;
}

/* The plan for the key, made when it is new; hand back with plan_leave. NULL on error. */
static Plan *plan_enter(const PlanKey *key) {
  pthread_mutex_lock(&lock);
  Plan **bucket = &buckets[hash(key)], *plan = *bucket;
  while (plan && memcmp(&plan->key, key, sizeof *key)) plan = plan->next;
  if (!plan) {
    dnnl_status_t status =
        engine ? dnnl_success : dnnl_engine_create(&engine, dnnl_cpu, 0);
    plan = status ? NULL : calloc(1, sizeof *plan);
    if (!plan) {
      pthread_mutex_unlock(&lock);
      failed(status ? status : dnnl_out_of_memory, "convolution plan");
      return NULL;
    }
    if (n_plans >= CACHE_LIMIT) evict_oldest();
    plan->key = *key;
    plan_prepare(plan);
    bucket = &buckets[hash(key)];
    plan->next = *bucket;
    *bucket = plan;
    n_plans++;
  }
  plan->users++;
  plan->last_use = ++clock_ticks;
  pthread_mutex_unlock(&lock);
  return plan;
}

static void plan_leave(Plan *plan) {
  pthread_mutex_lock(&lock);
  plan->users--;
  pthread_mutex_unlock(&lock);
}

static size_t padded(size_t size_bytes) {
  return (size_bytes + LP_ALIGNMENT - 1) / LP_ALIGNMENT * LP_ALIGNMENT;
}

static dnnl_status_t reorder(dnnl_primitive_t primitive, dnnl_stream_t stream,
                             dnnl_memory_t from, dnnl_memory_t to) {
  dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
  return dnnl_primitive_execute(primitive, stream, 2, args);
}

typedef struct Packing {
  const Plan *plan;
  void *w;
} Packing;

static bool pack_weights(void *ctx, void *memory) {
  const Packing *p = ctx;
  dnnl_stream_t stream = NULL;
  dnnl_memory_t from = NULL, to = NULL;
  dnnl_status_t s = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
  if (!s) s = dnnl_memory_create(&from, &p->plan->plain[W], engine, p->w);
  if (!s) s = dnnl_memory_create(&to, &p->plan->wanted[W], engine, memory);
  if (!s) s = reorder(p->plan->reorder[W], stream, from, to);
  if (from) dnnl_memory_destroy(from);
  if (to) dnnl_memory_destroy(to);
  if (stream) dnnl_stream_destroy(stream);
  return s == dnnl_success;
}

/* The weights as the plan wants them, kept from call to call, or NULL. */
static LpKept *packed_enter(const Plan *plan, const LpTensor *weight, void *w) {
  Packing p = {plan, w};
  if (!plan->reorder[W]) return NULL;
  return lp_kept_enter(weight, &plan->wanted[W], sizeof plan->wanted[W],
                       plan->scratch_bytes[W], pack_weights, &p);
}

static dnnl_status_t execute(Plan *plan, char *scratch, void *const plain[N_BUFFERS],
                             const void *b, void *packed_weights) {
  LpConvPass pass = (LpConvPass)plan->key.pass;
  const int argument[N_BUFFERS] = {
      pass == LP_CONV_INPUT_GRAD ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC,
      pass == LP_CONV_WEIGHT_GRAD ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS,
      pass == LP_CONV_FORWARD ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST};
  dnnl_memory_t memory[N_BUFFERS] = {0}, own[N_BUFFERS] = {0}, bias = NULL,
                scratchpad = NULL;
  dnnl_stream_t stream = NULL;
  dnnl_exec_arg_t args[N_BUFFERS + 2];
  int n_args = 0;
  dnnl_status_t s = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
  for (int i = 0; !s && i < N_BUFFERS; i++) {
    const bool is_packed = i == W && packed_weights;
    s = dnnl_memory_create(&memory[i], is_packed ? &plan->wanted[i] : &plan->plain[i],
                           engine, is_packed ? packed_weights : plain[i]);
    if (!s && plan->reorder[i] && !is_packed) {
      s = dnnl_memory_create(&own[i], &plan->wanted[i], engine, scratch);
      scratch += padded(plan->scratch_bytes[i]);
      if (!s && !is_output(pass, i))
        s = reorder(plan->reorder[i], stream, memory[i], own[i]);
    }
    args[n_args++] = (dnnl_exec_arg_t){argument[i], own[i] ? own[i] : memory[i]};
  }
  if (!s && plan->scratchpad_bytes) {
    s = dnnl_memory_create(&scratchpad, &plan->scratchpad, engine, scratch);
    args[n_args++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, scratchpad};
  }
  if (!s && plan->key.has_bias) {
    s = dnnl_memory_create(&bias, &plan->bias, engine, (void *)b);
    args[n_args++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, bias};
  }
  if (!s) s = dnnl_primitive_execute(plan->primitive, stream, n_args, args);
  for (int i = 0; !s && i < N_BUFFERS; i++)
    if (own[i] && is_output(pass, i))
      s = reorder(plan->reorder[i], stream, own[i], memory[i]);
  if (stream) {
    if (!s) s = dnnl_stream_wait(stream);
    dnnl_stream_destroy(stream);
  }
  for (int i = 0; i < N_BUFFERS; i++) {
    if (memory[i]) dnnl_memory_destroy(memory[i]);
    if (own[i]) dnnl_memory_destroy(own[i]);
  }
  if (bias) dnnl_memory_destroy(bias);
  if (scratchpad) dnnl_memory_destroy(scratchpad);
  return s;
}

static Plan *plan_of(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype,
                     bool has_bias, bool keeps_weights) {
  if (omp_get_max_threads() != lp_num_threads()) omp_set_num_threads(lp_num_threads());
  PlanKey key;
  memset(&key, 0, sizeof key); /* the padding bytes are compared too */
  key.pass = pass;
  key.dtype = dtype;
  key.has_bias = has_bias;
  key.threads = lp_num_threads();
  key.keeps_weights = keeps_weights;
  key.geometry.ndim = g->ndim;
  key.geometry.n = g->n;
  key.geometry.c = g->c;
  key.geometry.k = g->k;
  key.geometry.groups = g->groups;
  for (int d = 0; d < g->ndim; d++) {
    key.geometry.in[d] = g->in[d];
    key.geometry.out[d] = g->out[d];
    key.geometry.kernel[d] = g->kernel[d];
    key.geometry.stride[d] = g->stride[d];
    key.geometry.padding[d] = g->padding[d];
    key.geometry.dilation[d] = g->dilation[d];
  }
  return plan_enter(&key);
}

/* The library divides by numbers that are 0 where a window lies in the padding alone, and
 * counts in 32 bits. */
#define MOST (1 << 24)
static bool is_ordinary(const LpConvGeometry *g) {
  for (int d = 0; d < g->ndim; d++) {
    const int64_t reach = (g->kernel[d] - 1) * g->dilation[d] + 1,
                  right =
                      (g->out[d] - 1) * g->stride[d] + reach - g->in[d] - g->padding[d];
    if (g->padding[d] >= reach || right >= reach || reach > MOST || g->stride[d] > MOST ||
        g->in[d] > MOST || g->out[d] > MOST)
      return false;
  }
  return g->n <= MOST && g->c <= MOST && g->k <= MOST;
}

/* Release 2.6 sums the weight gradient of dilated bfloat16 convolutions wrongly where it
 * uses tiles. */
static bool is_wrong(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype) {
  bool dilated = false;
  for (int d = 0; d < g->ndim; d++) dilated |= g->dilation[d] > 1;
  return pass == LP_CONV_WEIGHT_GRAD && dtype == LP_BFLOAT16 && dilated;
}

bool lp_conv_dnnl_serves(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype,
                         bool has_bias, bool keeps_weights) {
  if (!is_ordinary(g) || is_wrong(pass, g, dtype)) return false;
  Plan *plan = plan_of(pass, g, dtype, has_bias, keeps_weights);
  if (!plan) lp_error_clear(); /* the other kernels may have the memory */
  const bool usable = plan && plan->usable;
  if (plan) plan_leave(plan);
  return usable;
}

bool lp_conv_dnnl(const LpConvCall *call, const LpConvGeometry *g) {
  Plan *plan = plan_of(call->pass, g, call->dtype,
                       call->pass == LP_CONV_FORWARD && call->b, call->keeps_weights);
  TRY(plan);
  bool ok = plan->usable || lp_fail(LP_ERR_INTERNAL, "oneDNN has no kernel for a piece");
  if (ok) {
    LpKept *packed = call->weight ? packed_enter(plan, call->weight, call->w) : NULL;
    size_t wanted_bytes = padded(plan->scratchpad_bytes), capacity_bytes = 0;
    for (int i = 0; i < N_BUFFERS; i++)
      if (i != W || !packed) wanted_bytes += padded(plan->scratch_bytes[i]);
    char *scratch = wanted_bytes ? lp_block_alloc(wanted_bytes, &capacity_bytes) : NULL;
    ok = scratch || !wanted_bytes;
    if (ok) {
      void *buffers[N_BUFFERS] = {call->x, call->w, call->y};
      dnnl_status_t status = execute(plan, scratch, buffers, call->b,
                                     packed ? lp_kept_memory(packed) : NULL);
      ok = status == dnnl_success || failed(status, "convolution");
    }
    if (scratch) lp_block_free(scratch, capacity_bytes);
    lp_kept_leave(packed);
  }
  plan_leave(plan);
  return ok;
}
