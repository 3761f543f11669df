/* The rules of vmap for pointwise ops, views, reductions, indexing, products and
 * matrices. See rules.h. A rule that does not cover a call says VMAP_LOOP, which is
 * always right. */
#include "vmap/rules.h"

#include <string.h>

#include "autograd/node.h"
#include "dispatch/iter.h"
#include "lampad/ops.h"

static const LpDevice same_device = {LP_DEVICE_NONE, 0};

static bool is_one_of(const char *name, const char *const *names) {
  for (; *names; names++)
    if (strcmp(name, *names) == 0) return true;
  return false;
}

static Outcome result(VmapCall *c, LpTensor *t) {
  c->results[0].tensor = t;
  return t ? VMAP_DONE : VMAP_FAILED;
}
static Outcome called(VmapCall *c) {
  return vmap_call(c) ? VMAP_DONE : VMAP_FAILED;
}

/* --- pointwise: batch dims in front, ranks made equal
 * --------------------------------------------------- */

/* The operands that decide the dtype of a unary, binary or where-like op: [first, last).
 */
static void promoted_range(const VmapCall *c, int *first, int *last) {
  *first = *last = 0;
  if (c->form == LP_VMAP_INPLACE) return;
  if (c->op->kind == LP_KIND_BINARY) *last = 2;
  if (strcmp(c->op->cname, "where") == 0) *first = 1, *last = 3;
}

/* Note: dtypes. A batched 0-d operand becomes one with a dim, which weighs more in type
 * promotion; where that matters the operands are cast to what their logical forms promote
 * to. */
static bool cast_operands(VmapCall *c) {
  int first, last;
  promoted_range(c, &first, &last);
  bool mixed = false, zero_dim = false;
  for (int i = first; i < last; i++) {
    mixed |= c->args[i].tensor->dtype != c->args[first].tensor->dtype;
    zero_dim |= vmap_batched(c, c->args[i].tensor) && c->args[i].tensor->ndim == 0;
  }
  if (!mixed || !zero_dim) return true;
  LpTensor *operands[3];
  for (int i = first; i < last; i++) operands[i - first] = c->args[i].tensor;
  const LpDtype common = lp_result_type(operands, last - first);
  for (int i = first; i < last; i++) {
    if (!vmap_batched(c, c->args[i].tensor) || (LpDtype)c->a[i].tensor->dtype == common)
      continue;
    TRY(c->a[i].tensor = vmap_keep(
            c, lp_to_copy(c->a[i].tensor, common, same_device, LP_FORMAT_NONE)));
  }
  return true;
}

/* Every batched tensor argument becomes its batch, of the rank of the widest example. */
static bool align(VmapCall *c) {
  int ndim = 0;
  for (int i = 0; i < c->op->n_args; i++) {
    const LpTensor *t = vmap_is_tensor(c->op->args[i].type) ? c->args[i].tensor : NULL;
    if (t && t->ndim > ndim) ndim = t->ndim;
  }
  for (int i = 0; i < c->op->n_args; i++) {
    if (!vmap_is_tensor(c->op->args[i].type) || !vmap_batched(c, c->args[i].tensor))
      continue;
    TRY(c->a[i].tensor = vmap_lift(c, c->args[i].tensor, ndim));
  }
  return true;
}

Outcome vmap_pointwise(VmapCall *c) {
  /* In place, the batch itself is written: it cannot be lifted to the rank of a wider
   * operand. */
  if (!align(c) || !cast_operands(c)) return VMAP_FAILED;
  return called(c);
}

/* Ops that take leading dims as they come (linalg, tril): as pointwise, without dtypes.
 */
static Outcome leading(VmapCall *c) {
  return align(c) ? called(c) : VMAP_FAILED;
}

/* clone, zeros_like, ...: a memory format of the example's rank does not fit the batch's.
 */
Outcome vmap_like(VmapCall *c) {
  for (int i = 0; i < c->op->n_args; i++)
    if (c->op->args[i].type == LP_ARG_OPT_FORMAT && c->a[i].format > LP_PRESERVE)
      c->a[i].format = LP_PRESERVE;
  return vmap_pointwise(c);
}

static Outcome masked_fill(VmapCall *c) {
  LpTensor *value = c->args[2].tensor;
  if (!vmap_batched(c, value)) return vmap_pointwise(c);
  if (c->form == LP_VMAP_INPLACE || value->ndim) return VMAP_LOOP;
  if (!align(c)) return VMAP_FAILED;
  LpTensor *self = c->a[0].tensor;
  LpTensor *cast = vmap_keep(
      c, lp_to_copy(c->a[2].tensor, (LpDtype)self->dtype, same_device, LP_FORMAT_NONE));
  return cast ? result(c, lp_where(c->a[1].tensor, cast, self)) : VMAP_FAILED;
}

