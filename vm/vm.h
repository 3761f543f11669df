/* The door between Lua and the engine: shared declarations of the files of vm/, the only C that knows Lua
 * (besides repl/). The binding never computes: it converts, calls the engine, boxes the result.
 *
 * Every call has four phases: match all arguments (may raise, owns nothing); create empty boxes;
 * run the engine (no raising Lua call inside); fill the boxes, or raise the engine's error. */
#ifndef LP_VM_H
#define LP_VM_H

#include <lauxlib.h>
#include <lua.h>
#include "core/value.h"
#include "lampad/autograd.h"
#include "lampad/ops.h"
#include "lampad/tensor.h"

/* --- box.c: tensors as Lua values ---------------------------------------------------------- */
typedef struct LpBox {
  LpTensor *tensor; /* owned; NULL once freed by x:free() or while empty */
} LpBox;

/* Pushes an empty box (phase two). */
LpBox *lpvm_new_box(lua_State *L);
/* Phase four: puts an owned tensor into an empty box and charges its bytes; never raises. */
void lpvm_fill_box(lua_State *L, LpBox *box, LpTensor *tensor);
/* Pushes a box for an owned tensor; releases it when Lua is out of memory. */
void lpvm_push_tensor(lua_State *L, LpTensor *tensor);
/* Borrowed tensor at index, or NULL when the value is no tensor (or a freed one). */
LpTensor *lpvm_to_tensor(lua_State *L, int index);
/* Borrowed tensor, or an error that names the argument. */
LpTensor *lpvm_check_tensor(lua_State *L, int index, const char *what);
/* Runs a collection when the engine's memory debt asks for one. Called with nothing owned. */
void lpvm_collect_pressure(lua_State *L);
/* Sets the state's collector up for tensors. */
void lpvm_open_collector(lua_State *L);

/* --- error.c: errors at the caller's line --------------------------------------------------- */
/* Raises "<where>: <what>: <message>" from a printf format; `what` (an op's name) may be NULL. */
int lpvm_error(lua_State *L, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));
/* Raises the engine's last error, prefixed by the op's name; a failed Lua callback's own error as it was. */
int lpvm_raise(lua_State *L, const char *op) __attribute__((noreturn));
/* "torch.Tensor (float32 [2, 3])", "string", "number (3.5)": what came, for messages. Pushes nothing. */
const char *lpvm_describe(lua_State *L, int index, char *buf, size_t buf_bytes);

/* --- types.c: dtype, device, Size, Generator objects; interned, equal by == ------------------ */
void lpvm_push_dtype(lua_State *L, LpDtype dtype);
bool lpvm_to_dtype(lua_State *L, int index, LpDtype *result);
void lpvm_push_device(lua_State *L, LpDevice device);
/* Accepts a device object or "cpu", "cuda", "cuda:1". False when it is neither. */
bool lpvm_to_device(lua_State *L, int index, LpDevice *result);
/* torch.contiguous_format, torch.channels_last, ...; and the layout torch.strided. */
void lpvm_push_format(lua_State *L, LpMemoryFormat format);
bool lpvm_to_format(lua_State *L, int index, LpMemoryFormat *result);
void lpvm_push_strided(lua_State *L);
void lpvm_push_size(lua_State *L, LpInts sizes);
/* Borrowed from the torch.Size at index; false when it is none. */
bool lpvm_to_size(lua_State *L, int index, LpInts *result);
void lpvm_push_generator(lua_State *L, LpGenerator *generator); /* takes ownership */
LpGenerator *lpvm_to_generator(lua_State *L, int index);        /* borrowed or NULL */

/* --- convert.c: Lua values to and from tensors ------------------------------------------------ */
void lpvm_push_scalar(lua_State *L, LpScalar scalar); /* integer, float, boolean or complex value */
bool lpvm_to_scalar(lua_State *L, int index, LpScalar *result);
/* Builds a tensor from nested Lua tables; NULL with the engine's error recorded. dtype may be NONE. Owned. */
LpTensor *lpvm_tensor_from_lua(lua_State *L, int index, LpDtype dtype);

/* --- indexing.c: x[...] and x[...] = y ----------------------------------------------------------- */
/* The value at key_index is an index (number, slice text, tensor, index tuple). Pushes the result; raises. */
int lpvm_index(lua_State *L, LpTensor *self, int key_index);
void lpvm_newindex(lua_State *L, LpTensor *self, int key_index, int value_index);

/* --- openers: each part adds its functions to the `torch` table and the tensor method table ------- */
void lpvm_open_ops(lua_State *L, int torch_index, int methods_index);      /* call.c */
void lpvm_open_box(lua_State *L, int torch_index, int methods_index);      /* box.c */
void lpvm_open_types(lua_State *L, int torch_index, int methods_index);    /* types.c */
void lpvm_open_convert(lua_State *L, int torch_index, int methods_index);  /* convert.c */
void lpvm_open_autograd(lua_State *L, int torch_index, int methods_index); /* autograd.c */
void lpvm_open_scopes(lua_State *L, int torch_index, int methods_index);   /* scopes.c */

#define LPVM_TENSOR "torch.Tensor" /* metatable name in the registry */

#endif
