/* Base types of the engine's public C API: dtypes, devices, scalars, spans, errors.
 * Every other public header includes this one; it includes nothing of the project. */
#ifndef LAMPAD_BASE_H
#define LAMPAD_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LP_API __attribute__((visibility("default")))
#define LP_MAX_DIMS 64

typedef struct LpTensor LpTensor;
typedef struct LpGenerator LpGenerator;

/* Element types, in PyTorch's ScalarType order without the ones out of scope. */
typedef enum LpDtype {
  LP_DTYPE_NONE = -1, /* an absent `dtype?` argument */
  LP_UINT8 = 0,
  LP_INT8,
  LP_INT16,
  LP_INT32,
  LP_INT64,
  LP_FLOAT16,
  LP_FLOAT32,
  LP_FLOAT64,
  LP_COMPLEX64,
  LP_COMPLEX128,
  LP_BOOL,
  LP_BFLOAT16,
  /* From here on: dtypes that are held, copied, converted, compared for equality and printed; no op computes in
   * them (lp_dtype_is_limited). */
  LP_UINT16,
  LP_UINT32,
  LP_UINT64,
  LP_FLOAT8_E4M3FN,
  LP_FLOAT8_E5M2,
  LP_FLOAT8_E4M3FNUZ,
  LP_FLOAT8_E5M2FNUZ,
  LP_DTYPE_COUNT
} LpDtype;

typedef enum LpDeviceType { LP_DEVICE_NONE = -1, LP_CPU = 0, LP_CUDA = 1 } LpDeviceType;

/* A device; type LP_DEVICE_NONE stands for an absent `device?` argument. */
typedef struct LpDevice {
  int8_t type;  /* LpDeviceType */
  int8_t index; /* 0 for the CPU */
} LpDevice;

typedef enum LpMemoryFormat {
  LP_FORMAT_NONE = -1,
  LP_CONTIGUOUS = 0,
  LP_PRESERVE,
  LP_CHANNELS_LAST,
  LP_CHANNELS_LAST_3D
} LpMemoryFormat;

typedef enum LpScalarKind { LP_SCALAR_BOOL, LP_SCALAR_INT, LP_SCALAR_FLOAT, LP_SCALAR_COMPLEX } LpScalarKind;

/* A number of the host language: what PyTorch calls a Scalar. */
typedef struct LpScalar {
  LpScalarKind kind;
  union {
    int64_t i; /* LP_SCALAR_BOOL (0 or 1) and LP_SCALAR_INT */
    double f;  /* LP_SCALAR_FLOAT */
    double c[2]; /* LP_SCALAR_COMPLEX: real, imaginary */
  } v;
} LpScalar;

/* Borrowed spans: valid during the call they are passed to. */
typedef struct LpInts {
  const int64_t *data;
  int64_t count; /* -1: an absent `int[]?` argument */
} LpInts;
typedef struct LpFloats {
  const double *data;
  int64_t count; /* -1: absent */
} LpFloats;
typedef struct LpTensors {
  LpTensor *const *data; /* entries may be NULL for `Tensor?[]` */
  int64_t count;
} LpTensors;

/* An owned list of tensors, as returned by ops such as split: release with lp_tensor_vec_free. */
typedef struct LpTensorVec {
  LpTensor **data;
  int64_t count;
} LpTensorVec;

typedef struct LpOptInt { bool has; int64_t value; } LpOptInt;
typedef struct LpOptFloat { bool has; double value; } LpOptFloat;
typedef struct LpOptBool { bool has; bool value; } LpOptBool;
typedef struct LpOptScalar { bool has; LpScalar value; } LpOptScalar;

static inline LpScalar lp_scalar_int(int64_t i) { LpScalar s = {LP_SCALAR_INT, {.i = i}}; return s; }
static inline LpScalar lp_scalar_bool(bool b) { LpScalar s = {LP_SCALAR_BOOL, {.i = b}}; return s; }
static inline LpScalar lp_scalar_float(double f) { LpScalar s = {LP_SCALAR_FLOAT, {.f = f}}; return s; }
static inline LpScalar lp_scalar_complex(double re, double im) {
  LpScalar s = {LP_SCALAR_COMPLEX, {.c = {re, im}}};
  return s;
}
/* The real part of a scalar as a double. */
static inline double lp_scalar_to_double(LpScalar s) {
  return s.kind == LP_SCALAR_FLOAT ? s.v.f : s.kind == LP_SCALAR_COMPLEX ? s.v.c[0] : (double)s.v.i;
}
/* The scalar as an integer; floats are truncated towards zero. */
static inline int64_t lp_scalar_to_int(LpScalar s) {
  return s.kind <= LP_SCALAR_INT ? s.v.i : (int64_t)lp_scalar_to_double(s);
}

/* --- Errors -------------------------------------------------------------------------------
 * A call that fails returns NULL or false and leaves a record in the calling thread, valid
 * until the thread's next failing call. The engine never prints, exits or longjmps. */
typedef enum LpErrorCode {
  LP_OK = 0,
  LP_ERR_ARGUMENT,  /* wrong value, shape or option */
  LP_ERR_TYPE,      /* wrong dtype or kind */
  LP_ERR_INDEX,     /* index or dim out of range */
  LP_ERR_DEVICE,    /* wrong or missing device */
  LP_ERR_AUTOGRAD,  /* misuse of the graph */
  LP_ERR_MEMORY,    /* out of memory */
  LP_ERR_IO,        /* file missing, truncated, corrupted, disk full */
  LP_ERR_INTERRUPT, /* stopped by lp_interrupt() */
  LP_ERR_CALLBACK,  /* a host callback failed; the host holds the cause */
  LP_ERR_INTERNAL,  /* a fault of the engine */
  LP_ERR_LINALG     /* linalg: a matrix that is singular, not positive definite, or that defeats the algorithm */
} LpErrorCode;

typedef struct LpError {
  LpErrorCode code;
  char message[2048]; /* one or more sentences, without the op's name in front */
} LpError;

LP_API const LpError *lp_last_error(void);
/* Records an error for the calling thread; always returns false. */
LP_API bool lp_fail(LpErrorCode code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Puts a printf-formatted text in front of the recorded message; returns false. */
LP_API bool lp_fail_prefix(const char *format, ...) __attribute__((format(printf, 1, 2)));
LP_API void lp_error_clear(void);

/* Asks the running op to stop at its next safe point with LP_ERR_INTERRUPT (signal-safe). */
LP_API void lp_interrupt(void);
/* True when an interrupt is pending. */
LP_API bool lp_interrupt_pending(void);
/* Consumes a pending interrupt: true when there was one. */
LP_API bool lp_interrupt_take(void);

#ifdef __cplusplus
}
#endif
#endif
