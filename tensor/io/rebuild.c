/* What a pickle may make of the classes and functions it names: the table `known` below
 * is the whole of it. Everything else becomes an inert record. See pickle.h.
 *
 * The names are those that PyTorch and numpy write into files; what each does is
 * documented by their sources. None is looked up or run: each entry is a small function
 * of this file. */
#include "io/pickle.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct Entry Entry;
typedef LpIoValue *(*Make)(LpIoTree *tree, const Entry *e, LpIoValue *callee,
                           LpIoValue *args);

struct Entry {
  const char *module, *name;
  Make make;   /* NULL: calls give a record */
  int8_t kind; /* LpIoKind, or a Special */
  int8_t dtype;
};

enum Special {
  SPECIAL_STORAGE = 64, /* a storage class */
  SPECIAL_TENSOR,       /* a tensor class: BUILD may fill its objects */
  SPECIAL_ARRAY,        /* numpy.ndarray */
  SPECIAL_NUMPY_DTYPE,
  SPECIAL_DTYPE,
  SPECIAL_UNKNOWN_DTYPE, /* one that PyTorch has and this library has not */
  SPECIAL_UNKNOWN_STORAGE
};

static const Entry *entry_of(const LpIoValue *v) {
  return v && v->kind == LP_IO_GLOBAL ? v->as.global.entry : NULL;
}

static LpIoValue *fail_call(const Entry *e, const char *what) {
  lp_fail(LP_ERR_IO, "the file is damaged: %s.%s with %s", e->module, e->name, what);
  return NULL;
}

/* --- reading arguments
 * --------------------------------------------------------------------- */

static size_t arg_count(const LpIoValue *args) {
  return args->as.items.count;
}

static LpIoValue *arg(const LpIoValue *args, size_t i) {
  return i < args->as.items.count ? args->as.items.data[i] : NULL;
}

static bool is_sequence(const LpIoValue *v) {
  return v && (v->kind == LP_IO_TUPLE || v->kind == LP_IO_LIST || v->kind == LP_IO_SIZE);
}

static bool get_ints(const LpIoValue *v, int64_t *ints, int64_t *count) {
  if (!is_sequence(v) || v->as.items.count > LP_MAX_DIMS) return false;
  for (size_t i = 0; i < v->as.items.count; i++) {
    if (v->as.items.data[i]->kind != LP_IO_INT) return false;
    ints[i] = v->as.items.data[i]->as.i;
  }
  *count = (int64_t)v->as.items.count;
  return true;
}

static bool is_true(const LpIoValue *v) {
  return v && (v->kind == LP_IO_BOOL || v->kind == LP_IO_INT) && v->as.i != 0;
}

/* --- tensors
 * ------------------------------------------------------------------------------- */

bool lp_rebuild_storage_type(const LpIoValue *v, LpDtype *dtype, bool *is_untyped) {
  const Entry *e = entry_of(v);
  if (e && e->kind == SPECIAL_UNKNOWN_STORAGE)
    return lp_fail(LP_ERR_IO,
                   "the file has a %s of a quantized dtype, which this library does not "
                   "have; save x:dequantize() instead",
                   e->name);
  CHECK(e && e->kind == SPECIAL_STORAGE, LP_ERR_IO,
        "the file is damaged: a storage of no known class");
  *is_untyped = e->dtype == LP_DTYPE_NONE;
  *dtype = *is_untyped ? LP_UINT8 : (LpDtype)e->dtype;
  return true;
}

LpIoValue *lp_rebuild_tensor(LpIoTree *tree, LpIoValue *storage, LpDtype dtype,
                             int64_t offset, const LpIoValue *sizes,
                             const LpIoValue *strides, int flags) {
  int64_t size[LP_MAX_DIMS], stride[LP_MAX_DIMS], extent, reach;
  LpInts size_ints = {size, 0}, stride_ints = {stride, 0};
  CHECK(get_ints(sizes, size, &size_ints.count) &&
            get_ints(strides, stride, &stride_ints.count),
        LP_ERR_IO,
        "the file is damaged: a tensor's sizes or strides are no list of at most "
        "%d integers",
        LP_MAX_DIMS);
  if (!lp_extent_of(size_ints, stride_ints, &extent)) {
    lp_fail_prefix("the file is damaged: ");
    return NULL;
  }
  /* The storage value may be a part of the memory (views in old files). */
  LpTensor *base = storage->as.tensor.tensor;
  const size_t unit = lp_dtype_size(dtype), base_unit = lp_dtype_size(lp_dtype(base));
  const int64_t room = (int64_t)((size_t)lp_numel(base) * base_unit / unit);
  const int64_t first = lp_storage_offset(base) * (int64_t)base_unit / (int64_t)unit;
  const bool fits =
      offset >= 0 && !__builtin_add_overflow(offset, extent, &reach) && reach <= room;
  CHECK(fits, LP_ERR_IO,
        "the file is damaged: a tensor of sizes %s and strides %s from element %lld "
        "reaches "
        "outside of its storage of %lld elements",
        lp_format_ints(size_ints, (char[128]){0}, 128),
        lp_format_ints(stride_ints, (char[128]){0}, 128), (long long)offset,
        (long long)room);
  LpTensor *t =
      lp_tensor_wrap(base->storage, dtype, size_ints, stride_ints, first + offset);
  LpIoValue *v = t ? lp_io_tensor(tree, t, flags) : NULL;
  lp_tensor_release(t);
  if (v) v->as.tensor.device = storage->as.tensor.device;
  return v;
}

