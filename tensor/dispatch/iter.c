/* The broadcasting iterator (iter.h): shapes, layout of results, overlap, casting, the
 * walk. */
#include "dispatch/iter.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include "core/parallel.h"
#include "cpu/copy.h"
#include "dispatch/layout.h"
#include "dispatch/rows.h"

/* Elements between two looks at the interrupt flag: a few dozen microseconds of cheap
 * work. */
#define CHECK_ELEMS 65536
/* Of a cast buffer: those of eight operands take 32 KiB of stack. */
#define CAST_BYTES 4096

void lp_iter_init(LpIter *it) {
  it->n_operands = it->n_outputs = 0;
  it->output_dtype = it->common_dtype = it->loop_dtype = it->round_dtype = LP_DTYPE_NONE;
  it->exact_scalars = false;
  it->cast_inputs = it->allow_overlap = it->no_resize = it->mixes_layouts = false;
  it->takes_deferred = false;
  it->keep_dtype = it->cast_mask = it->deferred_mask = it->made = 0;
  it->cast_elems = CAST_BYTES;
  it->ndim = it->numbers_from = 0;
  it->numel = 0;
}

void lp_iter_output(LpIter *it, LpTensor *t_or_null) {
  ASSERT(it->n_operands == it->n_outputs && it->n_operands < LP_ITER_MAX_OPERANDS);
  it->operands[it->n_operands++] = t_or_null;
  it->n_outputs++;
}

void lp_iter_input(LpIter *it, LpTensor *t) {
  ASSERT(it->n_operands < LP_ITER_MAX_OPERANDS);
  it->operands[it->n_operands++] = t;
}

LpTensor *lp_iter_take(LpIter *it, int i) {
  const bool made = it->made >> i & 1;
  it->made &= ~(1u << i);
  return made ? it->operands[i] : lp_tensor_retain(it->operands[i]);
}

void lp_iter_done(LpIter *it) {
  for (int k = 0; it->made >> k; k++)
    if (it->made >> k & 1) lp_tensor_release(it->operands[k]);
  it->made = 0;
  it->n_operands = it->n_outputs = 0;
}

/* --- shapes ------------------------------------------------------------------------- */

bool lp_broadcast_shapes(const LpInts *shapes, int n, int64_t *out, int64_t *out_ndim) {
  int64_t ndim = 0;
  for (int k = 0; k < n; k++)
    if (shapes[k].count > ndim) ndim = shapes[k].count;
  for (int64_t d = 0; d < ndim; d++) out[d] = 1;
  for (int k = 0; k < n; k++) {
    int64_t lead = ndim - shapes[k].count;
    for (int64_t d = lead; d < ndim; d++) {
      int64_t size = shapes[k].data[d - lead];
      if (size == out[d] || size == 1) continue;
      if (out[d] == 1) {
        out[d] = size;
        continue;
      }
      LpInts before = n == 2 ? shapes[0] : lp_ints(out, ndim);
      char a[256], b[256];
      return lp_fail(
          LP_ERR_ARGUMENT,
          "shapes %s and %s cannot be broadcast together: the size of tensor a (%lld) "
          "must match the size of tensor b (%lld) at non-singleton dimension %lld",
          lp_format_ints(before, a, sizeof a), lp_format_ints(shapes[k], b, sizeof b),
          (long long)out[d], (long long)size, (long long)d);
    }
  }
  *out_ndim = ndim;
  return true;
}

static bool same_shape(const LpTensor *a, const LpTensor *b) {
  if (a->ndim != b->ndim || a->numel != b->numel) return false;
  for (int d = 0; d < a->ndim; d++)
    if (a->sizes[d] != b->sizes[d]) return false;
  return true;
}

/* The first element of operand k as the memory lies; after settle_layouts. */
static char *first_byte(const LpIter *it, int k) {
  const LpTensor *t = it->operands[k];
  int64_t strides[LP_MAX_DIMS], offset = t->offset_elems;
  if (lp_lies_channels_last(t->storage)) {
    lp_hidden_geometry(t, strides, &offset);
    if (k < it->n_outputs)
      lp_lying_room(t->storage);
    else
      lp_lying_data(t->storage);
  }
  return (char *)t->storage->memory + offset * (int64_t)lp_dtype_size(t->dtype);
}

/* --- overlap ------------------------------------------------------------------------ */

/* Every element of one block of memory belongs to exactly one index. */
static bool is_dense(const LpTensor *t) {
  if (t->is_contiguous || t->numel <= 1) return true;
  bool used[LP_MAX_DIMS] = {false};
  int64_t want = 1;
  for (int left = t->ndim; left > 0; left--) {
    int found = -1;
    for (int d = 0; d < t->ndim && found < 0; d++)
      if (!used[d] && (t->sizes[d] == 1 || t->strides[d] == want)) found = d;
    if (found < 0) return false;
    used[found] = true;
    want *= t->sizes[found];
  }
  return true;
}

