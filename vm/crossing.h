/* Values on their way from one Lua state to another, on another thread. A message holds a
 * copy that belongs to no state: tables, strings and functions as bytes, tensors by
 * reference. */
#ifndef LP_VM_CROSSING_H
#define LP_VM_CROSSING_H

#include <stdatomic.h>
#include "vm.h"

typedef struct LpvmMessage {
  struct LpvmMessage *next; /* in a queue */
  int from, kind;           /* worker.c: the worker it came from, what it is */
  int n_values;
  uint8_t *bytes;
  size_t size_bytes, capacity_bytes;
  LpTensor **tensors; /* owned; an entry is NULL once it was handed over */
  size_t n_tensors, tensor_capacity;
} LpvmMessage;

void lpvm_message_free(LpvmMessage *m); /* NULL-safe */
/* A message of one string, made without a state; NULL on out of memory. */
LpvmMessage *lpvm_message_of_text(const char *text);

/* How values are written. */
typedef struct LpvmWriting {
  const char *what; /* the caller's name, for errors; NULL: none */
  bool is_setup; /* library values go by name, globals that functions use go along, "kept"
                    is filled */
  int kept_index; /* is_setup: stack index of a table that gets id -> value of functions,
                     classes, metatables */
  int origins_index; /* stack index of a table value -> id in the state's setup message;
                        0: none */
  const char *const *names; /* what the first n_names values are called in errors */
  int n_names;
  bool
      is_plain; /* nothing of the library is in the values: its names need not be known */
} LpvmWriting;

/* Writes the n values on top of the stack (popped) to a new message, which is pushed
 * inside a holder that frees it unless lpvm_message_take takes it out. Raises an error
 * that names the value which cannot cross. */
void lpvm_message_write(lua_State *L, int n, const LpvmWriting *how);
/* Pushes a holder of m, which is owned by it from now on. */
void lpvm_message_hold(lua_State *L, LpvmMessage *m);
LpvmMessage *lpvm_message_take(lua_State *L, int index);

/* Pushes the message's values and returns their number. `share`: the message will be read
 * again. When origins_index is not 0, the table there gets value -> id of functions,
 * classes and metatables; kept_index as LpvmWriting's, of the state that sent the setup
 * message. missing_index, not 0: a table that gets the names of library values that are
 * not to be had here; otherwise such a name is an error. */
typedef struct LpvmReading {
  bool share, is_setup;
  int origins_index, kept_index, missing_index;
} LpvmReading;
int lpvm_message_read(lua_State *L, LpvmMessage *m, const LpvmReading *how);

/* dumped.c: calls found(ctx, name, length) for each name that the dumped function reads
 * or writes in one of its upvalues for which env[i] is true. False when the bytes are not
 * of the form it knows. */
bool lpvm_dumped_names(const uint8_t *bytes, size_t size_bytes, const bool env[256],
                       void (*found)(void *ctx, const char *name, size_t length),
                       void *ctx);

#endif