/* What a tensor of the storage has as dtype. */
static LpDtype dtype_of(const LpIoValue *storage) {
  return (LpDtype)storage->dtype;
}

/* _rebuild_tensor(storage, offset, size, stride) and what came after it:
 * _v2(..., requires_grad, backward_hooks, metadata), _v3(..., requires_grad, hooks,
 * dtype, metadata). */
static LpIoValue *make_tensor(LpIoTree *tree, const Entry *e, LpIoValue *callee,
                              LpIoValue *args) {
  const LpIoValue *storage = arg(args, 0), *offset = arg(args, 1);
  const bool v3 = strcmp(e->name, "_rebuild_tensor_v3") == 0;
  const LpIoValue *dtype = v3 ? arg(args, 6) : NULL, *metadata = arg(args, v3 ? 7 : 6);
  if (!lp_io_is(storage, LP_IO_STORAGE) || !lp_io_is(offset, LP_IO_INT))
    return fail_call(e, "arguments that make no tensor");
  if (v3 && (!lp_io_is(dtype, LP_IO_DTYPE) || dtype->dtype == LP_BOOL))
    return fail_call(e, "no dtype that it is used for");
  int flags = is_true(arg(args, 4)) ? LP_IO_REQUIRES_GRAD : 0;
  if (is_true(lp_io_get(metadata, "conj"))) flags |= LP_IO_CONJ;
  if (is_true(lp_io_get(metadata, "neg"))) flags |= LP_IO_NEG;
  return lp_rebuild_tensor(tree, arg(args, 0),
                           v3 ? (LpDtype)dtype->dtype : dtype_of(storage), offset->as.i,
                           arg(args, 2), arg(args, 3), flags);
}

/* The same tensor with other flags: a value of its own, as Python makes an object. */
static LpIoValue *with_flags(LpIoTree *tree, const LpIoValue *from, int flags) {
  LpIoValue *v = lp_io_tensor(tree, from->as.tensor.tensor, flags);
  if (v) v->as.tensor.device = from->as.tensor.device;
  return v;
}

/* _rebuild_parameter(data, requires_grad, hooks), _rebuild_parameter_with_state(...,
 * state) */
static LpIoValue *make_parameter(LpIoTree *tree, const Entry *e, LpIoValue *callee,
                                 LpIoValue *args) {
  const LpIoValue *data = arg(args, 0), *grad = arg(args, 1);
  if (!lp_io_is(data, LP_IO_TENSOR)) return fail_call(e, "no tensor");
  const bool requires_grad = !grad || is_true(grad);
  LpIoValue *v = with_flags(tree, data,
                            LP_IO_PARAMETER | (requires_grad ? LP_IO_REQUIRES_GRAD : 0) |
                                (data->flags & (LP_IO_CONJ | LP_IO_NEG)));
  if (v) v->as.tensor.attributes = arg(args, 3);
  return v;
}

/* _rebuild_from_type_v2(function, class, arguments, state): the class only adds methods.
 */
static LpIoValue *make_from_type(LpIoTree *tree, const Entry *e, LpIoValue *callee,
                                 LpIoValue *args) {
  LpIoValue *inner = arg(args, 2), *function = arg(args, 0);
  const Entry *f = entry_of(function);
  if (!is_sequence(inner)) return fail_call(e, "no arguments");
  /* Not itself: a file could nest it as deep as it likes. */
  if (!f || !f->make || f->make == make_from_type)
    return fail_call(e, "no known function");
  LpIoValue *v = f->make(tree, f, function, inner);
  if (v && v->kind == LP_IO_TENSOR) v->as.tensor.attributes = arg(args, 3);
  return v;
}

static LpIoValue *refuse_quantized(LpIoTree *tree, const Entry *e, LpIoValue *callee,
                                   LpIoValue *args) {
  lp_fail(LP_ERR_IO,
          "the file has a quantized tensor (%s), and quantized dtypes are not "
          "supported; save x.dequantize() instead",
          e->name);
  return NULL;
}

static LpIoValue *refuse_dtype(LpIoTree *tree, const LpIoValue *v) {
  lp_fail(LP_ERR_IO,
          "the file has data of dtype torch.%s, which this library does not have",
          v->as.global.name);
  return NULL;
}

