/* The driver of block functions (Note [Pointwise kernels]), selection by a mask, and the
 * table of this capability. */
#include "cpu/simd/kernels.h"
#include "cpu/pointwise.h"

/* Bytes of an operand's buffer: 1024 floats, all four operands fit the first-level cache.
 */
#define BUFFER_BYTES 4096

/* Copies n elements of one size between strides; the sizes are those of the dtypes. */
#define MOVE(type)                                                                       \
  for (int64_t i = 0; i < n; i++, to += to_stride, from += from_stride)                  \
    memcpy(to, from, sizeof(type));
static void move(char *to, int64_t to_stride, const char *from, int64_t from_stride,
                 int size, int64_t n) {
  if (to_stride == size && from_stride == size) {
    memcpy(to, from, (size_t)(n * size));
    return;
  }
  switch (size) {
  case 1: MOVE(uint8_t) break;
  case 2: MOVE(uint16_t) break;
  case 4: MOVE(uint32_t) break;
  case 8: MOVE(uint64_t) break;
  default: MOVE(double _Complex) break;
  }
}

/* n copies of one element. */
#define FILL(type)                                                                       \
  {                                                                                      \
    type value, *out = (type *)to;                                                       \
    memcpy(&value, from, sizeof value);                                                  \
    for (int64_t i = 0; i < n; i++) out[i] = value;                                      \
  }
static void fill(char *to, const char *from, int size, int64_t n) {
  switch (size) {
  case 1: FILL(uint8_t) break;
  case 2: FILL(uint16_t) break;
  case 4: FILL(uint32_t) break;
  case 8: FILL(uint64_t) break;
  default: FILL(double _Complex) break;
  }
}

/* Where no input is overwritten, elements may be computed twice: what is left beside
 * whole vectors is part of one more, which ends with the row. n: at least a granule. */
static void drive_apart(const LpDrive *d, LpBlock block, char *const *ptrs,
                        const int64_t *strides, int64_t n, int64_t granule) {
  const int64_t whole = n & -granule;
  block(ptrs, whole, d->params);
  if (whole == n) return;
  char *last[4];
  for (int k = 0; k <= d->n_inputs; k++) last[k] = ptrs[k] + (n - granule) * strides[k];
  block(last, granule, d->params);
}

/* What takes operands that lie so, the two inputs in the other order where `turned`;
 * neither block: they go through buffers. */
typedef struct Way {
  LpBlock block;
  LpNumberBlock by_number;
  bool turned;
} Way;

static Way choose_way(const LpDrive *d, const int64_t *strides) {
  const int8_t *sizes = d->sizes;
  bool direct = strides[0] == sizes[0] && strides[1] == sizes[1], by_number = direct;
  for (int k = 2; k <= d->n_inputs; k++) {
    direct = direct && strides[k] == sizes[k];
    by_number = by_number && strides[k] == 0;
  }
  if (direct) return (Way){.block = d->block};
  if (by_number) return (Way){.by_number = d->by_number};
  const bool turned =
      d->turned && strides[0] == sizes[0] && strides[1] == 0 && strides[2] == sizes[2];
  return (Way){.by_number = turned ? d->turned : NULL, .turned = turned};
}

/* Rows of a granule or more. False: the way does not take them, or they are overwritten.
 */
static bool drive_by_number(const LpDrive *d, const Way *way, char *const *ptrs,
                            const int64_t *row_strides, int64_t rows, int64_t n) {
  if (!way->by_number) return false;
  char *at[4];
  int64_t steps[4];
  for (int k = 0; k <= d->n_inputs; k++) {
    const int from = way->turned && k > 0 ? 3 - k : k;
    if (k > 1 && ptrs[from] == ptrs[0]) return false;
    at[k] = ptrs[from];
    steps[k] = row_strides[from];
  }
  way->by_number(at, steps, rows, n, d->params);
  return true;
}

static int64_t granule_of(const LpDrive *d) {
  return LP_VECTOR_BYTES / (d->sizes[0] < d->sizes[1] ? d->sizes[0] : d->sizes[1]);
}