static bool same_strides(const LpTensor *a, const LpTensor *b) {
  for (int d = 0; d < a->ndim; d++)
    if (a->sizes[d] != 1 && a->strides[d] != b->strides[d]) return false;
  return true;
}

/* An output may be an input, element for element; it may not share memory otherwise. As
 * in PyTorch only dense tensors are judged, others are too hard to tell. */
static bool check_overlap(const LpIter *it, const LpTensor *out) {
  for (int d = 0; d < out->ndim && out->numel; d++)
    CHECK(out->strides[d] != 0 || out->sizes[d] == 1, LP_ERR_ARGUMENT,
          "unsupported operation: more than one element of the written-to tensor (shape "
          "%s) refers "
          "to a single memory location. Please clone() the tensor before performing the "
          "operation",
          SHAPE_TEXT(out));
  for (int k = it->n_outputs; k < it->n_operands; k++) {
    const LpTensor *in = it->operands[k];
    if (in == out || in->storage != out->storage || !in->numel || !out->numel) continue;
    char *out_at = lp_data(out), *in_at = lp_data(in);
    char *out_end = out_at + out->numel * (int64_t)lp_dtype_size(out->dtype);
    char *in_end = in_at + in->numel * (int64_t)lp_dtype_size(in->dtype);
    if (out_end <= in_at || in_end <= out_at) continue;
    if (!is_dense(out) || !is_dense(in)) continue;
    if (out_at == in_at && out_end == in_end && same_shape(out, in) &&
        same_strides(out, in))
      continue;
    CHECK(false, LP_ERR_ARGUMENT,
          "unsupported operation: some elements of the input tensor and the written-to "
          "tensor refer "
          "to a single memory location. Please clone() the tensor before performing the "
          "operation");
  }
  return true;
}

/* --- casting ------------------------------------------------------------------------ */

static bool is_cast(const LpIter *it, int k) {
  return it->cast_mask >> k & 1;
}
static bool is_deferred(const LpIter *it, int k) {
  return it->deferred_mask >> k & 1;
}

static bool plan_cast(LpIter *it, int k) {
  const LpTensor *t = it->operands[k];
  bool is_output = k < it->n_outputs;
  LpDtype wanted = is_output ? it->loop_dtype : it->common_dtype;
  LpDtype dtype = (LpDtype)t->dtype;
  if (it->keep_dtype >> k & 1) return true;
  if (is_output && dtype != it->output_dtype)
    CHECK(lp_can_cast(it->output_dtype, dtype), LP_ERR_TYPE,
          "result type %s can't be cast to the desired output type %s",
          lp_dtype_title(it->output_dtype), lp_dtype_title(dtype));
  bool rounds = !is_output && it->round_dtype != LP_DTYPE_NONE &&
                dtype != it->round_dtype && !(it->exact_scalars && t->ndim == 0);
  if (dtype == wanted && !rounds && !is_deferred(it, k)) return true;
  it->rounds[k] = rounds ? lp_cast_loop(it->round_dtype, dtype) : NULL;
  if (rounds) dtype = it->round_dtype;
  it->casts[k] = dtype == wanted ? NULL
                 : is_output     ? lp_cast_loop(dtype, wanted)
                                 : lp_cast_loop(wanted, dtype);
  if (!is_output && t->numel == 1) {
    _Alignas(16) char rounded[16];
    char *ptrs[2] = {rounded, it->data[k]};
    if (rounds) it->rounds[k](ptrs, (int64_t[2]){0, 0}, 1, NULL);
    if (rounds) ptrs[1] = rounded;
    ptrs[0] = it->scalars[k];
    it->casts[k](ptrs, (int64_t[2]){0, 0}, 1, NULL);
    it->data[k] = it->scalars[k];
    for (int d = 0; d < it->ndim; d++) it->strides[k][d] = 0;
    return true;
  }
  it->loop_sizes[k] = (int8_t)lp_dtype_size(wanted);
  it->cast_mask |= 1u << k;
  if (CAST_BYTES / it->loop_sizes[k] < it->cast_elems)
    it->cast_elems = CAST_BYTES / it->loop_sizes[k];
  return true;
}

static bool plan_casts(LpIter *it) {
  if (it->cast_inputs)
    for (int k = 0; k < it->n_operands; k++) TRY(plan_cast(it, k));
  return true;
}

/* --- building ----------------------------------------------------------------------- */

/* A view of a part of hidden memory, where neighbours may lie apart. */
static bool is_hidden_part(const LpTensor *t) {
  return lp_lies_channels_last(t->storage) && !lp_is_hidden(t);
}

/* Where an operand of build_plain begins; of deferred inputs that are taken as they are,
 * in their source. An output that is one of them need not be computed before. */
static char *plain_data(LpIter *it, int k) {
  LpStorage *s = it->operands[k]->storage;
  if (!it->takes_deferred || !lp_lies_channels_last(s) || !s->deferred)
    return first_byte(it, k);
  if (k >= it->n_outputs) {
    it->deferred_mask |= 1u << k;
    return lp_lying_data(s->deferred->source);
  }
  for (int i = it->n_outputs; i < it->n_operands; i++)
    if (it->operands[i] == it->operands[k]) return s->memory;
  return first_byte(it, k);
}

