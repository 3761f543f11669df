/* The pickle machine: protocols 0 to 5. A stack, marks, a memo; no recursion, and nothing
 * is ever run. Every opcode is read or refused by name; every length is checked against
 * the bytes that are there before anything is made. See pickle.h. */
#include "io/pickle.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "core/alloc.h"

#define MAX_PROTOCOL 5
#define MAX_STACK ((size_t)1 << 27)
#define MAX_NUMBER_TEXT 400
/* Picklers number the memo one by one; a little room for those that skip. */
#define MEMO_SLACK ((size_t)1 << 16)

typedef struct Values {
  LpIoValue **data;
  size_t count, capacity;
} Values;

typedef struct Marks {
  size_t *data;
  size_t count, capacity;
} Marks;

typedef struct Machine {
  LpPickle *p;
  LpIoTree *tree;
  Values stack, memo;
  Marks marks;
  size_t floor; /* the stack's height at the newest mark */
  size_t puts;
} Machine;

static bool fail_pickle(const Machine *m, const char *what) {
  return lp_fail(LP_ERR_IO, "the pickle is damaged: %s at byte %zu", what, m->p->at);
}

/* --- bytes
 * -------------------------------------------------------------------------------------
 */

static const uint8_t *take(Machine *m, uint64_t n) {
  if (n > m->p->size_bytes - m->p->at) {
    m->p->ran_out = true;
    fail_pickle(m, "it ends in the middle of a value");
    return NULL;
  }
  const uint8_t *bytes = m->p->data + m->p->at;
  m->p->at += (size_t)n;
  return bytes;
}

/* An unsigned little-endian number of n bytes. */
static bool take_number(Machine *m, int n, uint64_t *result) {
  const uint8_t *bytes = take(m, (uint64_t)n);
  if (!bytes) return false;
  *result = 0;
  for (int i = n; i-- > 0;) *result = *result << 8 | bytes[i];
  return true;
}

/* The bytes up to the next line feed, which is taken too. */
static const char *take_line(Machine *m, size_t *length) {
  const uint8_t *from = m->p->data + m->p->at;
  const uint8_t *to = memchr(from, '\n', m->p->size_bytes - m->p->at);
  if (!to) {
    m->p->ran_out = true;
    fail_pickle(m, "it ends in the middle of a line");
    return NULL;
  }
  *length = (size_t)(to - from);
  m->p->at += *length + 1;
  if (*length && from[*length - 1] == '\r') --*length;
  return (const char *)from;
}

/* --- stack
 * -------------------------------------------------------------------------------------
 */

static bool reserve(Values *v, size_t need) {
  if (need <= v->capacity) return true;
  size_t capacity = v->capacity ? v->capacity : 64;
  while (capacity < need) capacity *= 2;
  CHECK(capacity <= MAX_STACK, LP_ERR_IO,
        "the pickle's stack is larger than any real one");
  LpIoValue **data = lp_alloc(capacity * sizeof *data);
  if (!data) return false;
  if (v->count) memcpy(data, v->data, v->count * sizeof *data);
  lp_free(v->data, v->capacity * sizeof *data);
  v->data = data;
  v->capacity = capacity;
  return true;
}

static bool push(Machine *m, LpIoValue *v) {
  if (!v || !reserve(&m->stack, m->stack.count + 1)) return false;
  m->stack.data[m->stack.count++] = v;
  return true;
}

/* The top value, n from the top; values below the newest mark cannot be reached. */
static LpIoValue *peek(Machine *m, size_t n) {
  if (m->stack.count - m->floor <= n) {
    fail_pickle(m, "a value is missing on the stack");
    return NULL;
  }
  return m->stack.data[m->stack.count - 1 - n];
}

static LpIoValue *pop(Machine *m) {
  LpIoValue *v = peek(m, 0);
  if (v) m->stack.count--;
  return v;
}

static bool mark(Machine *m) {
  Marks *k = &m->marks;
  if (k->count == k->capacity) {
    size_t capacity = k->capacity ? k->capacity * 2 : 16;
    CHECK(capacity <= MAX_STACK, LP_ERR_IO,
          "the pickle's stack is larger than any real one");
    size_t *data = lp_alloc(capacity * sizeof *data);
    if (!data) return false;
    if (k->count) memcpy(data, k->data, k->count * sizeof *data);
    lp_free(k->data, k->capacity * sizeof *data);
    k->data = data;
    k->capacity = capacity;
  }
  k->data[k->count++] = m->floor;
  m->floor = m->stack.count;
  return true;
}