/* --- Python's own types
 * -------------------------------------------------------------------- */

static LpIoValue *record(LpIoTree *tree, LpIoValue *callee, LpIoValue *args,
                         LpIoValue *kwargs) {
  LpIoValue *v = lp_io_new(tree, LP_IO_RECORD);
  if (!v) return NULL;
  v->as.record.callee = callee;
  v->as.record.args = args;
  v->as.record.kwargs = kwargs;
  return v;
}

/* list(items), tuple(items), set(items), ..., torch.Size(items) */
static LpIoValue *make_sequence(LpIoTree *tree, const Entry *e, LpIoValue *callee,
                                LpIoValue *args) {
  LpIoValue *from = arg(args, 0), *v = lp_io_new(tree, (LpIoKind)e->kind);
  if (from && (!lp_io_has_items(from) || from->kind >= LP_IO_DICT))
    return fail_call(e, "something that is no list");
  for (size_t i = 0; v && from && i < from->as.items.count; i++)
    TRY(lp_io_append(tree, v, from->as.items.data[i]));
  return v;
}

/* dict(pairs), OrderedDict(pairs), Counter(dict), defaultdict(factory, pairs) */
static LpIoValue *make_dict(LpIoTree *tree, const Entry *e, LpIoValue *callee,
                            LpIoValue *args) {
  LpIoValue *v = lp_io_new(tree, (LpIoKind)e->kind);
  const LpIoValue *from = arg(args, strcmp(e->name, "defaultdict") == 0);
  if (!v || !from || from->kind == LP_IO_NONE) return v;
  const bool is_dict = from->kind == LP_IO_DICT || from->kind == LP_IO_ORDERED_DICT;
  if (!is_dict && !is_sequence(from)) return fail_call(e, "something that is no dict");
  for (size_t i = 0; i < from->as.items.count; i += is_dict ? 2 : 1) {
    const LpIoValue *pair = from->as.items.data[i];
    if (!is_dict && (!is_sequence(pair) || pair->as.items.count != 2))
      return fail_call(e, "something that is no list of pairs");
    LpIoValue **at = is_dict ? &from->as.items.data[i] : pair->as.items.data;
    TRY(lp_rebuild_set(tree, v, at[0], at[1]));
  }
  return v;
}

/* int(x), float(x), str(x), bool(x) of a value that is one already. */
static LpIoValue *make_same(LpIoTree *tree, const Entry *e, LpIoValue *callee,
                            LpIoValue *args) {
  LpIoValue *v = arg(args, 0);
  return v && v->kind == e->kind ? v : record(tree, callee, args, NULL);
}

static bool real_of(const LpIoValue *v, double *result) {
  if (v && v->kind == LP_IO_FLOAT) return *result = v->as.f, true;
  if (v && v->kind == LP_IO_INT) return *result = (double)v->as.i, true;
  return false;
}

static LpIoValue *make_complex(LpIoTree *tree, const Entry *e, LpIoValue *callee,
                               LpIoValue *args) {
  double re, im = 0;
  if (!real_of(arg(args, 0), &re) || (arg(args, 1) && !real_of(arg(args, 1), &im)))
    return fail_call(e, "something that is no number");
  LpIoValue *v = lp_io_new(tree, LP_IO_COMPLEX);
  if (v) v->as.c[0] = re, v->as.c[1] = im;
  return v;
}

/* The bytes of a text whose characters are below 256; NULL when they are not. */
static LpIoValue *latin1(LpIoTree *tree, const LpIoValue *text) {
  const uint8_t *from = (const uint8_t *)text->as.text.data,
                *end = from + text->as.text.size_bytes;
  uint8_t *bytes = lp_io_tree_alloc(tree, text->as.text.size_bytes + 1), *to = bytes;
  if (!bytes) return NULL;
  while (from < end) {
    if (*from < 0x80) {
      *to++ = *from++;
    } else if ((*from & 0xfc) == 0xc0 && end - from > 1) {
      *to++ = (uint8_t)(from[0] << 6 | (from[1] & 0x3f));
      from += 2;
    } else {
      lp_fail(LP_ERR_IO, "the file is damaged: bytes that are no latin-1 text");
      return NULL;
    }
  }
  return lp_io_slice(tree, LP_IO_BYTES, (const char *)bytes, (size_t)(to - bytes));
}

/* _codecs.encode(text, "latin1"): how protocol 2 writes bytes. */
static LpIoValue *make_encoded(LpIoTree *tree, const Entry *e, LpIoValue *callee,
                               LpIoValue *args) {
  const LpIoValue *text = arg(args, 0), *codec = arg(args, 1);
  if (!lp_io_is(text, LP_IO_STRING)) return fail_call(e, "no text");
  if (lp_io_is_text(codec, "latin1") || lp_io_is_text(codec, "latin-1"))
    return latin1(tree, text);
  return record(tree, callee, args, NULL);
}