/* --- dims and sizes: the batch dim stands in front of them
 * ------------------------------------------------- */

static const char *const dim_names[] = {"dim",  "dim0",      "dim1", "dim2",
                                        "dims", "dimension", NULL};
static const char *const size_names[] = {"size", "sizes", "self_size", NULL};

static int64_t rank_of(const VmapCall *c) {
  for (int i = 0; i < c->op->n_args; i++) {
    if (c->op->args[i].type == LP_ARG_INTS && is_one_of(c->op->args[i].name, size_names))
      return c->args[i].ints.count;
  }
  for (int i = 0; i < c->op->n_args; i++) {
    if (vmap_is_tensor(c->op->args[i].type) && c->args[i].tensor)
      return c->args[i].tensor->ndim;
    if (vmap_is_list(c->op->args[i].type) && c->args[i].tensors.count)
      return c->args[i].tensors.data[0]->ndim;
  }
  return 0;
}

/* A dim of an example as a dim of the batch; false when it is out of range. */
static bool shift_dim(int64_t *dim, int64_t ndim) {
  if (*dim < -ndim || *dim >= ndim) return false;
  if (*dim >= 0) ++*dim;
  return true;
}

/* [sizes] -> [batch, sizes]. */
static bool prefix_sizes(VmapCall *c, int i) {
  const LpInts given = c->args[i].ints;
  int64_t *at = vmap_ints(c, given.count + 1);
  TRY(at);
  at[0] = c->batch;
  if (given.count) memcpy(at + 1, given.data, (size_t)given.count * sizeof *at);
  c->a[i].ints = lp_ints(at, given.count + 1);
  return true;
}

/* Shifts every dim among the arguments. all_when_empty: an absent or empty list means all
 * dims. VMAP_DONE when everything fits. */
static Outcome shift_arguments(VmapCall *c, int64_t extra, bool all_when_empty) {
  const int64_t ndim = rank_of(c) + extra;
  if (ndim == 0) return VMAP_LOOP;
  for (int i = 0; i < c->op->n_args; i++) {
    const LpArgInfo *arg = &c->op->args[i];
    const LpInts given = c->args[i].ints;
    if ((arg->type == LP_ARG_INTS || arg->type == LP_ARG_OPT_INTS) &&
        is_one_of(arg->name, size_names)) {
      if (given.count >= 0 && !prefix_sizes(c, i)) return VMAP_FAILED;
    } else if (!is_one_of(arg->name, dim_names)) {
      continue;
    } else if (arg->type == LP_ARG_INT) {
      if (!shift_dim(&c->a[i].i, ndim)) return VMAP_LOOP;
    } else if (arg->type == LP_ARG_OPT_INT) {
      if (!c->a[i].opt_int.has || !shift_dim(&c->a[i].opt_int.value, ndim))
        return VMAP_LOOP;
    } else if (arg->type == LP_ARG_INTS || arg->type == LP_ARG_OPT_INTS) {
      const int64_t n = given.count <= 0 && all_when_empty ? ndim
                        : given.count < 0                  ? 0
                                                           : given.count;
      int64_t *at = vmap_ints(c, n + 1);
      if (!at) return VMAP_FAILED;
      for (int64_t k = 0; k < n; k++) {
        at[k] = given.count <= 0 ? k : given.data[k];
        if (!shift_dim(&at[k], ndim)) return VMAP_LOOP;
      }
      c->a[i].ints = lp_ints(at, n);
    }
  }
  return VMAP_DONE;
}

/* Puts batches in front of all tensor arguments except those named `but` (which must have
 * none). */
static Outcome front_tensors(VmapCall *c, const char *but) {
  for (int i = 0; i < c->op->n_args; i++) {
    const LpArgInfo *arg = &c->op->args[i];
    if (!vmap_is_tensor(arg->type) || !c->args[i].tensor) continue;
    if (but && strcmp(arg->name, but) == 0) {
      if (vmap_batched(c, c->args[i].tensor)) return VMAP_LOOP;
      continue;
    }
    if (!(c->a[i].tensor = vmap_front(c, c->args[i].tensor))) return VMAP_FAILED;
  }
  return VMAP_DONE;
}

