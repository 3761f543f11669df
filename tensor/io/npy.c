/* NumPy's .npy files (lampad/npy.h). Must not include Lua.
 *
 * A file is: "\x93NUMPY", major and minor version, the length of the header (u16 in
 * version 1, u32 after), the header, which is a Python dict of three entries, padded with
 * spaces and a newline; the elements. */
#include <stdio.h>
#include <string.h>
#include "io/bytes.h"
#include "io/npy.h"
#include "io/write.h"
#include "lampad/autograd.h"
#include "lampad/ops.h"

#define MAGIC "\x93NUMPY"
#define MAGIC_BYTES 6
#define MAX_HEADER_BYTES                                                                 \
  ((uint32_t)1 << 16) /* only tables of many fields, which we refuse, need more */
#define ALIGN_BYTES 64
#define GROWTH_DIGITS                                                                    \
  21 /* NumPy leaves room for the first size to grow to this many digits */

static const struct {
  const char *code;
  LpDtype dtype;
} types[] = {
    {"b1", LP_BOOL},      {"i1", LP_INT8},        {"u1", LP_UINT8},   {"i2", LP_INT16},
    {"i4", LP_INT32},     {"i8", LP_INT64},       {"f2", LP_FLOAT16}, {"f4", LP_FLOAT32},
    {"u2", LP_UINT16},    {"u4", LP_UINT32},      {"u8", LP_UINT64},  {"f8", LP_FLOAT64},
    {"c8", LP_COMPLEX64}, {"c16", LP_COMPLEX128},
};

bool lp_npy_recognise(const void *data, size_t size_bytes) {
  return size_bytes >= MAGIC_BYTES && memcmp(data, MAGIC, MAGIC_BYTES) == 0;
}

/* --- the header: a Python dict
 * ---------------------------------------------------------------- */

typedef struct Header {
  char descr[32]; /* "<f4" */
  bool fortran_order;
  int64_t sizes[LP_MAX_DIMS];
  int64_t ndim;
} Header;

typedef struct Parser {
  const char *at, *end;
} Parser;

#define BAD(...) CHECK(0, LP_ERR_IO, __VA_ARGS__)

static void skip_spaces(Parser *p) {
  while (p->at < p->end &&
         (*p->at == ' ' || *p->at == '\n' || *p->at == '\t' || *p->at == '\r'))
    p->at++;
}

/* The character is next (after spaces): takes it. */
static bool take(Parser *p, char c) {
  skip_spaces(p);
  if (p->at == p->end || *p->at != c) return false;
  p->at++;
  return true;
}

static bool take_word(Parser *p, const char *word) {
  const size_t n = strlen(word);
  skip_spaces(p);
  if ((size_t)(p->end - p->at) < n || memcmp(p->at, word, n) != 0) return false;
  p->at += n;
  return true;
}

/* A string in either kind of quotes, without escapes; false when there is none. */
static bool take_string(Parser *p, char *text, size_t text_bytes) {
  skip_spaces(p);
  if (p->at == p->end || (*p->at != '\'' && *p->at != '"')) return false;
  const char quote = *p->at++;
  size_t n = 0;
  while (p->at < p->end && *p->at != quote) {
    if (*p->at == '\\' || *p->at == '\0' || n + 1 >= text_bytes) return false;
    text[n++] = *p->at++;
  }
  text[n] = '\0';
  return take(p, quote);
}

/* Digits, perhaps with the L of Python 2. */
static bool take_size(Parser *p, int64_t *size) {
  skip_spaces(p);
  const char *start = p->at;
  *size = 0;
  for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++)
    if (__builtin_mul_overflow(*size, (int64_t)10, size) ||
        __builtin_add_overflow(*size, (int64_t)(*p->at - '0'), size))
      return false;
  const bool any = p->at > start;
  if (any && p->at < p->end && *p->at == 'L') p->at++;
  return any;
}