/* bytes(), bytearray(b"..."), bytearray(text, "latin-1") */
static LpIoValue *make_bytes(LpIoTree *tree, const Entry *e, LpIoValue *callee,
                             LpIoValue *args) {
  LpIoValue *from = arg(args, 0);
  if (!from) return lp_io_slice(tree, LP_IO_BYTES, "", 0);
  if (from->kind == LP_IO_BYTES) return from;
  if (from->kind == LP_IO_STRING) return latin1(tree, from);
  return record(tree, callee, args, NULL);
}

/* copyreg._reconstructor(class, base, state): an object of the class. */
static LpIoValue *make_object(LpIoTree *tree, const Entry *e, LpIoValue *callee,
                              LpIoValue *args) {
  LpIoValue *class = arg(args, 0);
  if (!class) return fail_call(e, "no class");
  LpIoValue *none = lp_io_new(tree, LP_IO_TUPLE);
  return none ? lp_rebuild_call(tree, class, none, NULL) : NULL;
}

/* --- small types of PyTorch
 * ---------------------------------------------------------------- */

static LpIoValue *make_device(LpIoTree *tree, const Entry *e, LpIoValue *callee,
                              LpIoValue *args) {
  const LpIoValue *type = arg(args, 0), *index = arg(args, 1);
  if (!lp_io_is(type, LP_IO_STRING) || type->as.text.size_bytes > 32)
    return fail_call(e, "no device");
  if (!lp_io_is(index, LP_IO_INT))
    return lp_io_slice(tree, LP_IO_DEVICE, type->as.text.data, type->as.text.size_bytes);
  char name[64];
  const int n = snprintf(name, sizeof name, "%.*s:%lld", (int)type->as.text.size_bytes,
                         type->as.text.data, (long long)index->as.i);
  return lp_io_text(tree, LP_IO_DEVICE, name, (size_t)n);
}

/* restore_type_tag(value, type) and such: the value. */
static LpIoValue *make_first(LpIoTree *tree, const Entry *e, LpIoValue *callee,
                             LpIoValue *args) {
  LpIoValue *v = arg(args, 0);
  return v ? v : fail_call(e, "no value");
}

/* --- numpy
 * --------------------------------------------------------------------------------- */

/* "f4", "<f8", "|b1" with a byte order: the dtype, or NONE. */
static LpDtype numpy_dtype(const LpIoValue *dtype, bool *is_big) {
  static const struct {
    char code[3];
    int8_t dtype;
  } codes[] = {{"b1", LP_BOOL},     {"u1", LP_UINT8},   {"i1", LP_INT8},
               {"i2", LP_INT16},    {"i4", LP_INT32},   {"i8", LP_INT64},
               {"u2", LP_UINT16},   {"u4", LP_UINT32},  {"u8", LP_UINT64},
               {"f2", LP_FLOAT16},  {"f4", LP_FLOAT32}, {"f8", LP_FLOAT64},
               {"c8", LP_COMPLEX64}};
  *is_big = false;
  if (!lp_io_is(dtype, LP_IO_RECORD)) return LP_DTYPE_NONE;
  const LpIoValue *args = dtype->as.record.args, *state = dtype->as.record.state;
  const Entry *e = entry_of(dtype->as.record.callee);
  const LpIoValue *code = is_sequence(args) ? arg(args, 0) : NULL;
  if (!e || e->kind != SPECIAL_NUMPY_DTYPE || !lp_io_is(code, LP_IO_STRING))
    return LP_DTYPE_NONE;
  const char *text = code->as.text.data;
  size_t n = code->as.text.size_bytes;
  if (n && strchr("<>|=", text[0])) {
    *is_big = text[0] == '>';
    text++;
    n--;
  }
  if (is_sequence(state) && arg(state, 1) && lp_io_is_text(arg(state, 1), ">"))
    *is_big = true;
  if (n == 3 && memcmp(text, "c16", 3) == 0) return LP_COMPLEX128;
  for (size_t i = 0; n == 2 && i < sizeof codes / sizeof *codes; i++)
    if (memcmp(text, codes[i].code, 2) == 0) return (LpDtype)codes[i].dtype;
  return LP_DTYPE_NONE;
}

static void copy_swapped(uint8_t *to, const uint8_t *from, size_t bytes, size_t unit) {
  for (size_t i = 0; i + unit <= bytes; i += unit)
    for (size_t k = 0; k < unit; k++) to[i + k] = from[i + unit - 1 - k];
}