static Outcome shifted(VmapCall *c, int64_t extra, bool all_when_empty, const char *but) {
  Outcome outcome = shift_arguments(c, extra, all_when_empty);
  if (outcome == VMAP_DONE) outcome = front_tensors(c, but);
  return outcome == VMAP_DONE ? called(c) : outcome;
}
static Outcome dims(VmapCall *c) {
  return shifted(c, 0, false, NULL);
}
static Outcome new_dim(VmapCall *c) {
  return shifted(c, 1, false, NULL);
}
static Outcome by_index(VmapCall *c) {
  return shifted(c, 0, false, "index");
}

/* new_zeros, ...: the sizes say everything. */
static Outcome new_sizes(VmapCall *c) {
  const int at = vmap_arg(c, "size");
  if (!prefix_sizes(c, at)) return VMAP_FAILED;
  c->a[0].tensor = vmap_behind(c, 0);
  return called(c);
}

/* Reductions: 0-d examples are given a dim of 1 to reduce over. */
static Outcome reduction(VmapCall *c) {
  LpTensor *self = c->args[0].tensor;
  if (self->ndim > 0) return shifted(c, 0, true, NULL);
  const int keepdim = vmap_arg(c, "keepdim"), dim = vmap_arg(c, "dim");
  if (dim < 0 || (keepdim >= 0 && c->args[keepdim].b)) return VMAP_LOOP;
  const LpArgType type = c->op->args[dim].type;
  if ((type != LP_ARG_INTS && type != LP_ARG_OPT_INTS) || c->args[dim].ints.count > 0)
    return VMAP_LOOP;
  int64_t *one = vmap_ints(c, 1);
  if (!one) return VMAP_FAILED;
  *one = 1;
  c->a[dim].ints = lp_ints(one, 1);
  c->a[0].tensor = vmap_keep(c, lp_unsqueeze(self->physical, 1));
  return c->a[0].tensor ? called(c) : VMAP_FAILED;
}

/* Reductions of everything have partners over dims. */
static Outcome reduce_all(VmapCall *c) {
  LpTensor *self = c->args[0].tensor;
  const int64_t flat_sizes[] = {c->batch, self->numel}, one = 1;
  LpTensor *flat = vmap_reshape(c, self->physical, flat_sizes, 2);
  if (!flat) return VMAP_FAILED;
  const char *name = c->op->cname;
  const LpInts along = lp_ints(&one, 1);
  if (strcmp(name, "sum") == 0)
    return result(c, lp_sum_dim(flat, along, false, c->args[1].dtype));
  if (strcmp(name, "mean") == 0)
    return result(c, lp_mean_dim(flat, along, false, c->args[1].dtype));
  if (strcmp(name, "prod") == 0)
    return result(c, lp_prod_dim_int(flat, 1, false, c->args[1].dtype));
  if (strcmp(name, "max") == 0) return result(c, lp_amax(flat, along, false));
  if (strcmp(name, "min") == 0) return result(c, lp_amin(flat, along, false));
  if (strcmp(name, "all") == 0) return result(c, lp_all_dim(flat, 1, false));
  if (strcmp(name, "any") == 0) return result(c, lp_any_dim(flat, 1, false));
  LpTensor *both[2] = {NULL, NULL};
  const bool ok = strcmp(name, "median") == 0 ? lp_median_dim(flat, 1, false, both)
                                              : lp_nanmedian_dim(flat, 1, false, both);
  lp_tensor_release(both[1]);
  return ok ? result(c, both[0]) : VMAP_FAILED;
}

static Outcome arg_extreme(VmapCall *c) {
  if (c->args[1].opt_int.has) return dims(c);
  if (c->args[2].b) return VMAP_LOOP;
  LpTensor *self = c->args[0].tensor;
  const int64_t flat_sizes[] = {c->batch, self->numel};
  c->a[0].tensor = vmap_reshape(c, self->physical, flat_sizes, 2);
  c->a[1].opt_int = (LpOptInt){true, 1};
  return c->a[0].tensor ? called(c) : VMAP_FAILED;
}

/* --- views
 * --------------------------------------------------------------------------------------------------
 */

static Outcome permute(VmapCall *c) {
  const LpInts given = c->args[1].ints;
  int64_t *at = vmap_ints(c, given.count + 1);
  if (!at) return VMAP_FAILED;
  at[0] = 0;
  for (int64_t k = 0; k < given.count; k++) {
    at[k + 1] = given.data[k];
    if (!shift_dim(&at[k + 1], c->args[0].tensor->ndim)) return VMAP_LOOP;
  }
  c->a[0].tensor = vmap_behind(c, 0);
  c->a[1].ints = lp_ints(at, given.count + 1);
  return called(c);
}

