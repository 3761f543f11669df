/* Type promotion over tensors: which dtype an op computes in, and where its result may
 * go. */
#include "dispatch/iter.h"

const char *lp_dtype_title(LpDtype dtype) {
  static const char *const titles[LP_DTYPE_COUNT] = {"Byte",           "Char",
                                                     "Short",          "Int",
                                                     "Long",           "Half",
                                                     "Float",          "Double",
                                                     "ComplexFloat",   "ComplexDouble",
                                                     "Bool",           "BFloat16",
                                                     "UInt16",         "UInt32",
                                                     "UInt64",         "Float8_e4m3fn",
                                                     "Float8_e5m2",    "Float8_e4m3fnuz",
                                                     "Float8_e5m2fnuz"};
  return dtype >= 0 && dtype < LP_DTYPE_COUNT ? titles[dtype] : "Undefined";
}

bool lp_can_cast(LpDtype from, LpDtype to) {
  if (lp_dtype_is_complex(from) && !lp_dtype_is_complex(to)) return false;
  if (lp_dtype_is_floating(from) && lp_dtype_is_integral(to, true)) return false;
  return !(to == LP_BOOL && from != LP_BOOL);
}

/* A member of a higher rank decides, unless the lower rank is of a higher category. */
static LpDtype combine(LpDtype higher, LpDtype lower) {
  if (higher == LP_DTYPE_NONE) return lower;
  if (lower == LP_DTYPE_NONE || lp_dtype_is_complex(higher)) return higher;
  if (lp_dtype_is_floating(higher))
    return lp_dtype_is_complex(lower) ? lp_dtype_to_complex(higher) : higher;
  if (higher == LP_BOOL || !lp_dtype_is_integral(lower, true))
    return lp_promote_types(higher, lower);
  return higher;
}

LpDtype lp_result_type(LpTensor *const *tensors, int n) {
  LpDtype ranks[3] = {LP_DTYPE_NONE, LP_DTYPE_NONE, LP_DTYPE_NONE};
  bool same = n > 0;
  for (int i = 0; i < n && same; i++)
    same = tensors[i]->dtype == tensors[0]->dtype &&
           !(tensors[i]->flags & LP_FLAG_WRAPPED_NUMBER);
  if (same) return (LpDtype)tensors[0]->dtype;
  for (int i = 0; i < n; i++) {
    const LpTensor *t = tensors[i];
    LpDtype dtype = (LpDtype)t->dtype;
    int rank = t->flags & LP_FLAG_WRAPPED_NUMBER ? 2 : t->ndim == 0;
    if (rank == 2) { /* a number has a category, not a width */
      if (lp_dtype_is_complex(dtype))
        dtype = lp_dtype_to_complex(lp_default_dtype());
      else if (lp_dtype_is_floating(dtype))
        dtype = lp_default_dtype();
    }
    ranks[rank] =
        ranks[rank] == LP_DTYPE_NONE ? dtype : lp_promote_types(ranks[rank], dtype);
  }
  return combine(ranks[0], combine(ranks[1], ranks[2]));
}
