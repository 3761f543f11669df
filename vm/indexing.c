/* Indexing tensors, for reading and for assignment: x[i], x["1:3, ..., None"], x[mask],
 * x[{0, "1:3", idx, {0, 2}}]. Called by the tensor's __index and __newindex once no
 * method or property has the key's name. Follows PyTorch's order: integers, slices and
 * None become views, one after the other; tensors and lists are gathered into slots for a
 * single index or index_put_.
 *
 * Two passes keep the binding's promise: the first reads the key into items and may
 * raise; the second runs the engine and only reports failure. */
#include <stdio.h>
#include <string.h>
#include "lampad/vmap.h"
#include "types.h"

#define MAX_ITEMS (2 * LP_MAX_DIMS)

typedef enum ItemKind {
  ITEM_INT,
  ITEM_SLICE,
  ITEM_NONE,
  ITEM_ELLIPSIS,
  ITEM_BOOL,
  ITEM_TENSOR
} ItemKind;

typedef struct Item {
  ItemKind kind;
  int64_t value; /* INT; BOOL */
  LpOptInt start, stop;
  int64_t step;
  LpTensor
      *tensor; /* TENSOR: borrowed; NULL while it is still the Lua list at stack_index */
  int stack_index;
  bool is_owned; /* tensor was made from the list */
} Item;

typedef struct Key {
  int count;
  Item items[MAX_ITEMS];
} Key;

/* --- first pass: reading the key (may raise, owns nothing)
 * ------------------------------------- */

static Item *add_item(lua_State *L, Key *key, ItemKind kind) {
  if (key->count == MAX_ITEMS)
    lpvm_error(L, NULL, "too many indices: at most %d", MAX_ITEMS);
  Item *item = &key->items[key->count++];
  *item = (Item){.kind = kind};
  return item;
}

static void add_text(lua_State *L, Key *key, int index) {
  size_t length, pos = 0;
  const char *text = lua_tolstring(L, index, &length);
  char error[320];
  LpvmItem part;
  int got;
  while ((got = lpvm_next_item(text, length, &pos, &part, error, sizeof error)) > 0) {
    Item *item;
    switch (part.kind) {
    case LPVM_ITEM_INT: add_item(L, key, ITEM_INT)->value = part.value; break;
    case LPVM_ITEM_BOOL: add_item(L, key, ITEM_BOOL)->value = part.value; break;
    case LPVM_ITEM_NONE: add_item(L, key, ITEM_NONE); break;
    case LPVM_ITEM_ELLIPSIS: add_item(L, key, ITEM_ELLIPSIS); break;
    case LPVM_ITEM_SLICE:
      item = add_item(L, key, ITEM_SLICE);
      item->start = (LpOptInt){part.has_start, part.start};
      item->stop = (LpOptInt){part.has_stop, part.stop};
      item->step = part.step;
      break;
    case LPVM_ITEM_LIST:
      luaL_checkstack(L, 4, "index");
      if (!lpvm_push_list_item(L, text, &part, error, sizeof error))
        lpvm_error(L, NULL, "%s", error);
      add_item(L, key, ITEM_TENSOR)->stack_index = lua_gettop(L);
      break;
    }
  }
  if (got < 0) lpvm_error(L, NULL, "%s", error);
}

/* Adds the value at index, one member of a tuple or the key itself. A list stays on the
 * stack. */
static void add_value(lua_State *L, Key *key, int index) {
  char buf[160];
  int is_int;
  LpInts sizes;
  LpTensor *tensor;
  switch (lua_type(L, index)) {
  case LUA_TNUMBER: {
    int64_t value = lua_tointegerx(L, index, &is_int);
    if (!is_int)
      lpvm_error(L, NULL, "an index must be an integer, got %g", lua_tonumber(L, index));
    add_item(L, key, ITEM_INT)->value = value;
    return;
  }
  case LUA_TBOOLEAN: add_item(L, key, ITEM_BOOL)->value = lua_toboolean(L, index); return;
  case LUA_TSTRING: add_text(L, key, index); return;
  default: break;
  }
  if ((tensor = lpvm_to_tensor(L, index)) != NULL)
    add_item(L, key, ITEM_TENSOR)->tensor = tensor;
  else if (lua_type(L, index) == LUA_TTABLE || lpvm_to_size(L, index, &sizes))
    add_item(L, key, ITEM_TENSOR)->stack_index = lua_absindex(L, index);
  else
    lpvm_error(L, NULL,
               "an index is an integer, slice text such as \"1:3\", a tensor, a list or "
               "an index tuple, got %s",
               lpvm_describe(L, index, buf, sizeof buf));
}