/* view and its kin; -1 is worked out from the example. */
static Outcome view(VmapCall *c) {
  LpTensor *self = c->args[0].tensor;
  if (!prefix_sizes(c, 1)) return VMAP_FAILED;
  int64_t known = 1, unknown = -1;
  int64_t *sizes = (int64_t *)c->a[1].ints.data;
  for (int64_t k = 1; k < c->a[1].ints.count; k++) {
    if (sizes[k] != -1)
      known *= sizes[k];
    else if (unknown < 0)
      unknown = k;
    else
      return VMAP_LOOP;
  }
  if (unknown >= 0) {
    if (known <= 0 || self->numel % known) return VMAP_LOOP;
    sizes[unknown] = self->numel / known;
  }
  c->a[0].tensor = self->physical;
  return called(c);
}

static Outcome expand(VmapCall *c) {
  LpTensor *self = c->args[0].tensor;
  if (c->args[1].ints.count < self->ndim) return VMAP_LOOP;
  if (!prefix_sizes(c, 1)) return VMAP_FAILED;
  c->a[0].tensor = vmap_lift(c, self, c->args[1].ints.count);
  return c->a[0].tensor ? called(c) : VMAP_FAILED;
}

static Outcome squeeze_all(VmapCall *c) {
  LpTensor *p = c->args[0].tensor->physical;
  int64_t ones[LP_MAX_DIMS], n = 0;
  for (int d = 1; d < p->ndim; d++)
    if (p->sizes[d] == 1) ones[n++] = d;
  if (c->form == LP_VMAP_INPLACE) {
    while (n > 0)
      if (!lp_squeeze_dim_inplace_(p, ones[--n])) return VMAP_FAILED;
    return VMAP_DONE;
  }
  return result(c, lp_squeeze_dims(p, lp_ints(ones, n)));
}

static Outcome transpose_matrix(VmapCall *c) {
  LpTensor *self = c->args[0].tensor;
  if (self->ndim > 2) return VMAP_LOOP;
  if (c->form == LP_VMAP_INPLACE) {
    const bool ok = self->ndim < 2 || lp_transpose_inplace_(self->physical, 1, 2);
    return ok ? VMAP_DONE : VMAP_FAILED;
  }
  return result(c, self->ndim < 2 ? lp_alias(self->physical)
                                  : lp_transpose(self->physical, 1, 2));
}

static Outcome as_strided(VmapCall *c) {
  LpTensor *p = c->args[0].tensor->physical;
  const LpInts strides = c->args[2].ints;
  int64_t *at = vmap_ints(c, strides.count + 1);
  if (!at || !prefix_sizes(c, 1)) return VMAP_FAILED;
  at[0] = p->strides[0];
  if (strides.count) memcpy(at + 1, strides.data, (size_t)strides.count * sizeof *at);
  c->a[0].tensor = p;
  c->a[2].ints = lp_ints(at, strides.count + 1);
  if (!c->args[3].opt_int.has) c->a[3].opt_int = (LpOptInt){true, p->offset_elems};
  return called(c);
}

/* cat, stack of tensors of one dtype. */
static Outcome join(VmapCall *c) {
  const LpTensors list = c->args[0].tensors;
  LpTensor *few[64];
  if (list.count > 64) return VMAP_LOOP;
  for (int64_t i = 0; i < list.count; i++)
    if (!(few[i] = vmap_front(c, list.data[i]))) return VMAP_FAILED;
  int64_t dim = c->args[1].i;
  const bool stacks = c->op->cname[0] == 's';
  if (!shift_dim(&dim, list.data[0]->ndim + (stacks ? 1 : 0))) return VMAP_LOOP;
  c->a[0].tensors = (LpTensors){few, list.count};
  c->a[1].i = dim;
  return called(c);
}

/* --- indexing
 * -------------------------------------------------------------------------------------------------
 */

/* The indexed dims [first, last) when they stand together, without a batched or boolean
 * index. */
static bool plain_indices(const VmapCall *c, LpTensors indices, int64_t *first,
                          int64_t *last) {
  *first = *last = -1;
  for (int64_t i = 0; i < indices.count; i++) {
    const LpTensor *t = indices.data[i];
    if (!t) continue;
    if (*first >= 0 && *last != i) return false;
    if (*first < 0) *first = i;
    *last = i + 1;
    if (t->dtype == LP_BOOL || t->dtype == LP_UINT8) return false;
  }
  return *first >= 0;
}