/* A contiguous tensor of the bytes, which must be as many as it needs. */
static LpTensor *tensor_of_bytes(LpIoTree *tree, LpInts sizes, LpDtype dtype, bool is_big,
                                 const LpIoValue *bytes) {
  int64_t numel;
  TRY(lp_numel_of(sizes, &numel));
  const size_t have = bytes->as.text.size_bytes, element = lp_dtype_size(dtype);
  CHECK((uint64_t)numel == have / element && have % element == 0, LP_ERR_IO,
        "the file is damaged: a numpy array of sizes %s has %zu bytes",
        lp_format_ints(sizes, (char[128]){0}, 128), have);
  TRY(lp_io_tree_charge(tree, have)); /* the same bytes may become many arrays */
  LpTensor *t = lp_tensor_new(sizes, dtype, lp_cpu());
  if (!t || !have) return t;
  const size_t unit = lp_dtype_is_complex(dtype) ? element / 2 : element;
  if (is_big)
    copy_swapped(lp_data(t), (const uint8_t *)bytes->as.text.data, have, unit);
  else
    memcpy(lp_data(t), bytes->as.text.data, have);
  if (dtype == LP_BOOL)
    for (int64_t i = 0; i < numel; i++) {
      uint8_t *b = (uint8_t *)lp_data(t) + i;
      *b = *b != 0;
    }
  return t;
}

/* Makes the record a tensor, in place, for others may point at it. A dtype that is not
 * there leaves it a record. */
static bool fill_array(LpIoTree *tree, LpIoValue *array, const LpIoValue *shape,
                       const LpIoValue *dtype, bool is_fortran, const LpIoValue *bytes) {
  int64_t sizes[LP_MAX_DIMS], reversed[LP_MAX_DIMS], strides[LP_MAX_DIMS];
  LpInts ints = {sizes, 0};
  bool is_big;
  const LpDtype type = numpy_dtype(dtype, &is_big);
  CHECK(get_ints(shape, sizes, &ints.count), LP_ERR_IO,
        "the file is damaged: a numpy array without a shape");
  if (type == LP_DTYPE_NONE || !bytes ||
      (bytes->kind != LP_IO_BYTES && bytes->kind != LP_IO_STRING))
    return true;
  if (is_fortran)
    for (int64_t i = 0; i < ints.count; i++) reversed[i] = sizes[ints.count - 1 - i];
  LpTensor *t = tensor_of_bytes(tree, is_fortran ? lp_ints(reversed, ints.count) : ints,
                                type, is_big, bytes);
  if (t && is_fortran) {
    for (int64_t i = 0; i < ints.count; i++)
      strides[i] = lp_stride(t, ints.count - 1 - i);
    if (!lp_tensor_set_geometry(t, ints, lp_ints(strides, ints.count), 0)) lp_drop(&t);
  }
  if (!t) return false;
  array->kind = LP_IO_TENSOR;
  memset(&array->as, 0, sizeof array->as);
  array->as.tensor.tensor = t;
  return true;
}

/* numpy.core.multiarray._reconstruct(ndarray, (0,), b"b"): an array that BUILD fills. */
static LpIoValue *make_array(LpIoTree *tree, const Entry *e, LpIoValue *callee,
                             LpIoValue *args) {
  LpIoValue *class = arg(args, 0);
  return class ? record(tree, class, args, NULL) : fail_call(e, "no class");
}

/* numpy.core.numeric._frombuffer(bytes, dtype, shape, order) */
static LpIoValue *make_from_buffer(LpIoTree *tree, const Entry *e, LpIoValue *callee,
                                   LpIoValue *args) {
  LpIoValue *v = record(tree, callee, args, NULL);
  if (!v || !fill_array(tree, v, arg(args, 2), arg(args, 1),
                        arg(args, 3) && lp_io_is_text(arg(args, 3), "F"), arg(args, 0)))
    return NULL;
  return v;
}

/* numpy.core.multiarray.scalar(dtype, bytes): a number. */
static LpIoValue *make_scalar(LpIoTree *tree, const Entry *e, LpIoValue *callee,
                              LpIoValue *args) {
  const LpIoValue *bytes = arg(args, 1);
  bool is_big;
  const LpDtype dtype = numpy_dtype(arg(args, 0), &is_big);
  if (dtype == LP_DTYPE_NONE || !bytes ||
      (bytes->kind != LP_IO_BYTES && bytes->kind != LP_IO_STRING))
    return record(tree, callee, args, NULL);
  LpTensor *t = tensor_of_bytes(tree, (LpInts){NULL, 0}, dtype, is_big, bytes);
  LpScalar s;
  const bool ok = t && lp_item(t, &s);
  lp_tensor_release(t);
  LpIoValue *v = ok ? lp_io_new(tree, s.kind == LP_SCALAR_BOOL    ? LP_IO_BOOL
                                      : s.kind == LP_SCALAR_INT   ? LP_IO_INT
                                      : s.kind == LP_SCALAR_FLOAT ? LP_IO_FLOAT
                                                                  : LP_IO_COMPLEX)
                    : NULL;
  if (!v) return NULL;
  if (s.kind == LP_SCALAR_FLOAT)
    v->as.f = s.v.f;
  else if (s.kind == LP_SCALAR_COMPLEX)
    memcpy(v->as.c, s.v.c, sizeof v->as.c);
  else
    v->as.i = s.v.i;
  return v;
}