/* Runs a block over strided operands of any count: whole vectors in place where the
 * memory is contiguous (or, for some ops, one element), the rest through buffers, the
 * last vector filled up with its last element. */
static void drive(char *const *ptrs, const int64_t *strides, int64_t n,
                  const void *params) {
  const LpDrive *d = params;
  const int n_operands = d->n_inputs + 1;
  const int8_t *sizes = d->sizes;
  const int64_t granule = granule_of(d);
  const Way way = choose_way(d, strides);
  if (n >= granule) {
    bool apart = way.block;
    for (int k = 1; k < n_operands; k++) apart = apart && ptrs[k] != ptrs[0];
    if (apart) {
      drive_apart(d, way.block, ptrs, strides, n, granule);
      return;
    }
    if (drive_by_number(d, &way, ptrs, (const int64_t[4]){0}, 1, n)) return;
  }
  int64_t done = 0;
  if (way.block) {
    done = n & -granule;
    if (done) way.block(ptrs, done, d->params);
    if (done == n) return;
  }
  _Alignas(64) char buffers[4][BUFFER_BYTES];
  const int64_t chunk = BUFFER_BYTES / (sizes[0] > sizes[1] ? sizes[0] : sizes[1]);
  for (bool first = true; done < n; first = false) {
    /* Whole vectors first, then what is left. */
    int64_t m = n - done < chunk ? n - done : chunk;
    if (m >= granule) m &= -granule;
    const int64_t padded = (m + granule - 1) & -granule;
    char *at[4];
    for (int k = 1; k < n_operands; k++) {
      char *from = ptrs[k] + done * strides[k];
      at[k] = buffers[k];
      if (strides[k] == 0) {
        if (first) fill(buffers[k], from, sizes[k], padded);
      } else if (strides[k] == sizes[k] && m == padded) {
        at[k] = from;
      } else {
        move(buffers[k], sizes[k], from, strides[k], sizes[k], m);
        char *last = buffers[k] + (m - 1) * sizes[k];
        fill(last, last, sizes[k], padded - m + 1);
      }
    }
    char *to = ptrs[0] + done * strides[0];
    at[0] = strides[0] == sizes[0] && m == padded ? to : buffers[0];
    d->block(at, padded, d->params);
    if (at[0] == buffers[0]) move(to, strides[0], buffers[0], sizes[0], sizes[0], m);
    done += m;
  }
}

/* Many rows: how they are to be driven is found out once. */
static void drive_rows(char *const *ptrs, const int64_t *strides, int64_t n,
                       const int64_t *row_strides, int64_t rows, const void *params) {
  const LpDrive *d = params;
  const int n_operands = d->n_inputs + 1;
  const int64_t granule = granule_of(d);
  const Way way = n >= granule ? choose_way(d, strides) : (Way){0};
  if (drive_by_number(d, &way, ptrs, row_strides, rows, n)) return;
  char *at[4];
  for (int k = 0; k < n_operands; k++) at[k] = ptrs[k];
  for (int64_t r = 0; r < rows; r++) {
    bool apart = way.block;
    for (int k = 1; k < n_operands; k++) apart = apart && at[k] != at[0];
    if (apart)
      drive_apart(d, way.block, at, strides, n, granule);
    else
      drive(at, strides, n, params);
    for (int k = 0; k < n_operands; k++) at[k] += row_strides[k];
  }
}

static void move_or_fill(char *to, int64_t to_stride, const char *from,
                         int64_t from_stride, int size, int64_t n) {
  if (to_stride == size && from_stride == 0 && n > 0)
    fill(to, from, size, n);
  else
    move(to, to_stride, from, from_stride, size, n);
}