/* Common case: every operand is contiguous with one shape, or 0-d. False: take the
 * general way. */
static bool is_plain(const LpIter *it, const LpTensor **model) {
  const LpTensor *m = NULL;
  for (int k = it->n_outputs; k < it->n_operands; k++) {
    const LpTensor *t = it->operands[k];
    if (!t->is_contiguous || is_hidden_part(t)) return false;
    if (t->ndim == 0) continue;
    if (!m)
      m = t;
    else if (!same_shape(m, t))
      return false;
  }
  if (!m) m = it->operands[it->n_outputs];
  for (int k = 0; k < it->n_outputs; k++) {
    const LpTensor *t = it->operands[k];
    if (t && (!t->is_contiguous || is_hidden_part(t) || !same_shape(m, t))) return false;
  }
  *model = m;
  return true;
}

static bool add_output(LpIter *it, int k, LpTensor *made) {
  if (!made) return false;
  it->operands[k] = made;
  it->made |= 1u << k;
  return true;
}

static bool build_plain(LpIter *it, const LpTensor *model, LpDevice device) {
  const LpInts sizes = lp_ints(model->sizes, model->ndim);
  for (int k = 0; k < it->n_outputs; k++)
    if (!it->operands[k])
      TRY(add_output(it, k,
                     lp_is_hidden(model)
                         ? lp_tensor_new_hidden(sizes, it->output_dtype)
                         : lp_tensor_new(sizes, it->output_dtype, device)));
  it->ndim = 1;
  it->shape[0] = it->numel = model->numel;
  for (int k = 0; k < it->n_operands; k++) {
    const LpTensor *t = it->operands[k];
    it->data[k] = plain_data(it, k);
    it->strides[k][0] = t->ndim == 0 ? 0 : (int64_t)lp_dtype_size(t->dtype);
  }
  return plan_casts(it);
}

/* Byte strides of operand k over the broadcast shape, outermost first. */
static void broadcast_strides(const LpTensor *t, int64_t ndim, int64_t *strides) {
  int64_t lead = ndim - t->ndim, size = (int64_t)lp_dtype_size(t->dtype);
  int64_t hidden[LP_MAX_DIMS], offset;
  const int64_t *own = t->strides;
  if (lp_lies_channels_last(t->storage) && lp_hidden_geometry(t, hidden, &offset))
    own = hidden;
  for (int64_t d = 0; d < lead; d++) strides[d] = 0;
  for (int64_t d = lead; d < ndim; d++)
    strides[d] = t->sizes[d - lead] == 1 ? 0 : own[d - lead] * size;
}

/* > 0 when dim a should be outside dim b, judged by the first operand that tells them
 * apart. */
static int compare_dims(const LpIter *it, unsigned known, int a, int b,
                        const int64_t *shape) {
  for (int k = 0; k < it->n_operands; k++) {
    if (!(known >> k & 1)) continue;
    int64_t sa = it->strides[k][a], sb = it->strides[k][b];
    if (sa == 0 || sb == 0) continue;
    if (sa != sb) return sa < sb ? -1 : 1;
    if (shape[a] > shape[b]) return 1;
  }
  return 0;
}

/* perm[0] is the innermost dim. */
static void sort_dims(const LpIter *it, unsigned known, const int64_t *shape, int ndim,
                      int *perm) {
  for (int d = 0; d < ndim; d++) perm[d] = ndim - 1 - d;
  for (int i = 1; i < ndim; i++) {
    int at = i;
    for (int j = i - 1; j >= 0; j--) {
      int order = compare_dims(it, known, perm[j], perm[at], shape);
      if (order < 0) break;
      if (order == 0) continue;
      int t = perm[j];
      perm[j] = perm[at];
      perm[at] = t;
      at = j;
    }
  }
}

/* The result takes the inputs' order of dims, so a transposed input gives a transposed
 * result. */
static LpTensor *new_output(const LpIter *it, const int64_t *shape, int ndim,
                            const int *perm, bool is_hidden, LpDevice device) {
  if (is_hidden) return lp_tensor_new_hidden(lp_ints(shape, ndim), it->output_dtype);
  bool row_major = true;
  for (int d = 0; d < ndim; d++) row_major = row_major && perm[d] == ndim - 1 - d;
  if (row_major) return lp_tensor_new(lp_ints(shape, ndim), it->output_dtype, device);
  int64_t strides[LP_MAX_DIMS], next = 1;
  for (int d = 0; d < ndim; d++) {
    strides[perm[d]] = next;
    next *= shape[perm[d]] > 1 ? shape[perm[d]] : 1;
  }
  return lp_tensor_new_strided(lp_ints(shape, ndim), lp_ints(strides, ndim),
                               it->output_dtype, device);
}

/* Reorders to innermost first and joins neighbours that every operand walks as one dim.
 */
