/* Reads the form in which string.dump writes functions (Lua 5.4): which globals does a
 * function use? So a function that crosses to another state (crossing.c) takes along what
 * it needs of the program's globals, and no more. */
#include <string.h>
#include "crossing.h"

typedef struct Reader {
  const uint8_t *at, *end;
  bool ok;
  void (*found)(void *ctx, const char *name, size_t length);
  void *ctx;
} Reader;

static const uint8_t *take(Reader *r, size_t n) {
  if ((size_t)(r->end - r->at) < n) r->ok = false;
  if (!r->ok) return NULL;
  const uint8_t *p = r->at;
  r->at += n;
  return p;
}

static int take_byte(Reader *r) {
  const uint8_t *p = take(r, 1);
  return p ? *p : 0;
}

/* Seven bits a byte, the high ones first; the last byte is marked. */
static size_t take_size(Reader *r) {
  size_t x = 0;
  for (int i = 0; i < 10; i++) {
    const int b = take_byte(r);
    x = x << 7 | (size_t)(b & 0x7f);
    if (b & 0x80) return x;
  }
  r->ok = false;
  return 0;
}

/* The number of entries that follow, each of at least `each` bytes. */
static size_t take_count(Reader *r, size_t each) {
  const size_t n = take_size(r);
  if (r->ok && n > (size_t)(r->end - r->at) / each) r->ok = false;
  return r->ok ? n : 0;
}

typedef struct Text {
  const char *text; /* NULL: no string */
  size_t length;
} Text;

static Text take_string(Reader *r) {
  const size_t n = take_size(r);
  if (n == 0 || !r->ok) return (Text){NULL, 0};
  const uint8_t *p = take(r, n - 1);
  return (Text){(const char *)p, n - 1};
}

/* lopcodes.h of 5.4: the opcode in the low 7 bits, A in 8, k in 1, B in 8, C in 8. */
enum { OP_GETTABUP = 11, OP_SETTABUP = 15 };
enum {
  NIL = 0,
  FALSE_VALUE = 1,
  TRUE_VALUE = 17,
  INTEGER = 3,
  FLOAT = 19,
  SHORT_STRING = 4,
  LONG_STRING = 20
};
#define INDEXED_CONSTANTS 256 /* those that an instruction can name */
#define MAX_DEPTH 100

static void read_function(Reader *r, const bool env[256], int depth) {
  take_string(r); /* source */
  take_size(r);   /* first and last line */
  take_size(r);
  take(r, 3); /* parameters, vararg, stack size */
  const size_t n_code = take_count(r, 4);
  const uint8_t *code = take(r, n_code * 4);
  Text names[INDEXED_CONSTANTS];
  const size_t n_constants = take_count(r, 1);
  for (size_t i = 0; i < n_constants && r->ok; i++) {
    Text text = {NULL, 0};
    switch (take_byte(r)) {
    case NIL:
    case FALSE_VALUE:
    case TRUE_VALUE: break;
    case INTEGER: take(r, sizeof(lua_Integer)); break;
    case FLOAT: take(r, sizeof(lua_Number)); break;
    case SHORT_STRING:
    case LONG_STRING: text = take_string(r); break;
    default: r->ok = false;
    }
    if (i < INDEXED_CONSTANTS) names[i] = text;
  }
  const size_t n_upvalues = take_count(r, 3);
  const uint8_t *upvalues = take(r, n_upvalues * 3);
  if (!r->ok || n_upvalues > 256 || depth > MAX_DEPTH) {
    r->ok = false;
    return;
  }
  /* Upvalues of the outermost function are as the caller says; those of inner ones are
   * found by what they name. */
  bool own[256] = {false};
  for (size_t i = 0; i < n_upvalues; i++) {
    if (depth == 0)
      own[i] = env[i];
    else
      own[i] = upvalues[3 * i] == 0 && env[upvalues[3 * i + 1]];
  }
  for (size_t i = 0; i < n_code; i++) {
    uint32_t word;
    memcpy(&word, code + 4 * i, sizeof word);
    const unsigned op = word & 0x7f, a = word >> 7 & 0xff, b = word >> 16 & 0xff,
                   c = word >> 24 & 0xff;
    if (op != OP_GETTABUP && op != OP_SETTABUP) continue;
    const unsigned upvalue = op == OP_GETTABUP ? b : a, key = op == OP_GETTABUP ? c : b;
    if (own[upvalue] && key < n_constants && names[key].text)
      r->found(r->ctx, names[key].text, names[key].length);
  }
  const size_t n_inner = take_count(r, 1);
  for (size_t i = 0; i < n_inner && r->ok; i++) read_function(r, own, depth + 1);
  take(r, take_count(r, 1)); /* lines of instructions */
  for (size_t i = take_count(r, 2); i > 0 && r->ok; i--) {
    take_size(r);
    take_size(r);
  }
  for (size_t i = take_count(r, 3); i > 0 && r->ok; i--) { /* locals */
    take_string(r);
    take_size(r);
    take_size(r);
  }
  for (size_t i = take_count(r, 1); i > 0 && r->ok; i--)
    take_string(r); /* names of upvalues */
}

bool lpvm_dumped_names(const uint8_t *bytes, size_t size_bytes, const bool env[256],
                       void (*found)(void *ctx, const char *name, size_t length),
                       void *ctx) {
  Reader r = {bytes, bytes + size_bytes, true, found, ctx};
  const uint8_t *header =
      take(&r, 4 + 1 + 1 + 6 + 3 + sizeof(lua_Integer) + sizeof(lua_Number) + 1);
  if (!header || memcmp(header, LUA_SIGNATURE, 4) != 0 || header[4] != 0x54 ||
      header[5] != 0 || header[12] != 4)
    return false;
  read_function(&r, env, 0);
  return r.ok;
}