/* torch._utils._rebuild_device_tensor_from_numpy(array, dtype, device, requires_grad) */
static LpIoValue *make_from_array(LpIoTree *tree, const Entry *e, LpIoValue *callee,
                                  LpIoValue *args) {
  const LpIoValue *array = arg(args, 0), *dtype = arg(args, 1);
  if (!lp_io_is(array, LP_IO_TENSOR) || !lp_io_is(dtype, LP_IO_DTYPE) ||
      lp_dtype(array->as.tensor.tensor) != (LpDtype)dtype->dtype)
    return record(tree, callee, args, NULL);
  return with_flags(tree, array, is_true(arg(args, 3)) ? LP_IO_REQUIRES_GRAD : 0);
}

/* --- the table
 * ---------------------------------------------------------------------------- */

#define DTYPE(text, type)                                                                \
  { "torch", text, NULL, SPECIAL_DTYPE, type }
#define NO_DTYPE(text)                                                                   \
  { "torch", text, NULL, SPECIAL_UNKNOWN_DTYPE, LP_DTYPE_NONE }
#define STORAGE(text, type)                                                              \
  {"torch", text "Storage", NULL, SPECIAL_STORAGE, type},                                \
      {"torch.cuda", text "Storage", NULL, SPECIAL_STORAGE, type},                       \
      {"torch", text "Tensor", NULL, SPECIAL_TENSOR, type}, {                            \
    "torch.cuda", text "Tensor", NULL, SPECIAL_TENSOR, type                              \
  }
#define NO_STORAGE(text)                                                                 \
  { "torch", text "Storage", NULL, SPECIAL_UNKNOWN_STORAGE, LP_DTYPE_NONE }
#define NUMPY(make, name, kind)                                                          \
  {"numpy.core.multiarray", name, make, kind, LP_DTYPE_NONE},                            \
      {"numpy._core.multiarray", name, make, kind, LP_DTYPE_NONE},                       \
      {"numpy.core.numeric", name, make, kind, LP_DTYPE_NONE}, {                         \
    "numpy._core.numeric", name, make, kind, LP_DTYPE_NONE                               \
  }