static void reorder_and_coalesce(LpIter *it, const int64_t *shape, int ndim,
                                 const int *perm) {
  int64_t old[LP_MAX_DIMS];
  for (int k = 0; k < it->n_operands; k++) {
    memcpy(old, it->strides[k], (size_t)ndim * sizeof *old);
    for (int d = 0; d < ndim; d++) it->strides[k][d] = old[perm[d]];
  }
  int n = 0;
  for (int d = 0; d < ndim; d++) {
    int64_t size = shape[perm[d]];
    if (size == 1) continue;
    bool joins = n > 0;
    for (int k = 0; k < it->n_operands && joins; k++)
      joins = it->strides[k][d] == it->strides[k][n - 1] * it->shape[n - 1];
    if (joins) {
      it->shape[n - 1] *= size;
      continue;
    }
    it->shape[n] = size;
    for (int k = 0; k < it->n_operands; k++) it->strides[k][n] = it->strides[k][d];
    n++;
  }
  if (n == 0) { /* one element: a 1-d walk of length 1 */
    it->shape[0] = 1;
    for (int k = 0; k < it->n_operands; k++) it->strides[k][0] = 0;
    n = 1;
  }
  it->ndim = n;
}

static bool build_general(LpIter *it, bool is_hidden, LpDevice device) {
  int n_in = it->n_operands - it->n_outputs;
  LpInts shapes[LP_ITER_MAX_OPERANDS];
  int64_t shape[LP_MAX_DIMS], ndim = 0;
  for (int k = 0; k < n_in; k++) shapes[k] = lp_sizes(it->operands[it->n_outputs + k]);
  if (n_in == 0) shapes[n_in++] = lp_sizes(it->operands[0]);
  TRY(lp_broadcast_shapes(shapes, n_in, shape, &ndim));
  TRY(lp_numel_of(lp_ints(shape, ndim), &it->numel));

  unsigned known =
      0; /* operands whose layout counts: not the outputs to be made or resized */
  for (int k = 0; k < it->n_operands; k++) {
    LpTensor *t = it->operands[k];
    if (!t) continue;
    if (k < it->n_outputs) {
      bool fits =
          t->ndim == ndim && memcmp(t->sizes, shape, (size_t)ndim * sizeof *shape) == 0;
      if (!fits) {
        CHECK(!it->no_resize, LP_ERR_ARGUMENT,
              "output with shape %s doesn't match the broadcast shape %s", SHAPE_TEXT(t),
              lp_format_ints(lp_ints(shape, ndim), (char[256]){0}, 256));
        lp_storage_data(t->storage);
        TRY(lp_tensor_resize_out(t, lp_ints(shape, ndim)));
        continue;
      }
    }
    known |= 1u << k;
    broadcast_strides(t, ndim, it->strides[k]);
  }
  int perm[LP_MAX_DIMS];
  sort_dims(it, known, shape, (int)ndim, perm);
  for (int k = 0; k < it->n_operands; k++) {
    if (!it->operands[k])
      TRY(add_output(it, k, new_output(it, shape, (int)ndim, perm, is_hidden, device)));
    if (!(known >> k & 1)) broadcast_strides(it->operands[k], ndim, it->strides[k]);
    it->data[k] = first_byte(it, k);
  }
  reorder_and_coalesce(it, shape, (int)ndim, perm);
  return plan_casts(it);
}

/* The device of the operands that are not numbers; they must agree. */
static bool common_device(const LpIter *it, LpDevice *device) {
  const LpTensor *first = NULL;
  for (int k = 0; k < it->n_operands; k++) {
    const LpTensor *t = it->operands[k];
    if (!t) continue;
    if (!first || (first->ndim == 0 && t->ndim > 0)) first = t;
  }
  *device = first ? first->storage->device : lp_cpu();
  for (int k = 0; k < it->n_operands; k++) {
    const LpTensor *t = it->operands[k];
    if (!t || (t->ndim == 0 && k >= it->n_outputs && t->storage->device.type == LP_CPU))
      continue;
    LpDevice d = t->storage->device;
    CHECK(d.type == device->type && d.index == device->index, LP_ERR_DEVICE,
          "expected all tensors to be on the same device, but found at least two, %s:%d "
          "and %s:%d",
          device->type == LP_CUDA ? "cuda" : "cpu", device->index,
          d.type == LP_CUDA ? "cuda" : "cpu", d.index);
  }
  return true;
}

/* Does t, whose dims are the last ones of the hidden model's, go with its layout: as one
 * that lies alike, or with memory that need not be walked row by row? */
static bool goes_with(const LpTensor *t, const LpTensor *model) {
  if (t->ndim > model->ndim) return false;
  for (int d = 1; d <= t->ndim; d++) {
    const int64_t size = t->sizes[t->ndim - d];
    if (size != 1 && size != model->sizes[model->ndim - d]) return false;
  }
  if (lp_is_hidden_view(t)) return t->numel == model->numel;
  if (t->numel < model->numel) return true;
  for (int d = model->ndim - 1; d >= 2; d--)
    if (t->sizes[d] != 1) return t->strides[d] != 1;
  return true;
}

