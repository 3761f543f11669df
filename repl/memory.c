/* The Lua state's memory: small objects come from free lists by size. A tensor is a small
 * object to Lua, and thousands of them die in one collection; the C library sorts and
 * joins such blocks again and again, which is a quarter of the time of a small op. Blocks
 * of other sizes are the C library's. What the lists have is given back when the state is
 * closed. */
#include "memory.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIT 16
#define MOST_BYTES 512 /* of a small object */
#define CHUNK_BYTES ((size_t)64 << 10)
#ifdef __SANITIZE_ADDRESS__
#define USE_LISTS 0 /* the sanitizer is to see each object */
#else
#define USE_LISTS 1
#endif

static bool is_small(size_t size) {
  return USE_LISTS && size <= MOST_BYTES;
}

typedef struct Block {
  struct Block *next;
} Block;

typedef struct Pool {
  Block *free[MOST_BYTES / UNIT];
  Block *chunks;
  char *at, *end; /* what is left of the newest chunk */
} Pool;

static size_t class_of(size_t size) {
  return (size - 1) / UNIT;
}

static void *get_small(Pool *pool, size_t size) {
  const size_t class = class_of(size), bytes = (class + 1) * UNIT;
  Block *block = pool->free[class];
  if (block) {
    pool->free[class] = block->next;
    return block;
  }
  if ((size_t)(pool->end - pool->at) < bytes) {
    Block *chunk = malloc(CHUNK_BYTES);
    if (!chunk) return NULL;
    chunk->next = pool->chunks;
    pool->chunks = chunk;
    pool->at = (char *)chunk + UNIT;
    pool->end = (char *)chunk + CHUNK_BYTES;
  }
  void *got = pool->at;
  pool->at += bytes;
  return got;
}

static void *get(Pool *pool, size_t size) {
  return is_small(size) ? get_small(pool, size) : malloc(size);
}

static void put(Pool *pool, void *p, size_t size) {
  if (!is_small(size)) {
    free(p);
    return;
  }
  Block *block = p;
  block->next = pool->free[class_of(size)];
  pool->free[class_of(size)] = block;
}

static void *move(Pool *pool, void *p, size_t old_size, size_t size) {
  if (!is_small(old_size) && !is_small(size)) return realloc(p, size);
  if (is_small(old_size) && is_small(size) && class_of(old_size) == class_of(size))
    return p;
  void *moved = get(pool, size);
  /* Lua relies on a block that can shrink; a larger one serves as well in the list of the
   * smaller. */
  if (!moved) return size <= old_size ? p : NULL;
  memcpy(moved, p, size < old_size ? size : old_size);
  put(pool, p, old_size);
  return moved;
}

static void *allocate(void *ud, void *p, size_t old_size, size_t size) {
  if (!p) return size ? get(ud, size) : NULL; /* old_size is a kind of object then */
  if (size) return old_size ? move(ud, p, old_size, size) : NULL;
  if (old_size) put(ud, p, old_size);
  return NULL;
}

/* --- what luaL_newstate sets beside memory
 * --------------------------------------------------------------- */

static int panic(lua_State *L) {
  const char *message = lua_tostring(L, -1);
  fprintf(stderr, "lampad: unprotected error in a call to Lua (%s)\n",
          message ? message : "not a string");
  return 0; /* the process ends */
}

/* Pieces of a message; one that is a message of its own and begins with @ controls the
 * rest. Off at first. */
typedef struct Warnings {
  bool on, inside;
} Warnings;
static Warnings warnings;

static void warn(void *ud, const char *message, int to_continue) {
  Warnings *w = ud;
  if (!w->inside && !to_continue && message[0] == '@') {
    if (strcmp(message, "@on") == 0) w->on = true;
    if (strcmp(message, "@off") == 0) w->on = false;
    return;
  }
  if (w->on)
    fprintf(stderr, "%s%s%s", w->inside ? "" : "Lua warning: ", message,
            to_continue ? "" : "\n");
  w->inside = to_continue;
}

/* Of the program's one state; os.exit may close that behind our back. */
static Pool pool_of_program;

lua_State *repl_new_state(void) {
  lua_State *L = lua_newstate(allocate, &pool_of_program);
  if (!L) return NULL;
  lua_atpanic(L, panic);
  lua_setwarnf(L, warn, &warnings);
  return L;
}

void repl_close_state(lua_State *L) {
  lua_close(L);
  while (pool_of_program.chunks) {
    Block *next = pool_of_program.chunks->next;
    free(pool_of_program.chunks);
    pool_of_program.chunks = next;
  }
}
