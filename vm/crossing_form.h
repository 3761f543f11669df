/* The form of messages (crossing.h), between what writes them (crossing.c) and what reads
 * them (crossing_read.c). */
#ifndef LP_VM_CROSSING_FORM_H
#define LP_VM_CROSSING_FORM_H

#include "crossing.h"

typedef enum Tag {
  TAG_END, /* of pairs */
  TAG_NIL,
  TAG_FALSE,
  TAG_TRUE,
  TAG_INTEGER,
  TAG_FLOAT,
  TAG_STRING,
  TAG_LIGHT,
  TAG_GLOBALS,
  TAG_SAME,    /* a value of this message again: its number */
  TAG_ORIGIN,  /* a value of the setup message: its number there */
  TAG_UPVALUE, /* an upvalue of a function again: the function's number, its place */
  TAG_DTYPE,
  TAG_DEVICE,
  TAG_FORMAT,
  TAG_STRIDED,
  TAG_SIZE,
  TAG_COMPLEX,
  /* These have a number, counted in the order in which they begin. */
  TAG_TABLE,
  TAG_FUNCTION,
  TAG_C_FUNCTION,
  TAG_TENSOR,
  TAG_GENERATOR,
  TAG_DEFAULT_GENERATOR,
  TAG_NAMED,
  TAG_REDUCED
} Tag;

enum {
  TENSOR_GRAD = 1,
  TENSOR_PARAMETER = 2,
  TENSOR_BUFFER = 4,
  TENSOR_PERSISTENT = 8,
  TENSOR_ATTRIBUTES = 16
};

/* Pushes the function `name` of a Lua module. */
void lpvm_push_helper(lua_State *L, const char *module, const char *name);

static inline int64_t lpvm_tensor_bytes(const LpTensor *t) {
  return lp_numel(t) * (int64_t)lp_dtype_size(lp_dtype(t));
}

#endif