/* As in PyTorch, a text that is one list of lists, x["[[0, 1], [2, 3]]"], stands for the
 * tuple of its members. */
static void spread_list(lua_State *L, int index, Key *key) {
  size_t length;
  const char *text = lua_tolstring(L, index, &length);
  while (length && strchr(" \t\n\r", text[length - 1])) length--;
  if (key->count != 1 || key->items[0].kind != ITEM_TENSOR || text[length - 1] != ']')
    return;
  const int list = key->items[0].stack_index;
  const lua_Integer n = (lua_Integer)lua_rawlen(L, list);
  bool has_list = false;
  for (lua_Integer i = 1; i <= n && !has_list; i++) {
    has_list = lua_rawgeti(L, list, i) == LUA_TTABLE;
    lua_pop(L, 1);
  }
  if (!has_list) return;
  key->count = 0;
  for (lua_Integer i = 1; i <= n; i++) {
    luaL_checkstack(L, 6, "index");
    lua_rawgeti(L, list, i);
    add_value(L, key, lua_gettop(L));
  }
}

static void read_key(lua_State *L, int index, Key *key) {
  LpInts sizes;
  key->count = 0;
  if (lpvm_to_size(L, index, &sizes)) { /* a tuple of integers */
    for (int64_t i = 0; i < sizes.count; i++)
      add_item(L, key, ITEM_INT)->value = sizes.data[i];
    return;
  }
  if (lua_type(L, index) != LUA_TTABLE) {
    add_value(L, key, index);
    if (lua_type(L, index) == LUA_TSTRING) spread_list(L, index, key);
    return;
  }
  lua_Integer n = (lua_Integer)lua_rawlen(L, index);
  if (!n) {
    lua_pushnil(L);
    if (lua_next(L, index))
      lpvm_error(L, NULL,
                 "an index tuple is a plain list such as {0, \"1:3\"}, without names");
  }
  for (lua_Integer i = 1; i <= n; i++) {
    luaL_checkstack(L, 6, "index");
    lua_rawgeti(L, index, i);
    add_value(
        L, key,
        lua_gettop(L)); /* stays on the stack: texts and lists are borrowed from it */
  }
}

/* --- second pass: views and slots
 * --------------------------------------------------------------- */

typedef struct Walk {
  LpTensor *view;               /* owned */
  LpTensor *slots[LP_MAX_DIMS]; /* owned; NULL stands for a whole dim */
  int n_slots;
  int64_t slot_dims; /* dims of view the slots cover; a mask covers as many as it has */
  int64_t dim;       /* dim of view the next item addresses */
  int64_t real_dim;  /* dim of the indexed tensor, for messages */
  bool has_tensors;
} Walk;

static void walk_done(Walk *w) {
  lp_tensor_release(w->view);
  for (int i = 0; i < w->n_slots; i++) lp_tensor_release(w->slots[i]);
}

static bool replace_view(Walk *w, LpTensor *next) {
  if (!next) return false;
  lp_tensor_release(w->view);
  w->view = next;
  return true;
}

static bool is_mask(const LpTensor *t) {
  return lp_dtype(t) == LP_BOOL || lp_dtype(t) == LP_UINT8;
}

/* Dims of the indexed tensor that an item takes up. */
static int64_t item_dims(const Item *item) {
  switch (item->kind) {
  case ITEM_INT:
  case ITEM_SLICE: return 1;
  case ITEM_TENSOR: return is_mask(item->tensor) ? lp_ndim(item->tensor) : 1;
  default: return 0;
  }
}

/* Takes ownership of `index`. */
static bool add_slot(Walk *w, LpTensor *index, int64_t dims) {
  if (!index) return false;
  while (w->slot_dims < w->dim) {
    w->slots[w->n_slots++] = NULL;
    w->slot_dims++;
  }
  w->slots[w->n_slots++] = index;
  w->slot_dims += dims;
  w->dim += dims;
  w->has_tensors = true;
  return true;
}

/* True keeps everything under a new dim of size 1, False nothing under one of size 0. */
static bool apply_bool(Walk *w, bool value) {
  int64_t size = value ? 1 : 0;
  if (!replace_view(w, lp_unsqueeze(w->view, w->dim))) return false;
  LpTensor *index = lp_tensor_new((LpInts){&size, 1}, LP_INT64, lp_device(w->view));
  if (!index) return false;
  if (value && !lp_zero_(index)) {
    lp_tensor_release(index);
    return false;
  }
  return add_slot(w, index, 1);
}

