/* The boxed calling convention: every op can be called through an array of LpValue. The binding,
 * the op fuzzer and graph tools use it; op_db (generated) describes each op's arguments. */
#ifndef LP_CORE_VALUE_H
#define LP_CORE_VALUE_H

#include "lampad/base.h"

typedef enum LpArgType {
  LP_ARG_TENSOR,
  LP_ARG_OPT_TENSOR,
  LP_ARG_TENSORS,     /* Tensor[] */
  LP_ARG_OPT_TENSORS, /* Tensor?[]: entries may be NULL */
  LP_ARG_SCALAR,
  LP_ARG_OPT_SCALAR,
  LP_ARG_INT,
  LP_ARG_OPT_INT,
  LP_ARG_FLOAT,
  LP_ARG_OPT_FLOAT,
  LP_ARG_BOOL,
  LP_ARG_OPT_BOOL,
  LP_ARG_INTS,     /* int[] or int[N] */
  LP_ARG_OPT_INTS, /* int[]? */
  LP_ARG_FLOATS,
  LP_ARG_OPT_FLOATS,
  LP_ARG_STR,
  LP_ARG_OPT_STR,
  LP_ARG_DTYPE,
  LP_ARG_OPT_DTYPE,
  LP_ARG_OPT_DEVICE,
  LP_ARG_OPT_GENERATOR,
  LP_ARG_OPT_FORMAT, /* memory_format */
  LP_ARG_MASK        /* unsigned: which results are wanted (internal ops) */
} LpArgType;

typedef union LpValue {
  LpTensor *tensor;
  LpTensors tensors;
  LpScalar scalar;
  LpOptScalar opt_scalar;
  int64_t i;
  LpOptInt opt_int;
  double f;
  LpOptFloat opt_float;
  bool b;
  LpOptBool opt_bool;
  LpInts ints;
  LpFloats floats;
  const char *str;
  LpDtype dtype;
  LpDevice device;
  LpGenerator *generator;
  LpMemoryFormat format;
  unsigned mask;
  LpTensorVec vec; /* result of type Tensor[] */
} LpValue;

typedef enum LpResultType {
  LP_RESULT_NONE,
  LP_RESULT_TENSOR,
  LP_RESULT_TENSORS, /* Tensor[] */
  LP_RESULT_BOOL,
  LP_RESULT_INT,
  LP_RESULT_FLOAT,
  LP_RESULT_SCALAR,
  LP_RESULT_DTYPE
} LpResultType;

typedef struct LpArgInfo {
  const char *name;
  LpArgType type;
  int16_t fixed_count;   /* int[N]: N, so that one number may stand for all; else 0 */
  bool keyword_only;     /* after `*` */
  bool has_default;
  LpValue default_value;
  const char *default_text; /* as written in the schema; NULL without a default */
} LpArgInfo;

#define LP_MAX_ARGS 20
#define LP_MAX_RESULTS 8

enum { /* LpOpInfo.variants */
  LP_VARIANT_FUNCTION = 1,
  LP_VARIANT_METHOD = 2,
  LP_VARIANT_INPLACE = 4, /* the op also exists as name_ */
  LP_VARIANT_OUT = 8,
  LP_VARIANT_INTERNAL = 16 /* reachable from C and formulas only */
};

typedef enum LpOpKind { LP_KIND_UNARY, LP_KIND_BINARY, LP_KIND_NATIVE, LP_KIND_VIEW, LP_KIND_COMPOSITE } LpOpKind;

/* What autocast casts the tensors among an op's arguments to (dispatch/autocast.h). */
typedef enum LpAutocastClass {
  LP_AUTOCAST_NONE,
  LP_AUTOCAST_LOWER_PRECISION, /* the dtype of the region */
  LP_AUTOCAST_FP32,
  LP_AUTOCAST_PROMOTE,         /* float32 when some of them are */
  LP_AUTOCAST_FP32_INSIDE      /* float32; results get the dtype of the first one */
} LpAutocastClass;

/* One schema row. */
typedef struct LpOpInfo {
  const char *name;      /* "max" */
  const char *overload;  /* "dim", "" when there is none */
  const char *module;    /* "" (torch), "nn.functional", "linalg", ... */
  const char *signature; /* as written */
  const char *source;    /* "tensor/ops/reduce.lua:12" */
  const char *doc;
  const char *example;
  const char *cases;     /* newline separated */
  const char *aliases;   /* space separated */
  const char *cname;     /* as in C: "max_dim" */
  LpOpKind kind;
  LpAutocastClass autocast;
  unsigned variants;
  bool differentiable;
  int n_args, n_results;
  const LpArgInfo *args;
  LpResultType result_types[LP_MAX_RESULTS];
  const char *result_names[LP_MAX_RESULTS];
  /* Results are owned by the caller. `out` variants take the out tensors (n_results of them) first. */
  bool (*call)(const LpValue *args, LpValue *results); /* NULL for an op that exists only in place */
  bool (*call_inplace)(const LpValue *args); /* args[0] is self; NULL when there is none */
  bool (*call_out)(LpTensor *const *outs, const LpValue *args);
} LpOpInfo;

/* All ops in schema order. */
LP_API const LpOpInfo *const *lp_op_db(int *count);

#endif