static const Entry known[] = {
    DTYPE("uint8", LP_UINT8),
    DTYPE("int8", LP_INT8),
    DTYPE("int16", LP_INT16),
    DTYPE("int32", LP_INT32),
    DTYPE("int64", LP_INT64),
    DTYPE("float16", LP_FLOAT16),
    DTYPE("float32", LP_FLOAT32),
    DTYPE("float64", LP_FLOAT64),
    DTYPE("complex64", LP_COMPLEX64),
    DTYPE("complex128", LP_COMPLEX128),
    DTYPE("bool", LP_BOOL),
    DTYPE("bfloat16", LP_BFLOAT16),
    DTYPE("uint16", LP_UINT16),
    DTYPE("uint32", LP_UINT32),
    DTYPE("uint64", LP_UINT64),
    NO_DTYPE("complex32"),
    DTYPE("float8_e4m3fn", LP_FLOAT8_E4M3FN),
    DTYPE("float8_e5m2", LP_FLOAT8_E5M2),
    DTYPE("float8_e4m3fnuz", LP_FLOAT8_E4M3FNUZ),
    DTYPE("float8_e5m2fnuz", LP_FLOAT8_E5M2FNUZ),
    NO_DTYPE("float8_e8m0fnu"),
    NO_DTYPE("float4_e2m1fn_x2"),
    NO_DTYPE("quint8"),
    NO_DTYPE("qint8"),
    NO_DTYPE("qint32"),
    STORAGE("Byte", LP_UINT8),
    STORAGE("Char", LP_INT8),
    STORAGE("Short", LP_INT16),
    STORAGE("Int", LP_INT32),
    STORAGE("Long", LP_INT64),
    STORAGE("Half", LP_FLOAT16),
    STORAGE("Float", LP_FLOAT32),
    STORAGE("Double", LP_FLOAT64),
    STORAGE("ComplexFloat", LP_COMPLEX64),
    STORAGE("ComplexDouble", LP_COMPLEX128),
    STORAGE("Bool", LP_BOOL),
    STORAGE("BFloat16", LP_BFLOAT16),
    {"torch.storage", "UntypedStorage", NULL, SPECIAL_STORAGE, LP_DTYPE_NONE},
    {"torch", "UntypedStorage", NULL, SPECIAL_STORAGE, LP_DTYPE_NONE},
    NO_STORAGE("QInt8"),
    NO_STORAGE("QUInt8"),
    NO_STORAGE("QInt32"),
    NO_STORAGE("QUInt4x2"),
    NO_STORAGE("QUInt2x4"),
    {"torch._utils", "_rebuild_tensor", make_tensor, 0, 0},
    {"torch._utils", "_rebuild_tensor_v2", make_tensor, 0, 0},
    {"torch._utils", "_rebuild_tensor_v3", make_tensor, 0, 0},
    {"torch._utils", "_rebuild_parameter", make_parameter, 0, 0},
    {"torch._utils", "_rebuild_parameter_with_state", make_parameter, 0, 0},
    {"torch._utils", "_rebuild_qtensor", refuse_quantized, 0, 0},
    {"torch._utils", "_rebuild_device_tensor_from_numpy", make_from_array, 0, 0},
    {"torch._tensor", "_rebuild_from_type_v2", make_from_type, 0, 0},
    {"torch", "Tensor", NULL, SPECIAL_TENSOR, LP_DTYPE_NONE},
    {"torch._tensor", "Tensor", NULL, SPECIAL_TENSOR, LP_DTYPE_NONE},
    {"torch.tensor", "Tensor", NULL, SPECIAL_TENSOR, LP_DTYPE_NONE},
    {"torch.nn.parameter", "Parameter", make_parameter, SPECIAL_TENSOR, LP_DTYPE_NONE},
    {"torch.nn", "Parameter", make_parameter, SPECIAL_TENSOR, LP_DTYPE_NONE},
    {"torch.nn.parameter", "Buffer", make_first, SPECIAL_TENSOR, LP_DTYPE_NONE},
    {"torch.autograd.variable", "Variable", NULL, SPECIAL_TENSOR, LP_DTYPE_NONE},
    {"torch", "Size", make_sequence, LP_IO_SIZE, 0},
    {"torch", "device", make_device, 0, 0},
    {"torch.jit._pickle", "build_intlist", make_first, 0, 0},
    {"torch.jit._pickle", "build_doublelist", make_first, 0, 0},
    {"torch.jit._pickle", "build_boollist", make_first, 0, 0},
    {"torch.jit._pickle", "build_tensorlist", make_first, 0, 0},
    {"torch.jit._pickle", "restore_type_tag", make_first, 0, 0},
    {"collections", "OrderedDict", make_dict, LP_IO_ORDERED_DICT, 0},
    {"collections", "defaultdict", make_dict, LP_IO_DICT, 0},
    {"collections", "Counter", make_dict, LP_IO_DICT, 0},
    {"builtins", "dict", make_dict, LP_IO_DICT, 0},
    {"builtins", "list", make_sequence, LP_IO_LIST, 0},
    {"builtins", "tuple", make_sequence, LP_IO_TUPLE, 0},
    {"builtins", "set", make_sequence, LP_IO_SET, 0},
    {"builtins", "frozenset", make_sequence, LP_IO_FROZENSET, 0},
    {"builtins", "int", make_same, LP_IO_INT, 0},
    {"builtins", "float", make_same, LP_IO_FLOAT, 0},
    {"builtins", "str", make_same, LP_IO_STRING, 0},
    {"builtins", "bool", make_same, LP_IO_BOOL, 0},
    {"builtins", "bytes", make_bytes, 0, 0},
    {"builtins", "bytearray", make_bytes, 0, 0},
    {"builtins", "complex", make_complex, 0, 0},
    {"_codecs", "encode", make_encoded, 0, 0},
    {"copyreg", "_reconstructor", make_object, 0, 0},
    {"numpy", "ndarray", NULL, SPECIAL_ARRAY, LP_DTYPE_NONE},
    {"numpy", "dtype", NULL, SPECIAL_NUMPY_DTYPE, LP_DTYPE_NONE},
    NUMPY(make_array, "_reconstruct", 0),
    NUMPY(make_scalar, "scalar", 0),
    NUMPY(make_from_buffer, "_frombuffer", 0),
};

/* --- entry points
 * -------------------------------------------------------------------------- */

static bool same(const char *text, const char *data, size_t size_bytes) {
  return strlen(text) == size_bytes && memcmp(text, data, size_bytes) == 0;
}

LpIoValue *lp_rebuild_global(LpIoTree *tree, const char *module, size_t module_bytes,
                             const char *name, size_t name_bytes) {
  /* The names of Python 2. */
  if (same("__builtin__", module, module_bytes)) module = "builtins", module_bytes = 8;
  if (same("copy_reg", module, module_bytes)) module = "copyreg", module_bytes = 7;
  char *copy = lp_io_tree_alloc(tree, module_bytes + name_bytes + 2);
  LpIoValue *v = copy ? lp_io_new(tree, LP_IO_GLOBAL) : NULL;
  if (!v) return NULL;
  memcpy(copy, module, module_bytes);
  copy[module_bytes] = 0;
  memcpy(copy + module_bytes + 1, name, name_bytes);
  copy[module_bytes + 1 + name_bytes] = 0;
  v->as.global.module = copy;
  v->as.global.name = copy + module_bytes + 1;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    const Entry *e = &known[i];
    if (!same(e->module, module, module_bytes) || !same(e->name, name, name_bytes))
      continue;
    if (e->kind == SPECIAL_UNKNOWN_DTYPE) return refuse_dtype(tree, v);
    if (e->kind == SPECIAL_DTYPE) {
      v->kind = LP_IO_DTYPE;
      v->dtype = e->dtype;
      return v;
    }
    v->as.global.entry = e;
    break;
  }
  return v;
}