static bool apply_int(Walk *w, int64_t i) {
  int64_t n = lp_size(w->view, w->dim);
  if (i < -n || i >= n)
    return lp_fail(LP_ERR_INDEX,
                   "index %lld is out of bounds for dimension %lld with size %lld",
                   (long long)i, (long long)w->real_dim, (long long)n);
  w->real_dim++;
  return replace_view(w, lp_select(w->view, w->dim, i));
}

static bool apply_slice(Walk *w, const Item *item) {
  bool is_whole = item->step == 1 && (!item->start.has || item->start.value == 0) &&
                  (!item->stop.has || item->stop.value == lp_size(w->view, w->dim));
  if (!is_whole &&
      !replace_view(w, lp_slice(w->view, w->dim, item->start, item->stop, item->step)))
    return false;
  w->dim++;
  w->real_dim++;
  return true;
}

static bool apply_tensor(Walk *w, LpTensor *index) {
  /* Under vmap an index of no dims is one number for each example: an index tensor as any other. */
  const bool many = lp_vmap_level_of(index) && !is_mask(index);
  if (lp_ndim(index) || many || !lp_dtype_is_integral(lp_dtype(index), true)) {
    int64_t dims = is_mask(index) ? lp_ndim(index) : 1;
    w->real_dim += dims;
    return add_slot(w, lp_tensor_retain(index), dims);
  }
  LpScalar value;
  if (!lp_item(index, &value)) return false;
  return is_mask(index) ? apply_bool(w, value.v.i != 0) : apply_int(w, value.v.i);
}

static bool apply_item(Walk *w, const Item *item, int64_t *ellipsis_dims) {
  switch (item->kind) {
  case ITEM_INT: return apply_int(w, item->value);
  case ITEM_SLICE: return apply_slice(w, item);
  case ITEM_NONE: return replace_view(w, lp_unsqueeze(w->view, w->dim++));
  case ITEM_ELLIPSIS:
    w->dim += *ellipsis_dims;
    w->real_dim += *ellipsis_dims;
    *ellipsis_dims = 0;
    return true;
  case ITEM_BOOL: return apply_bool(w, item->value != 0);
  case ITEM_TENSOR: return apply_tensor(w, item->tensor);
  }
  return false;
}

/* An integer list as int64 (booleans as a mask); an empty one selects nothing. */
static LpTensor *list_tensor(lua_State *L, const Item *item) {
  LpTensor *t = lpvm_tensor_from_lua(L, item->stack_index, LP_DTYPE_NONE);
  if (!t) return NULL;
  LpDtype dtype = lp_dtype(t);
  if (lp_numel(t) == 0 && lp_dtype_is_floating(dtype)) {
    LpTensor *empty = lp_tensor_new(lp_sizes(t), LP_INT64, lp_device(t));
    lp_tensor_release(t);
    return empty;
  }
  if (!lp_dtype_is_integral(dtype, true)) {
    lp_fail(LP_ERR_TYPE, "a list used as an index must hold integers or booleans, got %s",
            lp_dtype_name(dtype));
    lp_tensor_release(t);
    return NULL;
  }
  return t;
}

static bool check_dims(const LpTensor *self, const Key *key, int64_t used) {
  if (used <= lp_ndim(self)) return true;
  if (lp_ndim(self) == 0 && key->count == 1 && key->items[0].kind == ITEM_SLICE)
    return lp_fail(LP_ERR_INDEX, "a 0-dim tensor cannot be sliced");
  if (lp_ndim(self) == 0 && used == 1)
    return lp_fail(
        LP_ERR_INDEX,
        "invalid index of a 0-dim tensor; use x:item() to convert it to a number");
  return lp_fail(LP_ERR_INDEX, "too many indices for tensor of dimension %lld",
                 (long long)lp_ndim(self));
}

/* Runs the key over self into w, which the caller ends with walk_done in every case. */
static bool walk(lua_State *L, LpTensor *self, Key *key, Walk *w) {
  *w = (Walk){.view = lp_tensor_retain(self)};
  int64_t used = 0;
  bool ok = true;
  for (int i = 0; i < key->count && ok; i++) {
    Item *item = &key->items[i];
    if (item->kind == ITEM_TENSOR && !item->tensor) {
      item->tensor = list_tensor(L, item);
      item->is_owned = item->tensor != NULL;
      ok = item->is_owned;
    }
    if (ok) used += item_dims(item);
  }
  ok = ok && check_dims(self, key, used);
  int64_t ellipsis_dims = lp_ndim(self) - used;
  for (int i = 0; i < key->count && ok; i++) {
    if (lp_ndim(w->view) == LP_MAX_DIMS && key->items[i].kind == ITEM_NONE)
      ok = lp_fail(LP_ERR_ARGUMENT, "a tensor has at most %d dimensions", LP_MAX_DIMS);
    ok = ok && apply_item(w, &key->items[i], &ellipsis_dims);
  }
  for (int i = 0; i < key->count; i++)
    if (key->items[i].is_owned) lp_tensor_release(key->items[i].tensor);
  return ok;
}