/* Hidden operands stay so when all others go with them; else they are put in row-major
 * order. Tells whether new results are to lie likewise. */
static bool settle_layouts(const LpIter *it) {
  const LpTensor *model = NULL;
  bool any = false;
  for (int k = 0; k < it->n_operands; k++)
    any |= it->operands[k] && lp_lies_channels_last(it->operands[k]->storage);
  if (LP_LIKELY(!any)) return false;
  for (int k = 0; k < it->n_operands && !model; k++)
    if (it->operands[k] && lp_is_hidden_view(it->operands[k])) model = it->operands[k];
  bool keeps = model && !it->mixes_layouts;
  for (int k = 0; k < it->n_operands && keeps; k++)
    keeps = !it->operands[k] || goes_with(it->operands[k], model);
  for (int k = 0; k < it->n_operands; k++) {
    const LpTensor *t = it->operands[k];
    int64_t strides[LP_MAX_DIMS], offset;
    if (!t || !lp_lies_channels_last(t->storage)) continue;
    const bool stays = it->mixes_layouts ? lp_hidden_geometry(t, strides, &offset)
                                         : keeps && lp_is_hidden_view(t);
    if (!stays) lp_storage_data(t->storage);
  }
  return keeps;
}

bool lp_iter_build(LpIter *it) {
  LpDevice device;
  TRY(common_device(it, &device));
  if (it->cast_inputs && it->common_dtype == LP_DTYPE_NONE)
    it->common_dtype =
        lp_result_type(it->operands + it->n_outputs, it->n_operands - it->n_outputs);
  if (it->output_dtype == LP_DTYPE_NONE) it->output_dtype = it->common_dtype;
  if (it->loop_dtype == LP_DTYPE_NONE) it->loop_dtype = it->output_dtype;
  if (!it->allow_overlap)
    for (int k = 0; k < it->n_outputs; k++)
      if (it->operands[k]) TRY(check_overlap(it, it->operands[k]));
  const bool is_hidden = settle_layouts(it);
  const LpTensor *model;
  if (it->n_operands > it->n_outputs && !it->mixes_layouts && is_plain(it, &model))
    return build_plain(it, model, device);
  return build_general(it, is_hidden, device);
}

void lp_iter_lengthen(LpIter *it) {
  if (it->ndim < 2 || it->shape[0] >= 12) return;
  int longest = 0;
  for (int d = 1; d < it->ndim; d++)
    if (it->shape[d] > it->shape[longest]) longest = d;
  if (it->shape[longest] < 8 * it->shape[0]) return;
  int64_t size = it->shape[0];
  it->shape[0] = it->shape[longest];
  it->shape[longest] = size;
  for (int k = 0; k < it->n_operands; k++) {
    int64_t stride = it->strides[k][0];
    it->strides[k][0] = it->strides[k][longest];
    it->strides[k][longest] = stride;
  }
}

/* --- running ------------------------------------------------------------------------ */

/* Note [There and back]: operands of some MiB pass through a core's own cache, and at the
 * end of an op what it holds is their ends. So every other large op walks from the end to
 * the front, block by block: it finds there what the op before has read or written. */
#define BLOCK_ELEMS 16384

typedef struct Run {
  const LpIter *it;
  LpLoop loop;
  LpRowsLoop rows_loop; /* NULL, or the same for many rows */
  const void *params;
  bool backwards;
  atomic_bool stopped;
} Run;

bool lp_iter_turn(void) {
  static _Thread_local bool last_backwards;
  return last_backwards = !last_backwards;
}

/* Computes or casts n elements of input k to a buffer's; at most it->cast_elems. */
static void cast_input(const LpIter *it, int k, char *to, char *from, int64_t stride,
                       int64_t n) {
  _Alignas(64) char computed[CAST_BYTES];
  _Alignas(64) char rounded[CAST_BYTES / 2]; /* halves, beside floats at least */
  if (is_deferred(it, k)) {
    const LpDeferred *d = it->operands[k]->storage->deferred;
    char *const whole = it->casts[k] ? computed : to;
    d->compute(d, whole, (from - it->data[k]) / stride, n,
               (LpBounds){-INFINITY, INFINITY});
    if (!it->casts[k]) return;
    from = whole;
  }
  if (it->rounds[k]) {
    it->rounds[k]((char *[2]){rounded, from}, (int64_t[2]){2, stride}, n, NULL);
    from = rounded;
    stride = 2;
  }
  it->casts[k]((char *[2]){to, from}, (int64_t[2]){it->loop_sizes[k], stride}, n, NULL);
}