static bool take_shape(Parser *p, Header *h) {
  h->ndim = 0;
  if (!take(p, '(')) BAD("the header's shape is no tuple");
  while (!take(p, ')')) {
    int64_t size;
    if (!take_size(p, &size)) BAD("the header's shape holds something that is no size");
    if (h->ndim == LP_MAX_DIMS)
      BAD("the array has more than the %d dims supported", LP_MAX_DIMS);
    h->sizes[h->ndim++] = size;
    if (take(p, ',')) continue;
    /* (3) is a number in Python, not a tuple. */
    if (h->ndim == 1 || !take(p, ')')) BAD("the header's shape is no tuple");
    break;
  }
  return true;
}

static bool parse_header(const char *text, size_t length, Header *h) {
  Parser p = {text, text + length};
  enum { DESCR = 1, ORDER = 2, SHAPE = 4 };
  unsigned seen = 0, now;
  char key[16];
  if (!take(&p, '{')) BAD("the header is no dict");
  while (!take(&p, '}')) {
    if (!take_string(&p, key, sizeof key) || !take(&p, ':'))
      BAD("the header is no dict of names");
    if (strcmp(key, "descr") == 0) {
      now = DESCR;
      skip_spaces(&p);
      CHECK(p.at == p.end || (*p.at != '[' && *p.at != '('), LP_ERR_TYPE,
            "the array has fields (a structured type); save each field as an array of "
            "its own");
      if (!take_string(&p, h->descr, sizeof h->descr))
        BAD("the header's descr names no type");
    } else if (strcmp(key, "fortran_order") == 0) {
      now = ORDER;
      h->fortran_order = take_word(&p, "True");
      if (!h->fortran_order && !take_word(&p, "False"))
        BAD("the header's fortran_order is no boolean");
    } else if (strcmp(key, "shape") == 0) {
      now = SHAPE;
      TRY(take_shape(&p, h));
    } else {
      BAD("the header has an unknown entry '%s'", key);
    }
    if (seen & now) BAD("the header has '%s' twice", key);
    seen |= now;
    if (take(&p, ',')) continue;
    if (!take(&p, '}')) BAD("the header's dict does not end");
    break;
  }
  skip_spaces(&p);
  if (p.at != p.end) BAD("something follows the header's dict");
  if (seen != (DESCR | ORDER | SHAPE))
    BAD("the header lacks one of descr, fortran_order and shape");
  return true;
}

/* The dtype of "<f4", and whether its bytes are in the other order. */
static bool read_type(const char *descr, LpDtype *dtype, bool *swapped) {
  const char order = descr[0], *code = descr + 1;
  if (order != '\0' && strchr("<>|=", order)) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
      if (strcmp(types[i].code, code) != 0) continue;
      *dtype = types[i].dtype;
      *swapped = order == '>' && lp_dtype_size(*dtype) > 1;
      return true;
    }
    CHECK(*code != 'O', LP_ERR_TYPE,
          "the array holds pickled Python objects, which could run code; they are never "
          "read");
  }
  CHECK(0, LP_ERR_TYPE,
        "the array is of type '%s'; readable are bool, int8 to int64, uint8 to uint64, "
        "float16 to "
        "float64, "
        "complex64 and complex128",
        descr);
}

/* --- the elements
 * ------------------------------------------------------------------------------ */

/* Copies `count` elements of `width` bytes each, every one back to front. */
static bool copy_swapped(uint8_t *to, const uint8_t *from, size_t count, size_t width) {
  for (size_t i = 0; i < count; i++, to += width, from += width) {
    for (size_t b = 0; b < width; b++) to[b] = from[width - 1 - b];
    if (i % ((size_t)1 << 20) == 0 && lp_interrupt_pending()) {
      lp_interrupt_take();
      return lp_fail(LP_ERR_INTERRUPT, "interrupted");
    }
  }
  return true;
}