static Outcome index_by(VmapCall *c) {
  const LpTensors indices = c->args[1].tensors;
  LpTensor *list[LP_MAX_DIMS + 1];
  bool any = false;
  int64_t ndim = 0, first, last;
  for (int64_t i = 0; i < indices.count; i++) {
    const LpTensor *t = indices.data[i];
    if (!t) continue;
    any |= vmap_batched(c, t);
    if (t->ndim > ndim) ndim = t->ndim;
    if (vmap_batched(c, t) && t->dtype == LP_BOOL) {
      lp_fail(
          LP_ERR_ARGUMENT,
          "vmap: We do not support batching operators that can support dynamic shape. "
          "Attempting to batch over indexing with a boolean mask");
      return VMAP_FAILED;
    }
  }
  const bool plain = plain_indices(c, indices, &first, &last);
  if (!plain || indices.count >= LP_MAX_DIMS) return VMAP_LOOP;
  LpTensor *self = c->args[0].tensor;
  const bool batched = vmap_batched(c, self);
  int64_t n = 0;
  if (batched && !any) { /* the same places of every example */
    list[n++] = NULL;
    for (int64_t i = 0; i < indices.count; i++) list[n++] = indices.data[i];
    return result(c, lp_index(self->physical, (LpTensors){list, n}));
  }
  if (batched) { /* other places of every example: its number is one more index */
    if (first != 0) return VMAP_LOOP;
    LpTensor *number =
        vmap_keep(c, lp_arange(lp_scalar_int(c->batch), LP_INT64, lp_cpu(), false));
    int64_t sizes[LP_MAX_DIMS + 1] = {c->batch};
    for (int64_t d = 1; d <= ndim; d++) sizes[d] = 1;
    if (!number || !(list[n++] = vmap_reshape(c, number, sizes, ndim + 1)))
      return VMAP_FAILED;
  }
  for (int64_t i = 0; i < indices.count; i++) {
    list[n] = indices.data[i];
    if (vmap_batched(c, list[n]) && !(list[n] = vmap_lift(c, indices.data[i], ndim)))
      return VMAP_FAILED;
    n++;
  }
  LpTensor *picked = lp_index(batched ? self->physical : self, (LpTensors){list, n});
  if (!picked || batched || first == 0) return result(c, picked);
  LpTensor *front = lp_movedim_int(picked, first, 0);
  lp_tensor_release(picked);
  return result(c, front);
}

static Outcome index_select(VmapCall *c) {
  LpTensor *self = c->args[0].tensor, *at = c->args[2].tensor;
  if (!vmap_batched(c, at)) return by_index(c);
  if (vmap_batched(c, self) || self->ndim == 0 || at->ndim != 1) return VMAP_LOOP;
  int64_t dim = c->args[1].i, sizes[LP_MAX_DIMS + 1], n = 0;
  if (!lp_wrap_dim(dim, self->ndim, &dim)) return VMAP_FAILED;
  const int64_t flat = c->batch * at->sizes[0];
  LpTensor *places = vmap_reshape(c, at->physical, &flat, 1);
  LpTensor *picked = places ? vmap_keep(c, lp_index_select(self, dim, places)) : NULL;
  if (!picked) return VMAP_FAILED;
  for (int64_t d = 0; d < self->ndim; d++) {
    if (d == dim) sizes[n++] = c->batch;
    sizes[n++] = d == dim ? at->sizes[0] : self->sizes[d];
  }
  LpTensor *wide = vmap_reshape(c, picked, sizes, n);
  return wide ? result(c, lp_movedim_int(wide, dim, 0)) : VMAP_FAILED;
}

static Outcome one_hot(VmapCall *c) {
  if (c->args[1].i < 0) {
    lp_fail(
        LP_ERR_ARGUMENT,
        "When vmap-ing torch.nn.functional.one_hot, please provide an explicit positive "
        "num_classes argument");
    return VMAP_FAILED;
  }
  c->a[0].tensor = vmap_behind(c, 0);
  return called(c);
}

static Outcome dynamic_shape(VmapCall *c) {
  lp_fail(LP_ERR_ARGUMENT,
          "vmap: We do not support batching operators that can output dynamic shape. "
          "Attempted to vmap over "
          "%s. We recommend using operators such as where() instead",
          c->op->name);
  return VMAP_FAILED;
}

static Outcome refuse(VmapCall *c) {
  lp_fail(LP_ERR_ARGUMENT, "vmap: %s%s is not supported inside vmap", c->op->name,
          c->form == LP_VMAP_INPLACE ? "_" : "");
  return VMAP_FAILED;
}

static Outcome as_is(VmapCall *c) {
  (void)c;
  return VMAP_AS_IS;
}

/* --- products
 * --------------------------------------------------------------------------------------------------
 */

static Outcome mm(VmapCall *c) {
  return result(c, lp_matmul(vmap_behind(c, 0), vmap_behind(c, 1)));
}