/* out = condition ? a : b. */
#define SELECT(type, id)                                                                 \
  static void select_##id(char *const *ptrs, const int64_t *strides, int64_t n,          \
                          const void *params) {                                          \
    const int64_t size = sizeof(type);                                                   \
    const uint8_t *c = (const uint8_t *)ptrs[1];                                         \
    type *out = (type *)ptrs[0];                                                         \
    const type *a = (const type *)ptrs[2], *b = (const type *)ptrs[3];                   \
    if (strides[0] == size && strides[1] == 1 && strides[2] == size &&                   \
        strides[3] == size) {                                                            \
      LP_IVDEP                                                                           \
      for (int64_t i = 0; i < n; i++) {                                                  \
        type x = a[i], y = b[i];                                                         \
        out[i] = c[i] ? x : y;                                                           \
      }                                                                                  \
    } else if (strides[0] == size && strides[1] == 1 && strides[2] == 0 &&               \
               strides[3] == size) {                                                     \
      const type x = *a;                                                                 \
      LP_IVDEP                                                                           \
      for (int64_t i = 0; i < n; i++) {                                                  \
        type y = b[i];                                                                   \
        out[i] = c[i] ? x : y;                                                           \
      }                                                                                  \
    } else if (strides[0] == size && strides[1] == 1 && strides[2] == size &&            \
               strides[3] == 0) {                                                        \
      const type y = *b;                                                                 \
      LP_IVDEP                                                                           \
      for (int64_t i = 0; i < n; i++) {                                                  \
        type x = a[i];                                                                   \
        out[i] = c[i] ? x : y;                                                           \
      }                                                                                  \
    } else if (strides[1] == 0) {                                                        \
      const int from = n > 0 && *c ? 2 : 3;                                              \
      move_or_fill(ptrs[0], strides[0], ptrs[from], strides[from], size, n);             \
    } else {                                                                             \
      char *const *p = ptrs;                                                             \
      for (int64_t i = 0; i < n; i++) {                                                  \
        const char *from =                                                               \
            p[1][i * strides[1]] ? p[2] + i * strides[2] : p[3] + i * strides[3];        \
        *(type *)(p[0] + i * strides[0]) = *(const type *)from;                          \
      }                                                                                  \
    }                                                                                    \
  }

SELECT(uint8_t, 1)
SELECT(uint16_t, 2)
SELECT(uint32_t, 4)
SELECT(uint64_t, 8)
SELECT(double _Complex, 16)

extern const LpPointwiseRow LP_SIMD(lp_pointwise_u8), LP_SIMD(lp_pointwise_i8),
    LP_SIMD(lp_pointwise_i16), LP_SIMD(lp_pointwise_i32), LP_SIMD(lp_pointwise_i64),
    LP_SIMD(lp_pointwise_f16), LP_SIMD(lp_pointwise_f32), LP_SIMD(lp_pointwise_f64),
    LP_SIMD(lp_pointwise_c64), LP_SIMD(lp_pointwise_c128), LP_SIMD(lp_pointwise_bool),
    LP_SIMD(lp_pointwise_bf16);

const LpPointwiseTable LP_SIMD(lp_pointwise_table) = {
    .rows = {[LP_UINT8] = &LP_SIMD(lp_pointwise_u8),
             [LP_INT8] = &LP_SIMD(lp_pointwise_i8),
             [LP_INT16] = &LP_SIMD(lp_pointwise_i16),
             [LP_INT32] = &LP_SIMD(lp_pointwise_i32),
             [LP_INT64] = &LP_SIMD(lp_pointwise_i64),
             [LP_FLOAT16] = &LP_SIMD(lp_pointwise_f16),
             [LP_FLOAT32] = &LP_SIMD(lp_pointwise_f32),
             [LP_FLOAT64] = &LP_SIMD(lp_pointwise_f64),
             [LP_COMPLEX64] = &LP_SIMD(lp_pointwise_c64),
             [LP_COMPLEX128] = &LP_SIMD(lp_pointwise_c128),
             [LP_BOOL] = &LP_SIMD(lp_pointwise_bool),
             [LP_BFLOAT16] = &LP_SIMD(lp_pointwise_bf16)},
    .drive = drive,
    .drive_rows = drive_rows,
    .select = {select_1, select_2, select_4, select_8, select_16}};