/* A contiguous tensor of the elements at data, in the order of the file. */
static LpTensor *elements(LpTensor *bytes, const uint8_t *data, LpInts sizes,
                          LpDtype dtype, bool swapped) {
  if (!swapped) return lp_bytes_view(bytes, data, sizes, dtype);
  LpTensor *t = lp_tensor_new(sizes, dtype, lp_cpu());
  if (!t) return NULL;
  const size_t width =
      lp_dtype_size(lp_dtype_to_real(dtype)); /* of each part of a complex number */
  const size_t count = (size_t)lp_numel(t) * lp_dtype_size(dtype) / width;
  if (!copy_swapped(lp_data(t), data, count, width)) lp_drop(&t);
  return t;
}

/* The same memory with the dims in the opposite order: Fortran's order. */
static LpTensor *turned(LpTensor *t) {
  int64_t sizes[LP_MAX_DIMS], strides[LP_MAX_DIMS];
  const int64_t ndim = lp_ndim(t);
  for (int64_t d = 0; d < ndim; d++) {
    sizes[d] = lp_size(t, ndim - 1 - d);
    strides[d] = lp_stride(t, ndim - 1 - d);
  }
  return lp_tensor_alias(t, lp_ints(sizes, ndim), lp_ints(strides, ndim), 0);
}

LpTensor *lp_npy_parse(LpTensor *bytes) {
  CHECK(!bytes->physical && lp_is_contiguous(bytes, LP_CONTIGUOUS), LP_ERR_ARGUMENT,
        "the bytes of a .npy file must be a contiguous tensor");
  const uint8_t *file = lp_data(bytes);
  const size_t size = (size_t)lp_numel(bytes) * lp_dtype_size(lp_dtype(bytes));
  if (!lp_npy_recognise(file, size))
    BAD("no .npy file: it does not begin with \\x93NUMPY");
  if (size < 10) BAD("the file is truncated: it ends in its header");
  const int major = file[6], minor = file[7];
  if (major < 1 || major > 3 || minor != 0)
    BAD("version %d.%d of the format is not known", major, minor);
  const size_t start = major == 1 ? 10 : 12;
  if (size < start) BAD("the file is truncated: it ends in its header");
  uint32_t length = (uint32_t)file[8] | (uint32_t)file[9] << 8;
  if (major > 1) length |= (uint32_t)file[10] << 16 | (uint32_t)file[11] << 24;
  if (length > size - start) BAD("the file is truncated: it ends in its header");
  if (length > MAX_HEADER_BYTES)
    BAD("a header of %u bytes is longer than the %u allowed", length, MAX_HEADER_BYTES);

  Header h;
  LpDtype dtype;
  bool swapped;
  TRY(parse_header((const char *)file + start, length, &h));
  TRY(read_type(h.descr, &dtype, &swapped));
  if (h.fortran_order)
    for (int64_t i = 0, j = h.ndim - 1; i < j; i++, j--) {
      const int64_t keep = h.sizes[i];
      h.sizes[i] = h.sizes[j];
      h.sizes[j] = keep;
    }
  const LpInts sizes = lp_ints(h.sizes, h.ndim);
  int64_t numel;
  size_t need;
  TRY(lp_numel_of(sizes, &numel));
  const size_t have = size - start - length;
  if (__builtin_mul_overflow((size_t)numel, lp_dtype_size(dtype), &need) || need > have)
    BAD("the file is truncated: it has %zu bytes for the %lld elements of %s its header "
        "announces",
        have, (long long)numel, lp_dtype_name(dtype));
  LpTensor *t = elements(bytes, file + start + length, sizes, dtype, swapped);
  if (!t || !h.fortran_order || h.ndim < 2) return t;
  LpTensor *result = turned(t);
  lp_tensor_release(t);
  return result;
}

LpTensor *lp_npy_load(const char *path, bool use_mmap) {
  LpTensor *bytes = use_mmap ? lp_bytes_map(path) : lp_bytes_read(path);
  if (!bytes) return NULL;
  LpTensor *t = lp_npy_parse(bytes);
  lp_tensor_release(bytes);
  if (!t) lp_fail_prefix("%s: ", path);
  return t;
}

/* --- writing
 * ----------------------------------------------------------------------------------- */