/* One row of n elements, with the operands of cast_mask going through buffers. */
static void run_row_cast(const LpIter *it, char *const *ptrs, const int64_t *strides,
                         int64_t n, LpLoop loop, const void *params) {
  _Alignas(64) char buffers[LP_ITER_MAX_OPERANDS][CAST_BYTES];
  char *at[LP_ITER_MAX_OPERANDS];
  int64_t steps[LP_ITER_MAX_OPERANDS];
  for (int64_t done = 0; done < n; done += it->cast_elems) {
    int64_t m = n - done < it->cast_elems ? n - done : it->cast_elems;
    for (int k = 0; k < it->n_operands; k++) {
      at[k] = ptrs[k] + done * strides[k];
      steps[k] = strides[k];
      if (!is_cast(it, k)) continue;
      const bool is_number = k >= it->n_outputs && strides[k] == 0;
      if (k >= it->n_outputs)
        cast_input(it, k, buffers[k], at[k], strides[k], is_number ? 1 : m);
      at[k] = buffers[k];
      steps[k] = is_number ? 0 : it->loop_sizes[k];
    }
    loop(at, steps, m, params);
    for (int k = 0; k < it->n_outputs; k++) {
      if (!is_cast(it, k)) continue;
      char *pair[2] = {ptrs[k] + done * strides[k], buffers[k]};
      it->casts[k](pair, (int64_t[2]){strides[k], it->loop_sizes[k]}, m, NULL);
    }
  }
}

/* Outputs of deferred elements have now been written. */
static void note_written(const LpIter *it) {
  for (int k = 0; k < it->n_outputs; k++) {
    LpStorage *s = it->operands[k]->storage;
    if (lp_lies_channels_last(s) && s->deferred) lp_storage_written(s);
  }
}

/* Elements [begin, end) of the walk. */
static void run_forwards(Run *run, int64_t begin, int64_t end) {
  const LpIter *it = run->it;
  int64_t index[LP_MAX_DIMS], steps[LP_ITER_MAX_OPERANDS];
  char *ptrs[LP_ITER_MAX_OPERANDS];
  for (int64_t d = 0, rest = begin; d < it->ndim; d++) {
    index[d] = rest % it->shape[d];
    rest /= it->shape[d];
  }
  for (int k = 0; k < it->n_operands; k++) {
    steps[k] = it->strides[k][0];
    ptrs[k] = it->data[k];
    for (int d = 0; d < it->ndim; d++) ptrs[k] += index[d] * it->strides[k][d];
  }
  int64_t until_check = CHECK_ELEMS;
  for (int64_t at = begin; at < end;) {
    int64_t n = it->shape[0] - index[0];
    if (n > end - at) n = end - at;
    if (n > CHECK_ELEMS) n = CHECK_ELEMS;
    if (it->cast_mask)
      run_row_cast(it, ptrs, steps, n, run->loop, run->params);
    else
      run->loop(ptrs, steps, n, run->params);
    at += n;
    until_check -= n;
    if (until_check <= 0) {
      until_check = CHECK_ELEMS;
      if (lp_interrupt_pending())
        atomic_store_explicit(&run->stopped, true, memory_order_relaxed);
      if (atomic_load_explicit(&run->stopped, memory_order_relaxed)) return;
    }
    index[0] += n;
    for (int k = 0; k < it->n_operands; k++) ptrs[k] += n * steps[k];
    for (int d = 0; index[d] == it->shape[d] && d + 1 < it->ndim; d++) {
      index[d] = 0;
      index[d + 1]++;
      for (int k = 0; k < it->n_operands; k++)
        ptrs[k] += it->strides[k][d + 1] - it->shape[d] * it->strides[k][d];
    }
  }
}

static void run_range(void *ctx, int64_t begin, int64_t end) {
  Run *run = ctx;
  const int64_t blocks = (end - begin) / BLOCK_ELEMS;
  if (!run->backwards || blocks <= 1) {
    run_forwards(run, begin, end);
    return;
  }
  for (int64_t b = blocks; b-- > 0; end = begin + b * BLOCK_ELEMS) {
    if (lp_interrupt_pending())
      atomic_store_explicit(&run->stopped, true, memory_order_relaxed);
    if (atomic_load_explicit(&run->stopped, memory_order_relaxed)) return;
    run_forwards(run, begin + b * BLOCK_ELEMS, end);
  }
}

static bool run_over(LpIter *it, LpLoop loop, const void *params, bool parallel) {
  if (it->numel == 0) return true;
  if (it->ndim == 1 && !it->cast_mask && it->numel <= LP_GRAIN) {
    int64_t steps[LP_ITER_MAX_OPERANDS];
    for (int k = 0; k < it->n_operands; k++) steps[k] = it->strides[k][0];
    loop(it->data, steps, it->numel, params);
    return true;
  }
  Run run = {.it = it, .loop = loop, .params = params};
  if (parallel) {
    /* The source of deferred elements was walked to its end. */
    run.backwards = lp_iter_turn() || it->deferred_mask;
    lp_parallel_walk(it->numel, LP_GRAIN, run_range, &run, run.backwards);
  } else {
    run_forwards(&run, 0, it->numel);
  }
  if (!atomic_load(&run.stopped)) {
    if (it->takes_deferred) note_written(it);
    return true;
  }
  lp_interrupt_take();
  return lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt");
}

bool lp_iter_run(LpIter *it, LpLoop loop, const void *params) {
  return run_over(it, loop, params, true);
}