/* The values above the newest mark, which goes; they stay readable until the next push.
 */
static bool pop_mark(Machine *m, LpIoValue ***values, size_t *count) {
  if (!m->marks.count) return fail_pickle(m, "a mark is missing");
  *count = m->stack.count - m->floor;
  *values = m->stack.data ? m->stack.data + m->floor : NULL;
  m->stack.count = m->floor;
  m->floor = m->marks.data[--m->marks.count];
  return true;
}

static LpIoValue *container_of(Machine *m, LpIoKind kind, LpIoValue **values,
                               size_t count) {
  LpIoValue *v = lp_io_new(m->tree, kind);
  if (!v || !count) return v;
  LpIoValue **data = lp_io_tree_alloc(m->tree, count * sizeof *data);
  if (!data) return NULL;
  memcpy(data, values, count * sizeof *data);
  v->as.items.data = data;
  v->as.items.count = v->as.items.capacity = count;
  return v;
}

static bool push_marked(Machine *m, LpIoKind kind) {
  LpIoValue **values;
  size_t count;
  TRY(pop_mark(m, &values, &count));
  if (kind != LP_IO_DICT) return push(m, container_of(m, kind, values, count));
  if (count % 2) return fail_pickle(m, "a key has no value");
  LpIoValue *dict = lp_io_new(m->tree, kind);
  for (size_t i = 0; dict && i < count; i += 2)
    TRY(lp_rebuild_set(m->tree, dict, values[i], values[i + 1]));
  return push(m, dict);
}

static bool push_tuple(Machine *m, size_t count) {
  if (!peek(m, count - 1)) return false;
  m->stack.count -= count;
  return push(m, container_of(m, LP_IO_TUPLE, m->stack.data + m->stack.count, count));
}

/* --- memo
 * --------------------------------------------------------------------------------------
 */

static bool put(Machine *m, uint64_t place) {
  LpIoValue *v = peek(m, 0);
  if (!v) return false;
  if (place > m->puts + MEMO_SLACK) return fail_pickle(m, "a memo number is too large");
  const size_t count = (size_t)place + 1;
  TRY(reserve(&m->memo, count));
  while (m->memo.count < count) m->memo.data[m->memo.count++] = NULL;
  m->memo.data[place] = v;
  m->puts++;
  return true;
}

static bool get(Machine *m, uint64_t place) {
  if (place >= m->memo.count || !m->memo.data[place])
    return fail_pickle(m, "a memo number stands for nothing");
  return push(m, m->memo.data[place]);
}

/* --- numbers
 * ----------------------------------------------------------------------------------- */

static LpIoValue *floating(Machine *m, double f) {
  LpIoValue *v = lp_io_new(m->tree, LP_IO_FLOAT);
  if (v) v->as.f = f;
  return v;
}

/* Two's complement, little-endian. */
static LpIoValue *integer(Machine *m, const uint8_t *bytes, size_t n) {
  const uint8_t sign = n && bytes[n - 1] & 0x80 ? 0xff : 0;
  while (n > 1 && bytes[n - 1] == sign && (bytes[n - 2] & 0x80) == (sign & 0x80)) n--;
  if (n > 8) return lp_io_slice(m->tree, LP_IO_BIGINT, (const char *)bytes, n);
  uint64_t i = sign ? UINT64_MAX : 0;
  for (size_t k = n; k-- > 0;) i = i << 8 | bytes[k];
  return lp_io_int(m->tree, (int64_t)i);
}

/* Decimal digits of any length. */
static LpIoValue *decimal(Machine *m, const char *text, size_t n) {
  if (n && text[n - 1] == 'L') n--;
  bool negative = n && text[0] == '-';
  size_t at = negative || (n && text[0] == '+');
  if (at == n || n > MAX_NUMBER_TEXT) return fail_pickle(m, "a bad number"), NULL;
  const size_t room = n / 2 + 2;
  uint8_t *bytes = lp_io_tree_alloc(m->tree, room);
  if (!bytes) return NULL;
  memset(bytes, 0, room);
  for (; at < n; at++) {
    if (text[at] < '0' || text[at] > '9') return fail_pickle(m, "a bad number"), NULL;
    unsigned carry = (unsigned)(text[at] - '0');
    for (size_t i = 0; i < room; i++) {
      carry += bytes[i] * 10u;
      bytes[i] = (uint8_t)carry;
      carry >>= 8;
    }
  }
  unsigned carry = 1;
  for (size_t i = 0; negative && i < room; i++) {
    carry += (uint8_t)~bytes[i];
    bytes[i] = (uint8_t)carry;
    carry >>= 8;
  }
  return integer(m, bytes, room);
}