/* --- reading
 * --------------------------------------------------------------------------------------
 */

int lpvm_index(lua_State *L, LpTensor *self, int key_index) {
  key_index = lua_absindex(L, key_index);
  if (lua_isinteger(L, key_index) && lp_ndim(self)) {
    int64_t i = lua_tointeger(L, key_index), n = lp_size(self, 0);
    if (i < -n || i >= n)
      lpvm_error(L, NULL, "index %lld is out of bounds for dimension 0 with size %lld",
                 (long long)i, (long long)n);
    LpBox *box = lpvm_new_box(L);
    LpTensor *result = lp_select(self, 0, i);
    if (!result) lpvm_raise(L, NULL);
    lpvm_fill_box(L, box, result);
    return 1;
  }
  Key key;
  Walk w;
  read_key(L, key_index, &key);
  luaL_checkstack(L, 8, "index");
  lpvm_collect_pressure(L);
  LpBox *box = lpvm_new_box(L);
  LpTensor *result = NULL;
  if (walk(L, self, &key, &w)) {
    if (w.has_tensors)
      result = lp_index(w.view, (LpTensors){w.slots, w.n_slots});
    else
      result = w.view == self ? lp_alias(self) : lp_tensor_retain(w.view);
  }
  walk_done(&w);
  if (!result) lpvm_raise(L, NULL);
  lpvm_fill_box(L, box, result);
  return 1;
}

/* --- assigning
 * --------------------------------------------------------------------------------------
 */

/* The value without its leading dims of size 1, as PyTorch drops them before
 * broadcasting. Owned. */
static LpTensor *strip_leading_ones(LpTensor *value) {
  LpTensor *stripped = lp_tensor_retain(value);
  while (stripped && lp_ndim(stripped) && lp_size(stripped, 0) == 1) {
    LpTensor *next = lp_select(stripped, 0, 0);
    lp_tensor_release(stripped);
    stripped = next;
  }
  return stripped;
}

/* Writes the tensor `value` through the walk. */
static bool assign_tensor(Walk *w, LpTensor *value) {
  LpTensor *source = lp_ndim(value) > (w->has_tensors ? 0 : lp_ndim(w->view))
                         ? strip_leading_ones(value)
                         : lp_tensor_retain(value);
  if (!source) return false;
  bool ok = w->has_tensors
                ? lp_index_put_(w->view, (LpTensors){w->slots, w->n_slots}, source, false)
                : lp_copy_(w->view, source, false);
  lp_tensor_release(source);
  return ok;
}

static bool assign_scalar(Walk *w, LpScalar value) {
  if (!w->has_tensors) return lp_fill_(w->view, value);
  LpTensor *source = lp_tensor_from_scalar(value, lp_dtype(w->view));
  if (!source) return false;
  bool ok = assign_tensor(w, source);
  lp_tensor_release(source);
  return ok;
}

void lpvm_newindex(lua_State *L, LpTensor *self, int key_index, int value_index) {
  char buf[160];
  key_index = lua_absindex(L, key_index);
  value_index = lua_absindex(L, value_index);
  LpScalar scalar;
  LpInts sizes;
  LpTensor *value = lpvm_to_tensor(L, value_index);
  bool is_scalar = !value && lpvm_to_scalar(L, value_index, &scalar);
  if (!value && !is_scalar && lua_type(L, value_index) != LUA_TTABLE &&
      !lpvm_to_size(L, value_index, &sizes))
    lpvm_error(L, NULL,
               "can only assign a number, a tensor or a nested table to a part of a "
               "tensor, got %s",
               lpvm_describe(L, value_index, buf, sizeof buf));
  Key key;
  Walk w;
  read_key(L, key_index, &key);
  luaL_checkstack(L, 8, "index");
  LpTensor *from_table = NULL;
  bool ok = true;
  if (!value && !is_scalar)
    ok = (value = from_table = lpvm_tensor_from_lua(L, value_index, lp_dtype(self))) !=
         NULL;
  if (ok) {
    ok = walk(L, self, &key, &w) &&
         (is_scalar ? assign_scalar(&w, scalar) : assign_tensor(&w, value));
    walk_done(&w);
  }
  lp_tensor_release(from_table);
  if (!ok) lpvm_raise(L, NULL);
}