bool lp_iter_run_serial(LpIter *it, LpLoop loop, const void *params) {
  return run_over(it, loop, params, false);
}

/* --- packed rows -------------------------------------------------------------------- */

#define PACK_BYTES 4096 /* of an operand's buffer */
/* Longer rows are worth a call each: where rows are packed anew, and where they are used
 * as they lie or again, are one element repeated, or a call casts as well. */
#define PACK_MAX 64
#define PACK_MAX_REPEATED 256
/* Elements of rows that are worth a call each in any case. */
#define ROWS_MAX 2048
/* Elements of a plane (the first two dims) that are worth a call each. */
#define PLANE_MIN 512

/* What a loop over many rows reads of an operand. A run and a still one end with each
 * plane. */
typedef enum Packing {
  PACK_FLAT,  /* its memory, which runs on from row to row */
  PACK_SAME,  /* a row, packed once as often as there are rows */
  PACK_RUN,   /* its memory */
  PACK_STILL, /* as PACK_SAME, for each plane */
  PACK_EACH   /* each row, packed */
} Packing;

typedef struct Packed {
  Run run;
  bool planes;      /* are there runs or still ones? */
  int64_t rows_max; /* packed at a time */
  int sizes[LP_ITER_MAX_OPERANDS];
  Packing packing[LP_ITER_MAX_OPERANDS];
} Packed;

static Packing packing_of(const LpIter *it, int k, int size) {
  const int64_t *strides = it->strides[k], row = size * it->shape[0];
  bool flat = true, same = true;
  int64_t run = size;
  for (int d = 0; d < it->ndim; d++) {
    flat = flat && strides[d] == run;
    same = same && (d == 0 || strides[d] == 0);
    run *= it->shape[d];
  }
  if (flat) return PACK_FLAT;
  if (same) return PACK_SAME;
  if (it->shape[0] * it->shape[1] < PLANE_MIN) return PACK_EACH;
  if (strides[0] == size && strides[1] == row) return PACK_RUN;
  return strides[1] == 0 ? PACK_STILL : PACK_EACH;
}

static int64_t pack_max(const LpIter *it) {
  return it->numbers_from ? it->numbers_from - 1 : PACK_MAX;
}

/* False: not the case for packing. */
static bool plan_packing(const LpIter *it, Packed *p) {
  if (it->ndim < 2 || it->shape[0] > PACK_MAX_REPEATED || !it->numel) return false;
  int largest = 1;
  bool anew = false;
  p->planes = false;
  for (int k = 0; k < it->n_operands; k++) {
    const bool scalar = it->data[k] == it->scalars[k];
    const int size =
        (int)lp_dtype_size(scalar ? it->common_dtype : (LpDtype)it->operands[k]->dtype);
    const Packing packing = packing_of(it, k, size);
    if (k < it->n_outputs && packing != PACK_FLAT) return false;
    p->packing[k] = packing;
    p->planes = p->planes || packing == PACK_RUN || packing == PACK_STILL;
    anew = anew || (packing == PACK_EACH && (it->strides[k][0] != 0 || it->numbers_from));
    p->sizes[k] = size;
    if (size > largest) largest = size;
    if (is_cast(it, k) && it->loop_sizes[k] > largest) largest = it->loop_sizes[k];
  }
  if (anew && !it->cast_mask && it->shape[0] > pack_max(it)) return false;
  p->rows_max = PACK_BYTES / largest / it->shape[0];
  return p->rows_max > 1;
}

/* Where operand k's row number `row` begins; its index in the dims from 1 on. */
static const char *find_row(const LpIter *it, int k, int64_t row, int64_t *index) {
  const char *from = it->data[k];
  for (int64_t d = 1; d < it->ndim; d++) {
    index[d] = row % it->shape[d];
    row /= it->shape[d];
    from += index[d] * it->strides[k][d];
  }
  return from;
}

/* Packs operand k's rows from number `first` on. */
static void pack_operand(const LpIter *it, int k, int size, int64_t first, int64_t rows,
                         char *to) {
  const LpMove move = {it->ndim, size, it->shape, NULL, it->strides[k]};
  lp_move_rows(&move, to, it->data[k], first, rows);
}

/* Packs its row number `row` as often as asked. */
static void pack_repeated(const LpIter *it, int k, int size, int64_t row, int64_t times,
                          char *to) {
  const int64_t n = it->shape[0];
  int64_t index[LP_MAX_DIMS];
  const LpRowSteps r = {size, n, size, it->strides[k][0], n * size, 0};
  lp_copy_kernels()->move(&r, to, find_row(it, k, row, index), times);
}