/* Dense, with the first dim the fastest, and not row-major too. */
static bool lies_in_fortran_order(const LpTensor *t) {
  if (t->is_contiguous || t->numel == 0) return false;
  int64_t expected = 1;
  for (int64_t d = 0; d < t->ndim; d++) {
    if (t->sizes[d] != 1 && t->strides[d] != expected) return false;
    expected *= t->sizes[d];
  }
  return true;
}

static const char *code_of(LpDtype dtype) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (types[i].dtype == dtype) return types[i].code;
  return NULL;
}

static size_t format_header(LpNpyImage *image, const LpTensor *t, const char *code,
                            bool fortran) {
  char *text = image->header + 10;
  const size_t room = LP_NPY_MAX_HEADER_BYTES - 10;
  const int64_t ndim = t->ndim;
  size_t n = (size_t)snprintf(
      text, room, "{'descr': '%c%s', 'fortran_order': %s, 'shape': (",
      lp_dtype_size(lp_dtype(t)) > 1 ? '<' : '|', code, fortran ? "True" : "False");
  size_t digits = 0; /* of the size that could grow */
  for (int64_t d = 0; d < ndim; d++) {
    const size_t before = n;
    n += (size_t)snprintf(text + n, room - n, "%lld", (long long)t->sizes[d]);
    if (d == (fortran ? ndim - 1 : 0)) digits = n - before;
    n += (size_t)snprintf(text + n, room - n, "%s",
                          d + 1 < ndim ? ", "
                          : ndim == 1  ? ","
                                       : "");
  }
  n += (size_t)snprintf(text + n, room - n, "), }");
  const size_t growth = ndim && digits < GROWTH_DIGITS ? GROWTH_DIGITS - digits : 0;
  const size_t unpadded = 10 + n + growth + 1;
  const size_t total = unpadded + (ALIGN_BYTES - unpadded % ALIGN_BYTES);
  memset(text + n, ' ', total - 10 - n);
  image->header[total - 1] = '\n';
  memcpy(image->header, MAGIC "\x01", MAGIC_BYTES + 2); /* version 1.0 */
  image->header[8] = (char)((total - 10) & 255);
  image->header[9] = (char)((total - 10) >> 8);
  return total;
}

bool lp_npy_image(LpTensor *t, LpNpyImage *image) {
  const char *code = code_of(lp_dtype(t));
  CHECK(code, LP_ERR_TYPE,
        "NumPy has no %s; convert the tensor first, with float() for example",
        lp_dtype_name(lp_dtype(t)));
  CHECK(!t->physical, LP_ERR_ARGUMENT,
        "the tensor is batched by vmap and has no values of its own");
  const bool fortran = lies_in_fortran_order(t);
  LpTensor *plain =
      lp_tensor_shallow(t); /* without history, so that packing it is not recorded */
  if (!plain) return false;
  image->packed = fortran ? lp_tensor_retain(plain) : lp_contiguous(plain, LP_CONTIGUOUS);
  lp_tensor_release(plain);
  if (!image->packed) return false;
  image->header_bytes = format_header(image, t, code, fortran);
  image->data = lp_data(image->packed);
  image->data_bytes = (size_t)lp_numel(t) * lp_dtype_size(lp_dtype(t));
  return true;
}

static bool put_image(LpWriter *w, const LpNpyImage *image) {
  return lp_writer_put(w, image->header, image->header_bytes) &&
         lp_writer_put(w, image->data, image->data_bytes);
}

bool lp_npy_save_file(const char *path, LpTensor *t) {
  LpNpyImage image;
  LpWriter w;
  TRY(lp_npy_image(t, &image));
  const bool ok =
      lp_writer_open(&w, path) && put_image(&w, &image) && lp_writer_finish(&w);
  lp_tensor_release(image.packed);
  return ok;
}

bool lp_npy_save(LpTensor *t, uint8_t **data, size_t *size_bytes) {
  LpNpyImage image;
  LpWriter w;
  TRY(lp_npy_image(t, &image));
  lp_writer_open_memory(&w);
  const bool ok = put_image(&w, &image) && lp_writer_take(&w, data, size_bytes);
  lp_tensor_release(image.packed);
  return ok;
}