static Outcome matmul(VmapCall *c) {
  LpTensor *self = c->args[0].tensor, *other = c->args[1].tensor;
  if (self->ndim < 2 || other->ndim < 2) return VMAP_AS_IS;
  /* A composite leaves the recording to what it is made of. */
  if (lp_wants_grad(self) || lp_wants_grad(other)) return VMAP_AS_IS;
  if (!align(c)) return VMAP_FAILED;
  return result(c, lp_matmul(c->a[0].tensor, c->a[1].tensor));
}

/* [.., n, k] x [.., k] -> [.., n] */
static LpTensor *matrix_vector(VmapCall *c, LpTensor *m, LpTensor *v, bool m_batched,
                               bool v_batched) {
  if (!v_batched) return lp_matmul(m, v);
  if (!m_batched) {
    LpTensor *turned = vmap_keep(c, lp_transpose(m, 0, 1));
    return turned ? lp_matmul(v, turned) : NULL;
  }
  LpTensor *column = vmap_keep(c, lp_unsqueeze(v, -1));
  LpTensor *product = column ? vmap_keep(c, lp_matmul(m, column)) : NULL;
  return product ? lp_squeeze_dim(product, -1) : NULL;
}

static Outcome mv(VmapCall *c) {
  if (c->args[0].tensor->ndim != 2 || c->args[1].tensor->ndim != 1) return VMAP_LOOP;
  return result(c, matrix_vector(c, vmap_behind(c, 0), vmap_behind(c, 1),
                                 vmap_batched(c, c->args[0].tensor),
                                 vmap_batched(c, c->args[1].tensor)));
}

static Outcome dot(VmapCall *c) {
  LpTensor *a = c->args[0].tensor, *b = c->args[1].tensor;
  if (a->ndim != 1 || b->ndim != 1 || a->dtype != b->dtype || a->sizes[0] != b->sizes[0])
    return VMAP_LOOP;
  if (!lp_dtype_is_floating((LpDtype)a->dtype)) return VMAP_LOOP;
  LpTensor *row = vmap_keep(c, lp_unsqueeze(vmap_behind(c, 0), -2));
  LpTensor *column = vmap_keep(c, lp_unsqueeze(vmap_behind(c, 1), -1));
  const int64_t sizes = c->batch;
  LpTensor *product = row && column ? vmap_keep(c, lp_matmul(row, column)) : NULL;
  return product ? result(c, lp_reshape(product, lp_ints(&sizes, 1))) : VMAP_FAILED;
}

/* input [.., in] x weight [out, in] + bias: a batch of inputs alone is a longer list of
 * rows. */
static Outcome linear(VmapCall *c) {
  LpTensor *input = c->args[0].tensor, *weight = c->args[1].tensor,
           *bias = c->args[2].tensor;
  if (!vmap_batched(c, weight) && !vmap_batched(c, bias)) {
    c->a[0].tensor = vmap_behind(c, 0);
    return called(c);
  }
  if (weight->ndim != 2) return VMAP_LOOP;
  LpTensor *product = NULL;
  if (!vmap_batched(c, weight)) {
    product = vmap_keep(c, lp_linear(vmap_behind(c, 0), weight, NULL));
  } else if (input->ndim == 1) {
    product = vmap_keep(c, matrix_vector(c, weight->physical, vmap_behind(c, 0), true,
                                         vmap_batched(c, input)));
  } else {
    LpTensor *turned = vmap_keep(c, lp_transpose(weight->physical, 1, 2));
    int64_t sizes[LP_MAX_DIMS + 1] = {c->batch, 1, 0};
    LpTensor *rows = vmap_behind(c, 0);
    const bool batched = vmap_batched(c, input);
    const int64_t width = input->sizes[input->ndim - 1];
    for (int d = 0; d + 1 < input->ndim; d++) sizes[1] *= input->sizes[d];
    sizes[2] = width;
    if (turned && input->ndim > 2) {
      rows =
          batched ? vmap_reshape(c, rows, sizes, 3) : vmap_reshape(c, rows, sizes + 1, 2);
    }
    product = turned && rows ? vmap_keep(c, lp_matmul(rows, turned)) : NULL;
    if (product && input->ndim > 2) {
      for (int d = 0; d + 1 < input->ndim; d++) sizes[d + 1] = input->sizes[d];
      sizes[input->ndim] = weight->sizes[0];
      product = vmap_reshape(c, product, sizes, input->ndim + 1);
    }
  }
  if (!product) return VMAP_FAILED;
  if (!bias) return result(c, lp_tensor_retain(product));
  LpTensor *added = vmap_batched(c, bias) ? vmap_lift(c, bias, input->ndim) : bias;
  return added ? result(c, lp_add(product, added, lp_scalar_int(1))) : VMAP_FAILED;
}