LpIoValue *lp_rebuild_call(LpIoTree *tree, LpIoValue *callee, LpIoValue *args,
                           LpIoValue *kwargs) {
  const Entry *e = entry_of(callee);
  const bool plain = !kwargs || kwargs->as.items.count == 0;
  if (e && e->make && plain && args->kind == LP_IO_TUPLE) {
    /* The classes of Python's that are also functions: object.__new__(cls) gives an empty
     * one. */
    if (e->kind == SPECIAL_TENSOR && arg_count(args) == 0)
      return record(tree, callee, args, NULL);
    return e->make(tree, e, callee, args);
  }
  return record(tree, callee, args, plain ? NULL : kwargs);
}

/* The states that tensors had themselves restored from before there were functions for
 * it: (storage, offset, size, stride), (data, requires_grad, hooks) and the same with a
 * middle. */
static bool fill_tensor(LpIoTree *tree, LpIoValue *object, const Entry *e,
                        const LpIoValue *state) {
  LpIoValue *first = arg(state, 0), *made = NULL;
  if (state->as.items.count == 4 && lp_io_is(first, LP_IO_STORAGE) &&
      lp_io_is(arg(state, 1), LP_IO_INT)) {
    made = lp_rebuild_tensor(tree, first, dtype_of(first), arg(state, 1)->as.i,
                             arg(state, 2), arg(state, 3), 0);
    if (!made) return false;
  } else if (lp_io_is(first, LP_IO_TENSOR)) {
    made = with_flags(
        tree, first,
        (strcmp(e->name, "Parameter") == 0 ? LP_IO_PARAMETER : 0) |
            (is_true(arg(state, 1)) || is_true(arg(state, 3)) ? LP_IO_REQUIRES_GRAD : 0));
    if (!made) return false;
  }
  if (!made) return true;
  object->kind = LP_IO_TENSOR;
  object->flags = made->flags;
  object->as = made->as;
  lp_tensor_retain(object->as.tensor.tensor);
  return true;
}

bool lp_rebuild_state(LpIoTree *tree, LpIoValue *object, LpIoValue *state) {
  switch (object->kind) {
  case LP_IO_RECORD: {
    const Entry *e = entry_of(object->as.record.callee);
    object->as.record.state = state;
    if (e && e->kind == SPECIAL_ARRAY && state->kind == LP_IO_TUPLE &&
        state->as.items.count == 5)
      return fill_array(tree, object, arg(state, 1), arg(state, 2),
                        is_true(arg(state, 3)), arg(state, 4));
    if (e && e->kind == SPECIAL_TENSOR && state->kind == LP_IO_TUPLE)
      return fill_tensor(tree, object, e, state);
    return true;
  }
  case LP_IO_TENSOR: object->as.tensor.attributes = state; return true;
  default:
    if (lp_io_has_items(object)) {
      object->as.items.attributes = state;
      return true;
    }
    return lp_fail(LP_ERR_IO,
                   "the file is damaged: it gives a state to a value of type %s",
                   lp_io_kind_name(object));
  }
}

bool lp_rebuild_append(LpIoTree *tree, LpIoValue *object, LpIoValue *item) {
  if (object->kind == LP_IO_LIST || object->kind == LP_IO_SET)
    return lp_io_append(tree, object, item);
  CHECK(object->kind == LP_IO_RECORD, LP_ERR_IO,
        "the file is damaged: it appends to a value of type %s", lp_io_kind_name(object));
  if (!object->as.record.list) object->as.record.list = lp_io_new(tree, LP_IO_LIST);
  return object->as.record.list && lp_io_append(tree, object->as.record.list, item);
}

bool lp_rebuild_set(LpIoTree *tree, LpIoValue *object, LpIoValue *key, LpIoValue *item) {
  CHECK(!lp_io_has_items(key) || key->kind == LP_IO_TUPLE ||
            key->kind == LP_IO_FROZENSET || key->kind == LP_IO_SIZE,
        LP_ERR_IO, "the file is damaged: a %s is the key of a dict",
        lp_io_kind_name(key));
  if (object->kind == LP_IO_RECORD) {
    if (!object->as.record.dict) object->as.record.dict = lp_io_new(tree, LP_IO_DICT);
    object = object->as.record.dict;
    if (!object) return false;
  }
  CHECK(object->kind == LP_IO_DICT || object->kind == LP_IO_ORDERED_DICT, LP_ERR_IO,
        "the file is damaged: it sets a key of a value of type %s",
        lp_io_kind_name(object));
  return lp_io_append(tree, object, key) && lp_io_append(tree, object, item);
}