static bool push_int_line(Machine *m) {
  size_t n;
  const char *text = take_line(m, &n);
  if (!text) return false;
  if (n == 2 && text[0] == '0' && (text[1] == '0' || text[1] == '1'))
    return push(m, lp_io_bool(m->tree, text[1] == '1'));
  return push(m, decimal(m, text, n));
}

static bool push_float_line(Machine *m) {
  char copy[64], *end;
  size_t n;
  const char *text = take_line(m, &n);
  if (!text) return false;
  if (!n || n >= sizeof copy) return fail_pickle(m, "a bad number");
  memcpy(copy, text, n);
  copy[n] = 0;
  double f = strtod(copy, &end);
  if (*end) return fail_pickle(m, "a bad number");
  return push(m, floating(m, f));
}

static bool push_float(Machine *m) {
  const uint8_t *b = take(m, 8);
  if (!b) return false;
  uint64_t bits = 0;
  double f;
  for (int i = 0; i < 8; i++) bits = bits << 8 | b[i];
  memcpy(&f, &bits, 8);
  return push(m, floating(m, f));
}

static bool push_long(Machine *m, int length_bytes) {
  uint64_t n;
  TRY(take_number(m, length_bytes, &n));
  if (length_bytes == 4 && n > INT32_MAX) return fail_pickle(m, "a negative length");
  const uint8_t *bytes = take(m, n);
  return bytes && push(m, integer(m, bytes, (size_t)n));
}

/* --- texts
 * -------------------------------------------------------------------------------------
 */

static bool push_text(Machine *m, LpIoKind kind, int length_bytes, bool is_signed) {
  uint64_t n;
  TRY(take_number(m, length_bytes, &n));
  if (is_signed && n > INT32_MAX) return fail_pickle(m, "a negative length");
  const uint8_t *bytes = take(m, n);
  return bytes && push(m, lp_io_slice(m->tree, kind, (const char *)bytes, (size_t)n));
}

static char *put_utf8(char *to, uint32_t c) {
  if (c < 0x80) return *to = (char)c, to + 1;
  if (c < 0x800) {
    *to++ = (char)(0xc0 | c >> 6);
  } else {
    if (c < 0x10000) {
      *to++ = (char)(0xe0 | c >> 12);
    } else {
      *to++ = (char)(0xf0 | c >> 18);
      *to++ = (char)(0x80 | (c >> 12 & 0x3f));
    }
    *to++ = (char)(0x80 | (c >> 6 & 0x3f));
  }
  *to++ = (char)(0x80 | (c & 0x3f));
  return to;
}

/* n hexadecimal digits at text; UINT32_MAX when they are none. */
static uint32_t hex(const char *text, const char *end, int n) {
  uint32_t c = 0;
  if (end - text < n) return UINT32_MAX;
  for (int i = 0; i < n; i++) {
    const char d = text[i];
    const int v = d >= '0' && d <= '9'   ? d - '0'
                  : d >= 'a' && d <= 'f' ? d - 'a' + 10
                  : d >= 'A' && d <= 'F' ? d - 'A' + 10
                                         : -1;
    if (v < 0) return UINT32_MAX;
    c = c << 4 | (uint32_t)v;
  }
  return c;
}

/* 'V': latin-1 with \uXXXX and \UXXXXXXXX. */
static bool push_unicode_line(Machine *m) {
  size_t n;
  const char *text = take_line(m, &n);
  if (!text) return false;
  char *copy = lp_io_tree_alloc(m->tree, 2 * n + 4), *to = copy;
  if (!copy) return false;
  for (const char *end = text + n; text < end;) {
    uint32_t c = UINT32_MAX;
    if (*text == '\\' && end - text > 1 && (text[1] == 'u' || text[1] == 'U')) {
      const int digits = text[1] == 'u' ? 4 : 8;
      c = hex(text + 2, end, digits);
      if (c > 0x10ffff) return fail_pickle(m, "a bad character");
      text += 2 + digits;
    } else {
      c = (uint8_t)*text++;
    }
    to = put_utf8(to, c);
  }
  return push(m, lp_io_slice(m->tree, LP_IO_STRING, copy, (size_t)(to - copy)));
}