/* addmm and its kin: beta * self + alpha * product, on the logical tensors. */
static LpTensor *scaled(VmapCall *c, LpTensor *t, LpScalar by) {
  if (by.kind != LP_SCALAR_COMPLEX && lp_scalar_to_double(by) == 1) return t;
  LpTensor *number = vmap_keep(c, lp_tensor_wrapped(by));
  return number ? vmap_keep(c, lp_mul(t, number)) : NULL;
}

static Outcome add_product(VmapCall *c) {
  if (c->form == LP_VMAP_INPLACE) return VMAP_LOOP;
  const char *name = c->op->cname;
  LpTensor *t[3];
  for (int i = 0; i < 3; i++)
    if (!(t[i] = vmap_bare(c, c->args[i].tensor))) return VMAP_FAILED;
  const LpScalar beta = c->args[3].scalar, alpha = c->args[4].scalar;
  const int64_t zero = 0;
  lp_tls_vmap_depth = c->depth;
  LpTensor *product = NULL;
  if (strcmp(name, "addmm") == 0)
    product = lp_mm(t[1], t[2]);
  else if (strcmp(name, "addmv") == 0)
    product = lp_mv(t[1], t[2]);
  else if (strcmp(name, "addr") == 0)
    product = lp_outer(t[1], t[2]);
  else
    product = lp_bmm(t[1], t[2]);
  product = vmap_keep(c, product);
  if (product && strcmp(name, "addbmm") == 0)
    product = vmap_keep(c, lp_sum_dim(product, lp_ints(&zero, 1), false, LP_DTYPE_NONE));
  if (product) product = scaled(c, product, alpha);
  const bool only_product =
      beta.kind != LP_SCALAR_COMPLEX && lp_scalar_to_double(beta) == 0;
  LpTensor *self = product && !only_product ? scaled(c, t[0], beta) : NULL;
  LpTensor *sum = NULL;
  if (product && only_product)
    sum = lp_expand(product, lp_sizes(product));
  else if (product && self)
    sum = lp_add(self, product, lp_scalar_int(1));
  vmap_descend(c);
  if (!sum) return VMAP_FAILED;
  c->results[0].tensor = sum;
  return VMAP_WRAPPED;
}

/* Solvers whose right-hand side may be a vector: only matrices keep their meaning under
 * leading dims. */
static Outcome solve(VmapCall *c) {
  if (c->args[0].tensor->ndim < 2 || c->args[1].tensor->ndim != c->args[0].tensor->ndim)
    return VMAP_LOOP;
  return leading(c);
}

