/* The text between Python's brackets, as in x["1:3, ..., None, ::2"]: a small
 * hand-written reader. Grammar: items separated by commas (one may trail); an item is an
 * integer, a slice a:b:c with optional parts, `...` or Ellipsis, None, True, False, or a
 * bracketed list of integers, booleans or lists. Blanks are free. Messages quote the text
 * and give the position, counted from 1. */
#include <stdio.h>
#include <string.h>
#include "types.h"

typedef struct Reader {
  const char *text;
  size_t length, pos;
  char *error;
  size_t error_bytes;
} Reader;

static bool fail(const Reader *r, size_t pos, const char *message) {
  snprintf(r->error, r->error_bytes, "%s at position %d of the index text \"%.*s\"",
           message, (int)pos + 1, (int)(r->length > 80 ? 80 : r->length), r->text);
  return false;
}

static char peek(const Reader *r) {
  return r->pos < r->length ? r->text[r->pos] : '\0';
}

static void skip_blanks(Reader *r) {
  while (r->pos < r->length && strchr(" \t\n\r", r->text[r->pos])) r->pos++;
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* [+-]* digits, with underscores between digits. Blanks may stand after a sign. */
static bool read_int(Reader *r, int64_t *value) {
  bool negative = false;
  size_t start = r->pos;
  while (peek(r) == '-' || peek(r) == '+') {
    if (peek(r) == '-') negative = !negative;
    r->pos++;
    skip_blanks(r);
  }
  if (!is_digit(peek(r))) return fail(r, r->pos, "expected a number");
  uint64_t n = 0;
  while (is_digit(peek(r)) ||
         (peek(r) == '_' && r->pos + 1 < r->length && is_digit(r->text[r->pos + 1]))) {
    char c = r->text[r->pos++];
    if (c == '_') continue;
    if (n > (uint64_t)INT64_MAX / 10 ||
        n * 10 > (uint64_t)INT64_MAX - (uint64_t)(c - '0'))
      return fail(r, start, "the number is too large");
    n = n * 10 + (uint64_t)(c - '0');
  }
  if (peek(r) == '.' || is_letter(peek(r)))
    return fail(r, start, "an index must be an integer");
  *value = negative ? -(int64_t)n : (int64_t)n;
  return true;
}

/* A word: None, True, False, Ellipsis. */
static bool read_word(Reader *r, LpvmItem *item) {
  size_t start = r->pos;
  while (is_letter(peek(r)) || is_digit(peek(r)) || peek(r) == '.') r->pos++;
  size_t n = r->pos - start;
  const char *word = r->text + start;
  char message[128];
  if (n == 4 && !memcmp(word, "None", 4))
    item->kind = LPVM_ITEM_NONE;
  else if (n == 4 && !memcmp(word, "True", 4))
    *item = (LpvmItem){.kind = LPVM_ITEM_BOOL, .value = 1};
  else if (n == 5 && !memcmp(word, "False", 5))
    *item = (LpvmItem){.kind = LPVM_ITEM_BOOL, .value = 0};
  else if (n == 8 && !memcmp(word, "Ellipsis", 8))
    item->kind = LPVM_ITEM_ELLIPSIS;
  else {
    snprintf(message, sizeof message,
             "unknown name '%.*s' (values go into an index tuple: x[{i, \"1:3\"}])",
             (int)(n > 24 ? 24 : n), word);
    return fail(r, start, message);
  }
  return true;
}

/* Skips a bracketed list; only the nesting is checked here. */
static bool skip_list(Reader *r, LpvmItem *item) {
  int depth = 0;
  item->kind = LPVM_ITEM_LIST;
  item->begin = r->pos;
  do {
    char c = peek(r);
    if (!c) return fail(r, item->begin, "'[' is not closed");
    depth += (c == '[') - (c == ']');
    r->pos++;
  } while (depth);
  item->end = r->pos;
  return true;
}

/* One part of a slice: an integer, None or nothing. */
static bool read_part(Reader *r, bool *has, int64_t *value) {
  skip_blanks(r);
  char c = peek(r);
  *has = false;
  if (c == ':' || c == ',' || !c) return true;
  if (is_letter(c)) {
    LpvmItem word;
    size_t start = r->pos;
    if (!read_word(r, &word)) return false;
    if (word.kind != LPVM_ITEM_NONE)
      return fail(r, start, "expected a number in the slice");
  } else {
    if (!read_int(r, value)) return false;
    *has = true;
  }
  skip_blanks(r);
  return true;
}

static bool read_item(Reader *r, LpvmItem *item) {
  char c = peek(r);
  *item = (LpvmItem){.kind = LPVM_ITEM_NONE};
  if (c == '[') return skip_list(r, item);
  if (c == '.') {
    if (r->length - r->pos < 3 || memcmp(r->text + r->pos, "...", 3))
      return fail(r, r->pos, "unexpected '.'");
    r->pos += 3;
    item->kind = LPVM_ITEM_ELLIPSIS;
    return true;
  }
  size_t start = r->pos;
  if (is_letter(c)) {
    if (!read_word(r, item)) return false;
    skip_blanks(r);
    if (item->kind != LPVM_ITEM_NONE || peek(r) != ':') return true;
  } else if (c == '-' || c == '+' || is_digit(c)) {
    if (!read_int(r, &item->value)) return false;
    item->kind = LPVM_ITEM_INT;
    skip_blanks(r);
    if (peek(r) != ':') return true;
    item->has_start = true;
    item->start = item->value;
  } else if (c != ':') {
    char message[32];
    if (c >= ' ' && c < 127)
      snprintf(message, sizeof message, "unexpected '%c'", c);
    else
      snprintf(message, sizeof message, "unexpected byte %d", (unsigned char)c);
    return fail(r, r->pos, message);
  }
  item->kind = LPVM_ITEM_SLICE; /* at the first colon */
  r->pos++;
  if (!read_part(r, &item->has_stop, &item->stop)) return false;
  bool has_step = false;
  if (peek(r) == ':') {
    r->pos++;
    if (!read_part(r, &has_step, &item->step)) return false;
  }
  if (!has_step) item->step = 1;
  if (item->step == 0) return fail(r, start, "slice step cannot be zero");
  if (item->step < 0)
    return fail(r, start,
                "slice step must be greater than zero (use x:flip(dim) to reverse)");
  return true;
}

int lpvm_next_item(const char *text, size_t length, size_t *pos, LpvmItem *item,
                   char *error, size_t error_bytes) {
  Reader r = {text, length, *pos, error, error_bytes};
  skip_blanks(&r);
  if (r.pos == length) {
    if (*pos != 0) return 0;
    fail(&r, 0, "nothing to index by");
    return -1;
  }
  if (!read_item(&r, item)) return -1;
  skip_blanks(&r);
  if (r.pos < length && peek(&r) != ',') {
    fail(&r, r.pos, "expected ','");
    return -1;
  }
  if (r.pos < length) r.pos++;
  *pos = r.pos;
  return 1;
}

/* Reads a list at r->pos onto the Lua stack as a sequence. */
static bool read_list(lua_State *L, Reader *r, int depth) {
  if (depth > LP_MAX_DIMS || !lua_checkstack(L, 4))
    return fail(r, r->pos, "lists are nested too deep");
  lua_newtable(L);
  r->pos++;
  for (lua_Integer n = 1;; n++) {
    skip_blanks(r);
    char c = peek(r);
    if (c == ']') break;
    LpvmItem item = {0};
    int64_t value;
    size_t start = r->pos;
    if (c == '[') {
      if (!read_list(L, r, depth + 1)) return lua_pop(L, 1), false;
    } else if (is_letter(c)) {
      if (!read_word(r, &item)) return lua_pop(L, 1), false;
      if (item.kind != LPVM_ITEM_BOOL) {
        lua_pop(L, 1);
        return fail(r, start, "a list holds integers, True, False or lists, not names");
      }
      lua_pushboolean(L, item.value != 0);
    } else {
      if (!read_int(r, &value)) return lua_pop(L, 1), false;
      lua_pushinteger(L, value);
    }
    lua_rawseti(L, -2, n);
    skip_blanks(r);
    if (peek(r) == ',')
      r->pos++;
    else if (peek(r) != ']') {
      lua_pop(L, 1);
      return fail(r, r->pos, "expected ',' or ']'");
    }
  }
  r->pos++;
  return true;
}

bool lpvm_push_list_item(lua_State *L, const char *text, const LpvmItem *item,
                         char *error, size_t error_bytes) {
  Reader r = {text, item->end, item->begin, error, error_bytes};
  return read_list(L, &r, 0);
}