/* 'S': a quoted string with Python's escapes. */
static bool push_quoted_line(Machine *m) {
  static const char codes[] = "\\'\"abfnrtv", values[] = "\\'\"\a\b\f\n\r\t\v";
  size_t n;
  const char *text = take_line(m, &n);
  if (!text) return false;
  if (n < 2 || (text[0] != '\'' && text[0] != '"') || text[n - 1] != text[0])
    return fail_pickle(m, "a string without quotes");
  char *copy = lp_io_tree_alloc(m->tree, n), *to = copy;
  if (!copy) return false;
  const char *end = text + n - 1;
  for (text++; text < end;) {
    if (*text != '\\' || end - text < 2) {
      *to++ = *text++;
      continue;
    }
    const char code = text[1];
    const char *found = code ? strchr(codes, code) : NULL;
    text += 2;
    if (found) {
      *to++ = values[found - codes];
    } else if (code == 'x') {
      const uint32_t c = hex(text, end, 2);
      if (c > 255) return fail_pickle(m, "a bad escape");
      *to++ = (char)c;
      text += 2;
    } else if (code >= '0' && code <= '7') {
      unsigned c = (unsigned)(code - '0');
      for (int i = 0; i < 2 && text < end && *text >= '0' && *text <= '7'; i++)
        c = c * 8 + (unsigned)(*text++ - '0');
      *to++ = (char)c;
    } else {
      *to++ = '\\';
      *to++ = code;
    }
  }
  return push(m, lp_io_slice(m->tree, LP_IO_STRING, copy, (size_t)(to - copy)));
}

/* --- objects
 * ----------------------------------------------------------------------------------- */

static bool push_global_line(Machine *m) {
  size_t module_bytes, name_bytes;
  const char *module = take_line(m, &module_bytes);
  const char *name = module ? take_line(m, &name_bytes) : NULL;
  return name &&
         push(m, lp_rebuild_global(m->tree, module, module_bytes, name, name_bytes));
}

static bool push_stack_global(Machine *m) {
  LpIoValue *name = pop(m), *module = name ? pop(m) : NULL;
  if (!module) return false;
  if (name->kind != LP_IO_STRING || module->kind != LP_IO_STRING)
    return fail_pickle(m, "a class is named by something else than strings");
  return push(m,
              lp_rebuild_global(m->tree, module->as.text.data, module->as.text.size_bytes,
                                name->as.text.data, name->as.text.size_bytes));
}

static bool push_persistent(Machine *m, LpIoValue *id) {
  if (!id) return false;
  if (!m->p->host.load)
    return fail_pickle(m, "an object stored apart, which this file cannot have,");
  return push(m, m->p->host.load(m->p->host.ctx, id));
}

static bool push_persistent_line(Machine *m) {
  size_t n;
  const char *text = take_line(m, &n);
  return text && push_persistent(m, lp_io_slice(m->tree, LP_IO_STRING, text, n));
}

/* Some writers of tar files put the description of a storage where the storage should be.
 */
static LpIoValue *with_storage(Machine *m, LpIoValue *args) {
  LpIoValue *first =
      args->kind == LP_IO_TUPLE && args->as.items.count ? args->as.items.data[0] : NULL;
  if (!lp_io_is(first, LP_IO_TUPLE) || first->as.items.count != 5 ||
      !lp_io_is_text(first->as.items.data[0], "storage"))
    return args;
  LpIoValue *storage = m->p->host.load(m->p->host.ctx, first);
  LpIoValue *copy =
      storage ? container_of(m, LP_IO_TUPLE, args->as.items.data, args->as.items.count)
              : NULL;
  if (copy) copy->as.items.data[0] = storage;
  return copy;
}

static bool call(Machine *m) {
  LpIoValue *args = pop(m), *callee = args ? pop(m) : NULL;
  if (callee && m->p->host.takes_tuples) args = with_storage(m, args);
  return callee && args && push(m, lp_rebuild_call(m->tree, callee, args, NULL));
}

static bool call_with_keywords(Machine *m) {
  LpIoValue *kwargs = pop(m), *args = kwargs ? pop(m) : NULL,
            *callee = args ? pop(m) : NULL;
  if (!callee) return false;
  if (kwargs->kind != LP_IO_DICT) return fail_pickle(m, "keyword arguments are no dict");
  return push(m, lp_rebuild_call(m->tree, callee, args, kwargs));
}