const VmapEntry lp_vmap_rules[] = {
    /* pointwise natives */
    {"gelu", vmap_pointwise},
    {"gelu_backward", vmap_pointwise},
    {"div_mode", vmap_pointwise},
    {"widen", vmap_pointwise},
    {"clamp", vmap_pointwise},
    {"clamp_backward", vmap_pointwise},
    {"clamp_tensor", vmap_pointwise},
    {"isclose", vmap_pointwise},
    {"where", vmap_pointwise},
    {"lerp", vmap_pointwise},
    {"addcmul", vmap_pointwise},
    {"addcdiv", vmap_pointwise},
    {"complex", vmap_pointwise},
    {"round_decimals", vmap_pointwise},
    {"nan_to_num", vmap_pointwise},
    {"logit", vmap_pointwise},
    {"logit_backward", vmap_pointwise},
    {"polygamma", vmap_pointwise},
    {"binary_cross_entropy_elements", vmap_pointwise},
    {"copy", vmap_pointwise},
    {"fill", vmap_pointwise},
    {"zero", vmap_pointwise},
    {"detach", vmap_pointwise},
    {"alias", vmap_pointwise},
    {"view_as_real", vmap_pointwise},
    {"view_as_complex", vmap_pointwise},
    {"masked_fill", masked_fill},
    {"clone", vmap_like},
    {"to_copy", vmap_like},
    {"empty_like", vmap_like},
    {"zeros_like", vmap_like},
    {"ones_like", vmap_like},
    {"full_like", vmap_like},
    {"new_empty", new_sizes},
    {"new_zeros", new_sizes},
    {"new_ones", new_sizes},
    {"new_full", new_sizes},
    /* dims */
    {"slice", dims},
    {"squeeze_dim", dims},
    {"squeeze_dims", dims},
    {"unsqueeze", new_dim},
    {"transpose", dims},
    {"select", dims},
    {"diagonal", dims},
    {"unfold", dims},
    {"split", dims},
    {"split_with_sizes", dims},
    {"unbind", dims},
    {"diag_embed", new_dim},
    {"select_scatter", dims},
    {"slice_scatter", dims},
    {"diagonal_scatter", dims},
    {"gather", dims},
    {"scatter_src", dims},
    {"scatter_value", dims},
    {"scatter_reduce", dims},
    {"scatter_value_reduce", dims},
    {"scatter_add", dims},
    {"scatter_reduce_two", dims},
    {"index_add", by_index},
    {"index_copy", by_index},
    {"index_fill_int_scalar", by_index},
    {"index_select", index_select},
    {"cumsum", dims},
    {"cumprod", dims},
    {"cummax", dims},
    {"cummin", dims},
    {"logcumsumexp", dims},
    {"sort", dims},
    {"sort_stable", dims},
    {"argsort", dims},
    {"argsort_stable", dims},
    {"topk", dims},
    {"kthvalue", dims},
    {"mode", dims},
    {"median_dim", dims},
    {"nanmedian_dim", dims},
    {"prod_dim_int", dims},
    {"max_dim", dims},
    {"min_dim", dims},
    {"all_dim", dims},
    {"any_dim", dims},
    {"select_backward", dims},
    {"slice_backward", dims},
    {"diagonal_backward", dims},
    {"unfold_backward", dims},
    {"flip", dims},
    {"unsqueeze_inplace", new_dim},
    {"squeeze_dim_inplace", dims},
    {"transpose_inplace", dims},
    {"softmax", dims},
    {"log_softmax", dims},
    {"softmax_grad", dims},
    {"log_softmax_grad", dims},
    /* views */
    {"permute", permute},
    {"view", view},
    {"unsafe_view", view},
    {"expand", expand},
    {"squeeze", squeeze_all},
    {"squeeze_inplace", squeeze_all},
    {"t", transpose_matrix},
    {"t_inplace", transpose_matrix},
    {"as_strided", as_strided},
    {"cat_same", join},
    {"stack_same", join},
    /* reductions */
    {"sum", reduce_all},
    {"mean", reduce_all},
    {"prod", reduce_all},
    {"max", reduce_all},
    {"min", reduce_all},
    {"all", reduce_all},
    {"any", reduce_all},
    {"median", reduce_all},
    {"nanmedian", reduce_all},
    {"sum_dim", reduction},
    {"nansum", reduction},
    {"mean_dim", reduction},
    {"amax", reduction},
    {"amin", reduction},
    {"all_dims", reduction},
    {"any_dims", reduction},
    {"count_nonzero", reduction},
    {"var_correction", reduction},
    {"std_correction", reduction},
    {"linalg_vector_norm", reduction},
    {"logsumexp", reduction},
    {"argmax", arg_extreme},
    {"argmin", arg_extreme},
    /* indexing */
    {"index", index_by},
    {"one_hot", one_hot},
    {"nonzero", dynamic_shape},
    {"nonzero_numpy", dynamic_shape},
    {"where_condition", dynamic_shape},
    {"masked_select", dynamic_shape},
    {"_unique2", dynamic_shape},
    {"unique_dim", dynamic_shape},
    {"_unique_consecutive", dynamic_shape},
    {"repeat_interleave", dynamic_shape},
    {"resize", refuse},
    {"resize_as", refuse},
    {"set", refuse},
    {"is_same_size", as_is},
    {"masked_scatter_backward", vmap_loop},
    /* products and matrices */
    {"mm", mm},
    {"bmm", mm},
    {"matmul", matmul},
    {"linalg_matmul", matmul},
    {"mv", mv},
    {"dot", dot},
    {"linear", linear},
    {"addmm", add_product},
    {"addmv", add_product},
    {"addr", add_product},
    {"baddbmm", add_product},
    {"addbmm", add_product},
    {"tril", leading},
    {"triu", leading},
    {"linalg_inv", leading},
    {"linalg_inv_ex", leading},
    {"linalg_det", leading},
    {"linalg_slogdet", leading},
    {"linalg_cholesky", leading},
    {"linalg_cholesky_ex", leading},
    {"linalg_qr", leading},
    {"linalg_lu_factor", leading},
    {"linalg_lu_factor_ex", leading},
    {"linalg_svd", leading},
    {"linalg_eigh", leading},
    {"linalg_eig", leading},
    {"svdvals_only", leading},
    {"eigvalsh_only", leading},
    {"eigvals_only", leading},
    {"cholesky_inverse", leading},
    {"linalg_solve", solve},
    {"linalg_solve_ex", solve},
    {"linalg_solve_triangular", solve},
    {"cholesky_solve", solve},
    {NULL, NULL}};
