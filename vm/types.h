/* What the files behind types.c share: typed userdata and the openers of its parts.
 * Included by types.c, size.c, generator.c, complex.c, convert.c and indexing.c only. */
#ifndef LP_VM_TYPES_H
#define LP_VM_TYPES_H

#include "vm.h"

/* A class of userdata: its address is the registry key of its metatable. */
typedef struct LpvmClass {
  const char *name;
} LpvmClass;

/* Pushes the class's metatable, made on first use (with __name and __metatable set). */
void lpvm_push_class(lua_State *L, const LpvmClass *cls);
/* The userdata at index when it is of the class, else NULL. Pushes nothing. */
void *lpvm_test_class(lua_State *L, int index, const LpvmClass *cls);
/* Sets field `name` of the table at `index` to a C function unless the table has the name
 * already. */
void lpvm_add_function(lua_State *L, int index, const char *name, lua_CFunction fn);

/* complex.c: the immutable complex number (1+2j). */
void lpvm_push_complex(lua_State *L, double re, double im);
bool lpvm_to_complex(lua_State *L, int index, double *re, double *im);

void lpvm_open_size(lua_State *L, int torch_index);
void lpvm_open_generator(lua_State *L, int torch_index);
void lpvm_open_complex(lua_State *L, int torch_index);

/* slice.c: the text between Python's brackets. */
typedef enum LpvmItemKind {
  LPVM_ITEM_INT,
  LPVM_ITEM_SLICE,
  LPVM_ITEM_NONE,
  LPVM_ITEM_ELLIPSIS,
  LPVM_ITEM_BOOL,
  LPVM_ITEM_LIST /* a bracketed list: text[begin, end) with its brackets */
} LpvmItemKind;

typedef struct LpvmItem {
  LpvmItemKind kind;
  int64_t value;             /* INT; BOOL: 0 or 1 */
  int64_t start, stop, step; /* SLICE; valid where has_start, has_stop */
  bool has_start, has_stop;
  size_t begin, end; /* LIST */
} LpvmItem;

/* Reads the item at *pos and the comma after it. 1: an item; 0: the text has ended; -1:
 * bad text, with a message in error. */
int lpvm_next_item(const char *text, size_t length, size_t *pos, LpvmItem *item,
                   char *error, size_t error_bytes);
/* Pushes the Lua table a LIST item stands for. False: bad text, with a message in error,
 * nothing pushed. */
bool lpvm_push_list_item(lua_State *L, const char *text, const LpvmItem *item,
                         char *error, size_t error_bytes);

#endif