/* 'i' and 'o': a class and the arguments above the mark. */
static bool call_marked(Machine *m, LpIoValue *callee) {
  LpIoValue **values;
  size_t count;
  TRY(pop_mark(m, &values, &count));
  if (!callee) {
    if (!count) return fail_pickle(m, "a class is missing");
    callee = *values++;
    count--;
  }
  LpIoValue *args = container_of(m, LP_IO_TUPLE, values, count);
  return args && push(m, lp_rebuild_call(m->tree, callee, args, NULL));
}

static bool call_named(Machine *m) {
  TRY(push_global_line(m));
  /* The class is on the stack above the arguments: take it from there. */
  LpIoValue *callee = m->stack.data[--m->stack.count];
  return call_marked(m, callee);
}

static bool build(Machine *m) {
  LpIoValue *state = pop(m), *object = state ? peek(m, 0) : NULL;
  return object && lp_rebuild_state(m->tree, object, state);
}

static bool append_one(Machine *m) {
  LpIoValue *item = pop(m), *object = item ? peek(m, 0) : NULL;
  return object && lp_rebuild_append(m->tree, object, item);
}

static bool set_one(Machine *m) {
  LpIoValue *item = pop(m), *key = item ? pop(m) : NULL,
            *object = key ? peek(m, 0) : NULL;
  return object && lp_rebuild_set(m->tree, object, key, item);
}

static bool append_marked(Machine *m) {
  LpIoValue **values, *object;
  size_t count;
  TRY(pop_mark(m, &values, &count));
  if (!(object = peek(m, 0))) return false;
  for (size_t i = 0; i < count; i++) TRY(lp_rebuild_append(m->tree, object, values[i]));
  return true;
}

static bool set_marked(Machine *m) {
  LpIoValue **values, *object;
  size_t count;
  TRY(pop_mark(m, &values, &count));
  if (count % 2) return fail_pickle(m, "a key has no value");
  if (!(object = peek(m, 0))) return false;
  for (size_t i = 0; i < count; i += 2)
    TRY(lp_rebuild_set(m->tree, object, values[i], values[i + 1]));
  return true;
}

static bool drop_marked(Machine *m) {
  LpIoValue **values;
  size_t count;
  return pop_mark(m, &values, &count);
}

/* --- the machine
 * ------------------------------------------------------------------------------- */

static bool push_number(Machine *m, int bytes) {
  uint64_t n;
  TRY(take_number(m, bytes, &n));
  return push(m, lp_io_int(m->tree, bytes == 4 ? (int32_t)(uint32_t)n : (int64_t)n));
}

static bool memo_line(Machine *m, bool is_put) {
  size_t n;
  uint64_t place = 0;
  const char *text = take_line(m, &n);
  if (!text) return false;
  if (!n || n > 10) return fail_pickle(m, "a bad memo number");
  for (size_t i = 0; i < n; i++) {
    if (text[i] < '0' || text[i] > '9') return fail_pickle(m, "a bad memo number");
    place = place * 10 + (uint64_t)(text[i] - '0');
  }
  return is_put ? put(m, place) : get(m, place);
}

static bool memo_number(Machine *m, int bytes, bool is_put) {
  uint64_t place;
  TRY(take_number(m, bytes, &place));
  return is_put ? put(m, place) : get(m, place);
}

static bool check_protocol(Machine *m) {
  uint64_t n;
  TRY(take_number(m, 1, &n));
  CHECK(n <= MAX_PROTOCOL, LP_ERR_IO, "the pickle has protocol %d; up to %d are read",
        (int)n, MAX_PROTOCOL);
  return true;
}

/* Frames only help readers of streams. Those that reach past the end are damage. */
static bool check_frame(Machine *m) {
  uint64_t n;
  TRY(take_number(m, 8, &n));
  if (n > m->p->size_bytes - m->p->at) {
    m->p->ran_out = true;
    return fail_pickle(m, "a frame reaches past the end");
  }
  return true;
}

static bool refuse(Machine *m, uint8_t op) {
  switch (op) {
  case 0x82:
  case 0x83:
  case 0x84:
    return lp_fail(LP_ERR_IO,
                   "the pickle names a class by an extension code (byte %zu), which only "
                   "the program that wrote it understands",
                   m->p->at);
  case 0x97:
  case 0x98:
    return lp_fail(LP_ERR_IO, "the pickle keeps a buffer outside of itself (byte %zu)",
                   m->p->at);
  default:
    return lp_fail(LP_ERR_IO, "the pickle is damaged: 0x%02x at byte %zu is no opcode",
                   op, m->p->at - 1);
  }
}