/* Rows [begin, end) of the walk, as many at a time as the buffers hold. */
static void run_packed(void *ctx, int64_t begin, int64_t end) {
  Packed *p = ctx;
  const LpIter *it = p->run.it;
  const int64_t n = it->shape[0], plane_rows = it->shape[1];
  _Alignas(64) char buffers[LP_ITER_MAX_OPERANDS][PACK_BYTES];
  _Alignas(64) char casts[LP_ITER_MAX_OPERANDS][CAST_BYTES];
  char *at[LP_ITER_MAX_OPERANDS];
  int64_t steps[LP_ITER_MAX_OPERANDS], index[LP_MAX_DIMS], until_check = CHECK_ELEMS;
  for (int k = 0; k < it->n_operands; k++)
    steps[k] = is_cast(it, k) ? it->loop_sizes[k] : p->sizes[k];
  for (int64_t row = begin, m; row < end; row += m) {
    const int64_t in_plane = row % plane_rows;
    m = end - row < p->rows_max ? end - row : p->rows_max;
    if (p->planes && m > plane_rows - in_plane) m = plane_rows - in_plane;
    for (int k = 0; k < it->n_operands; k++) {
      const int size = p->sizes[k];
      int64_t elems = m * n; /* to be cast */
      at[k] = buffers[k];
      switch (p->packing[k]) {
      case PACK_FLAT: at[k] = it->data[k] + row * n * size; break;
      case PACK_RUN: at[k] = (char *)find_row(it, k, row, index); break;
      case PACK_SAME:
      case PACK_STILL:
        elems = 0;
        if (row != begin && (in_plane != 0 || p->packing[k] == PACK_SAME)) break;
        elems = p->packing[k] == PACK_SAME || p->rows_max < plane_rows ? p->rows_max
                                                                       : plane_rows;
        pack_repeated(it, k, size, row, elems, buffers[k]);
        elems *= n;
        break;
      case PACK_EACH: pack_operand(it, k, size, row, m, buffers[k]); break;
      }
      if (!is_cast(it, k)) continue;
      if (k >= it->n_outputs && elems > 0)
        cast_input(it, k, casts[k], at[k], size, elems);
      at[k] = casts[k];
    }
    p->run.loop(at, steps, m * n, p->run.params);
    for (int k = 0; k < it->n_outputs; k++) {
      if (!is_cast(it, k)) continue;
      char *pair[2] = {it->data[k] + row * n * p->sizes[k], casts[k]};
      it->casts[k](pair, (int64_t[2]){p->sizes[k], steps[k]}, m * n, NULL);
    }
    if ((until_check -= m * n) > 0) continue;
    until_check = CHECK_ELEMS;
    if (lp_interrupt_pending())
      atomic_store_explicit(&p->run.stopped, true, memory_order_relaxed);
    if (atomic_load_explicit(&p->run.stopped, memory_order_relaxed)) return;
  }
}

/* Rows [begin, end) of the walk as they lie. */
static void run_rows(Run *run, int64_t begin, int64_t end) {
  const LpIter *it = run->it;
  char *at[LP_ITER_MAX_OPERANDS];
  int64_t steps[LP_ITER_MAX_OPERANDS], row_steps[LP_ITER_MAX_OPERANDS];
  int64_t index[LP_MAX_DIMS];
  for (int k = 0; k < it->n_operands; k++) {
    steps[k] = it->strides[k][0];
    row_steps[k] = it->strides[k][1];
  }
  for (int64_t row = begin, m; row < end; row += m) {
    for (int k = 0; k < it->n_operands; k++) at[k] = (char *)find_row(it, k, row, index);
    m = it->shape[1] - index[1] < end - row ? it->shape[1] - index[1] : end - row;
    run->rows_loop(at, steps, it->shape[0], row_steps, m, run->params);
  }
}

static void run_rows_in_blocks(void *ctx, int64_t begin, int64_t end) {
  Run *run = ctx;
  const int64_t block = BLOCK_ELEMS / run->it->shape[0] + 1;
  while (begin < end && !atomic_load_explicit(&run->stopped, memory_order_relaxed)) {
    const int64_t n = end - begin < block ? end - begin : block;
    if (run->backwards)
      run_rows(run, end - n, end), end -= n;
    else
      run_rows(run, begin, begin + n), begin += n;
    if (lp_interrupt_pending())
      atomic_store_explicit(&run->stopped, true, memory_order_relaxed);
  }
}

bool lp_iter_run_packed(LpIter *it, LpLoop loop, LpRowsLoop rows_loop,
                        const void *params) {
  Packed p = {.run = {.it = it, .loop = loop, .rows_loop = rows_loop, .params = params}};
  const int64_t n = it->shape[0];
  if (plan_packing(it, &p)) {
    lp_parallel_for(it->numel / n, LP_GRAIN / n, run_packed, &p);
  } else if (rows_loop && it->ndim > 1 && !it->cast_mask && it->numel > 0 &&
             n > pack_max(it) && n <= ROWS_MAX) {
    p.run.backwards = lp_iter_turn();
    lp_parallel_walk(it->numel / n, LP_GRAIN / n, run_rows_in_blocks, &p.run,
                     p.run.backwards);
  } else {
    lp_iter_lengthen(it);
    return lp_iter_run(it, loop, params);
  }
  if (!atomic_load(&p.run.stopped)) return true;
  lp_interrupt_take();
  return lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt");
}
