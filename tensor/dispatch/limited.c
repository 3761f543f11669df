/* The ops that take limited dtypes: see limited.h. */
#include "dispatch/limited.h"
#include <string.h>
#include "core/tensor.h"
#include "dispatch/shape.h"

/* Files of the schema whose ops only move elements, or only convert them. */
static const char *const moving_files[] = {"tensor/ops/shape.lua:",
                                           "tensor/ops/copies.lua:"};
/* Other ops that only move elements or fill with them. */
static const char *const moving[] = {
    "empty",         "zeros",         "ones",      "full",      "empty_strided",
    "empty_like",    "zeros_like",    "ones_like", "full_like", "scalar_tensor",
    "new_empty",     "new_zeros",     "new_ones",  "new_full",  "index_select",
    "gather",        "index",         "index_put", "where",     "masked_select",
    "slice_scatter", "select_scatter"};
/* Ops that are computed in a dtype that holds the same values. */
static const char *const widened[] = {"eq",    "ne",       "equal", "isnan",
                                      "isinf", "isfinite", "any",   "all"};

static bool has_name(const LpOpInfo *op, const char *const *names, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(op->name, names[i]) == 0) return true;
  return false;
}

#define HAS_NAME(op, names) has_name(op, names, sizeof(names) / sizeof *(names))

static bool only_moves(const LpOpInfo *op, const LpValue *args) {
  if (op->kind == LP_KIND_VIEW) return true;
  if (strstr(op->name, "backward")) return false; /* they add */
  for (size_t i = 0; i < sizeof moving_files / sizeof *moving_files; i++)
    if (strncmp(op->source, moving_files[i], strlen(moving_files[i])) == 0) return true;
  if (!HAS_NAME(op, moving) || strcmp(op->overload, "condition") == 0) return false;
  for (int i = 0; i < op->n_args; i++)
    if (strcmp(op->args[i].name, "accumulate") == 0 && args[i].b) return false;
  return true;
}

static bool is_tensor_arg(const LpArgInfo *a) {
  return a->type == LP_ARG_TENSOR || a->type == LP_ARG_OPT_TENSOR;
}

static bool is_list_arg(const LpArgInfo *a) {
  return a->type == LP_ARG_TENSORS || a->type == LP_ARG_OPT_TENSORS;
}

static bool is_limited(const LpTensor *t) {
  return t && lp_dtype_is_limited((LpDtype)t->dtype);
}

/* The first limited dtype among the arguments, or NONE. */
static LpDtype limited_among(const LpOpInfo *op, const LpValue *args) {
  for (int i = 0; i < op->n_args; i++) {
    const LpArgInfo *a = &op->args[i];
    if (is_tensor_arg(a) && is_limited(args[i].tensor))
      return (LpDtype)args[i].tensor->dtype;
    for (int64_t k = 0; is_list_arg(a) && k < args[i].tensors.count; k++)
      if (is_limited(args[i].tensors.data[k]))
        return (LpDtype)args[i].tensors.data[k]->dtype;
    if ((a->type == LP_ARG_DTYPE || a->type == LP_ARG_OPT_DTYPE) &&
        lp_dtype_is_limited(args[i].dtype))
      return args[i].dtype;
  }
  return LP_DTYPE_NONE;
}

static int compute_widened(const LpOpInfo *op, const LpValue *args, LpValue *results) {
  LpValue wide[LP_MAX_ARGS];
  LpTensor *made[LP_MAX_ARGS] = {NULL};
  bool ok = true;
  for (int i = 0; ok && i < op->n_args; i++) {
    wide[i] = args[i];
    if (!is_tensor_arg(&op->args[i]) || !is_limited(args[i].tensor)) continue;
    const LpDtype dtype = (LpDtype)args[i].tensor->dtype;
    /* The bits of uint64, in int64, are equal when the numbers are. */
    const LpDtype to = lp_dtype_is_floating(dtype) ? LP_FLOAT32 : LP_INT64;
    ok = (made[i] = lp_cast_raw(args[i].tensor, to)) != NULL;
    wide[i].tensor = made[i];
  }
  ok = ok && op->call(wide, results);
  for (int i = 0; i < op->n_args; i++) lp_tensor_release(made[i]);
  return ok ? 1 : -1;
}

int lp_limited_try(const LpOpInfo *op, LpVmapForm form, const LpValue *args,
                   LpValue *results) {
  const LpDtype dtype = limited_among(op, args);
  if (dtype == LP_DTYPE_NONE || only_moves(op, args)) return 0;
  if (form == LP_VMAP_PLAIN && op->call && HAS_NAME(op, widened))
    return compute_widened(op, args, results);
  lp_fail(LP_ERR_TYPE,
          "is not implemented for %s, which is only held, copied and converted; convert "
          "the tensor first, with x:to(torch.%s) for example",
          lp_dtype_name(dtype), lp_dtype_is_floating(dtype) ? "float32" : "int64");
  return -1;
}