static bool step(Machine *m, uint8_t op) {
  switch (op) {
  case '(': return mark(m);
  case '0':
    /* A mark on top is what POP takes then. */
    if (m->stack.count == m->floor && m->marks.count) return drop_marked(m);
    return pop(m) != NULL;
  case '1': return drop_marked(m);
  case '2': return push(m, peek(m, 0));
  case 'F': return push_float_line(m);
  case 'G': return push_float(m);
  case 'I':
  case 'L': return push_int_line(m);
  case 'J': return push_number(m, 4);
  case 'K': return push_number(m, 1);
  case 'M': return push_number(m, 2);
  case 0x8a: return push_long(m, 1);
  case 0x8b: return push_long(m, 4);
  case 'N': return push(m, lp_io_none(m->tree));
  case 0x88: return push(m, lp_io_bool(m->tree, true));
  case 0x89: return push(m, lp_io_bool(m->tree, false));
  case 'P': return push_persistent_line(m);
  case 'Q': return push_persistent(m, pop(m));
  case 'R':
  case 0x81: return call(m);
  case 0x92: return call_with_keywords(m);
  case 'i': return call_named(m);
  case 'o': return call_marked(m, NULL);
  case 'b': return build(m);
  case 'c': return push_global_line(m);
  case 0x93: return push_stack_global(m);
  case 'S': return push_quoted_line(m);
  case 'T': return push_text(m, LP_IO_STRING, 4, true);
  case 'U': return push_text(m, LP_IO_STRING, 1, false);
  case 'V': return push_unicode_line(m);
  case 'X': return push_text(m, LP_IO_STRING, 4, false);
  case 0x8c: return push_text(m, LP_IO_STRING, 1, false);
  case 0x8d: return push_text(m, LP_IO_STRING, 8, false);
  case 'B': return push_text(m, LP_IO_BYTES, 4, false);
  case 'C': return push_text(m, LP_IO_BYTES, 1, false);
  case 0x8e:
  case 0x96: return push_text(m, LP_IO_BYTES, 8, false);
  case 'a': return append_one(m);
  case 'e':
  case 0x90: return append_marked(m);
  case 's': return set_one(m);
  case 'u': return set_marked(m);
  case 'd': return push_marked(m, LP_IO_DICT);
  case '}': return push(m, lp_io_new(m->tree, LP_IO_DICT));
  case 'l': return push_marked(m, LP_IO_LIST);
  case ']': return push(m, lp_io_new(m->tree, LP_IO_LIST));
  case 't': return push_marked(m, LP_IO_TUPLE);
  case ')': return push(m, lp_io_new(m->tree, LP_IO_TUPLE));
  case 0x85: return push_tuple(m, 1);
  case 0x86: return push_tuple(m, 2);
  case 0x87: return push_tuple(m, 3);
  case 0x8f: return push(m, lp_io_new(m->tree, LP_IO_SET));
  case 0x91: return push_marked(m, LP_IO_FROZENSET);
  case 'g': return memo_line(m, false);
  case 'h': return memo_number(m, 1, false);
  case 'j': return memo_number(m, 4, false);
  case 'p': return memo_line(m, true);
  case 'q': return memo_number(m, 1, true);
  case 'r': return memo_number(m, 4, true);
  case 0x94: return put(m, m->memo.count);
  case 0x80: return check_protocol(m);
  case 0x95: return check_frame(m);
  default: return refuse(m, op);
  }
}

static LpIoValue *run(Machine *m) {
  for (size_t steps = 1;; steps++) {
    const uint8_t *op = take(m, 1);
    if (!op) return NULL;
    if (*op == '.') {
      LpIoValue *result = pop(m);
      if (result && m->marks.count) {
        fail_pickle(m, "it stops within a mark");
        return NULL;
      }
      return result;
    }
    if (!step(m, *op)) return NULL;
    if (steps % 65536 == 0 && lp_interrupt_pending()) {
      lp_interrupt_take();
      lp_fail(LP_ERR_INTERRUPT, "interrupted reading a pickle");
      return NULL;
    }
  }
}

LpIoValue *lp_pickle_read(LpPickle *p) {
  Machine m = {.p = p, .tree = p->tree};
  p->ran_out = false;
  lp_io_tree_limit(p->tree, p->size_bytes);
  LpIoValue *result = run(&m);
  lp_io_tree_limit(p->tree, 0);
  lp_free(m.stack.data, m.stack.capacity * sizeof *m.stack.data);
  lp_free(m.memo.data, m.memo.capacity * sizeof *m.memo.data);
  lp_free(m.marks.data, m.marks.capacity * sizeof *m.marks.data);
  return result;
}
