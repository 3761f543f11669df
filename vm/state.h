/* What the parts of vm share beyond vm.h: callbacks into Lua and the running state. */
#ifndef LP_VM_STATE_H
#define LP_VM_STATE_H

#include <stdatomic.h>
#include "vm.h"

/* The state whose call is in the engine on this thread: callbacks run on it. */
extern _Thread_local lua_State *lpvm_running;

/* Pushes "file:line: " of the user's frame, or "". */
void lpvm_push_where(lua_State *L);
/* Takes the error value on top of the stack and records LP_ERR_CALLBACK for the engine. */
void lpvm_keep_callback_error(lua_State *L);
void lpvm_open_errors(lua_State *L);

/* A Lua value held from C: freed with lpvm_ref_free, also from the engine. */
typedef struct LpvmRef {
  lua_State *main;
  int ref;
} LpvmRef;
/* Takes the value at the top of the stack; NULL on out of memory (the value is popped all the same). */
LpvmRef *lpvm_ref_new(lua_State *L);
void lpvm_ref_push(lua_State *L, const LpvmRef *ref);
void lpvm_ref_free(void *ref);

/* Pushes the tensor's function `name` from the method table, for operators. */
typedef struct LpBinding LpBinding;
/* The binding of a schema op by module and name; NULL when there is none. */
const LpBinding *lpvm_find_binding(lua_State *L, const char *module, const char *name);
/* Calls a binding with the n_args values from stack index 1 on. */
int lpvm_call_binding(lua_State *L, const LpBinding *binding, int n_args);

/* Reads a table (sequence) or a single tensor at index into items, up to max; the count, or -1 when some
 * entry is no tensor. nil entries are NULL when allow_nil. */
int lpvm_to_tensors(lua_State *L, int index, LpTensor **items, int max, bool allow_nil);

/* Pushes a graph node (retained): prints as <AddBackward0 object>, has name() and next_functions. */
void lpvm_push_node(lua_State *L, LpNode *node);
/* The table of attributes that the user gave the tensor at index; false, pushing nothing, when there are none. */
bool lpvm_push_attributes(lua_State *L, int index);
/* Takes the table at the top as the attributes of the tensor at index. */
void lpvm_set_attributes(lua_State *L, int index);
/* Asks for a full collection before the next op (torch.scope). */
void lpvm_request_collection(void);
/* torch.memory_format objects; types.c. */
bool lpvm_to_format(lua_State *L, int index, LpMemoryFormat *result);

#endif
