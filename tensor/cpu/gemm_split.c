/* See gemm_split.h. The functions that touch tiles are compiled for AMX one by one, and
 * called only where lp_split_supported() says so. */
#define _GNU_SOURCE /* syscall */
#include "cpu/gemm_split.h"

#include <string.h>
#include "core/check.h"

#if defined(__x86_64__) && defined(__linux__) && defined(LP_HAVE_X86_CAPS)
#include <cpuid.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "cpu/caps.h"
#include "cpu/tiles.h"

/* --- support
 * ---------------------------------------------------------------------------- */

static bool supported;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void find_support(void) {
  unsigned a, b, c, d;
  if (!lp_cpu_allows_tiles) return;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
  const bool amx_bf16 = d >> 22 & 1, amx_tile = d >> 24 & 1;
  if (!amx_bf16 || !amx_tile) return;
  /* Linux grants the tiles' state (XTILEDATA, number 18) to those that ask. */
  const long request = 0x1023, tile_data = 18;
  supported = syscall(SYS_arch_prctl, request, tile_data) == 0;
}

bool lp_split_supported(void) {
  pthread_once(&once, find_support);
  return supported;
}

/* --- packing
 * ---------------------------------------------------------------------------- */

AMX static inline void put(char *to, __m512 low, __m512 high, __m512 sums[2]) {
  lp_put_pieces(to, TILE_BYTES, low, high, sums);
}

typedef struct Source {
  const float *data;
  int64_t step, k_step, count, k;
} Source;

/* A block of A whose source is contiguous along k: a line holds the pairs of one row. */
AMX static void pack_rows(char *to, const Source *s, __m512 sums[2]) {
  const int64_t rows = s->count < 16 ? s->count : 16;
  for (int64_t i = 0; i < rows; i++, to += 64) {
    const float *row = s->data + i * s->step;
    char *line = to;
    int64_t k0 = 0;
    for (; k0 + LP_SPLIT_DEPTH <= s->k; k0 += LP_SPLIT_DEPTH, line += LP_SPLIT_PIECES)
      put(line, _mm512_loadu_ps(row + k0), _mm512_loadu_ps(row + k0 + 16), sums);
    if (k0 < s->k)
      put(line, _mm512_maskz_loadu_ps(lp_first(s->k - k0), row + k0),
          _mm512_maskz_loadu_ps(lp_first(s->k - k0 - 16), row + k0 + 16), sums);
  }
}

/* 16 x 16 elements, turned over, lie in a line each. */
AMX static inline void put_turned(char *to, __m512 low[16], __m512 high[16],
                                  __m512 sums[2]) {
  lp_turn_floats(low);
  lp_turn_floats(high);
  for (int i = 0; i < 16; i++) put(to + 64 * i, low[i], high[i], sums);
}

/* A block of B whose source is contiguous along k. */
AMX static void pack_columns_turned(char *to, const Source *s, __m512 sums[2]) {
  for (int64_t k0 = 0; k0 < s->k; k0 += LP_SPLIT_DEPTH, to += LP_SPLIT_PIECES) {
    const __mmask16 here = lp_first(s->k - k0), beyond = lp_first(s->k - k0 - 16);
    const float *column = s->data + k0;
    __m512 low[16], high[16];
    for (int64_t i = 0; i < 16; i++, column += s->step) {
      const bool there = i < s->count;
      low[i] = _mm512_maskz_loadu_ps(there ? here : 0, column);
      high[i] = _mm512_maskz_loadu_ps(there ? beyond : 0, column + 16);
    }
    put_turned(to, low, high, sums);
  }
}

/* Blocks whose rows or columns are neighbours in the source, a few at a time: rows of k
 * may lie a page apart, and each is visited once for all of them. */
#define STRIP 4
#define WIDE_STRIP 16 /* where a row of k has a line for each block */

static inline int64_t blocks_of(const Source *s) {
  return (s->count + 15) / 16;
}

/* Asks for a row of the depth after the one at k0. */
static inline void ask_for_next(const Source *s, int64_t k0, int64_t j) {
  const int64_t k = k0 + LP_SPLIT_DEPTH + j;
  for (int64_t i = 0; k < s->k && i < s->count; i += 16)
    __builtin_prefetch(s->data + k * s->k_step + i, 0, 2);
}

AMX static inline __m512 row_of_k(const Source *s, int64_t k, int64_t b) {
  return _mm512_maskz_loadu_ps(k < s->k ? lp_first(s->count - 16 * b) : 0,
                               s->data + k * s->k_step + 16 * b);
}

/* Of B: a line holds a pair of each column. One line of each block. */
AMX static inline void pack_columns_line(char *to, int64_t block_step, const Source *s,
                                         int64_t k0, int64_t j, __m512 sums[2]) {
  ask_for_next(s, k0, j);
  ask_for_next(s, k0, j + 16);
  for (int64_t b = 0; b < blocks_of(s); b++)
    put(to + b * block_step + 64 * j, row_of_k(s, k0 + j, b), row_of_k(s, k0 + 16 + j, b),
        sums);
}

AMX static void pack_columns(char *to, int64_t block_step, const Source *s,
                             __m512 sums[2]) {
  for (int64_t k0 = 0; k0 < s->k; k0 += LP_SPLIT_DEPTH, to += LP_SPLIT_PIECES)
    for (int64_t j = 0; j < 16; j++) pack_columns_line(to, block_step, s, k0, j, sums);
}

/* Of A: a depth of one block. */
AMX static inline void pack_rows_depth(char *to, const Source *s, int64_t k0, int64_t b,
                                       __m512 sums[2]) {
  __m512 low[16], high[16];
  for (int64_t j = 0; j < 16; j++) {
    low[j] = row_of_k(s, k0 + j, b);
    high[j] = row_of_k(s, k0 + 16 + j, b);
  }
  put_turned(to, low, high, sums);
}

AMX static void pack_rows_turned(char *to, int64_t block_step, const Source *s,
                                 __m512 sums[2]) {
  for (int64_t k0 = 0; k0 < s->k; k0 += LP_SPLIT_DEPTH, to += LP_SPLIT_PIECES) {
    for (int64_t j = 0; j < LP_SPLIT_DEPTH; j++) ask_for_next(s, k0, j);
    for (int64_t b = 0; b < blocks_of(s); b++)
      pack_rows_depth(to + b * block_step, s, k0, b, sums);
  }
}

AMX bool lp_split_pack(void *block, int64_t block_step, const float *source, int64_t step,
                       int64_t k_step, int64_t count, int64_t k, bool for_b) {
  const bool along = k_step == 1;
  const int64_t strip = (along ? 1 : for_b ? WIDE_STRIP : STRIP) * LP_SPLIT_SIDE;
  __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  for (int64_t i = 0; i < count; i += strip) {
    const Source s = {.data = source + i * step,
                      .step = step,
                      .k_step = k_step,
                      .count = count - i < strip ? count - i : strip,
                      .k = k};
    char *to = (char *)block + i / LP_SPLIT_SIDE * block_step;
    if (along && for_b)
      pack_columns_turned(to, &s, sums);
    else if (along)
      pack_rows(to, &s, sums);
    else if (for_b)
      pack_columns(to, block_step, &s, sums);
    else
      pack_rows_turned(to, block_step, &s, sums);
  }
  return lp_are_finite(sums);
}

/* --- packing while tiles are multiplied
 * ----------------------------------------------- */

/* Kinds of packing beside products; none, with B near or afar. */
enum { FROM_AFAR = -2, ALONE, ROWS, COLUMNS_TURNED, COLUMNS, ROWS_TURNED };

void lp_split_feed_begin(LpSplitFeed *f, int64_t depths) {
  const int64_t depth = (f->k + LP_SPLIT_DEPTH - 1) / LP_SPLIT_DEPTH,
                blocks = (f->count + 15) / 16;
  f->kind = f->k_step == 1 ? (f->for_b ? COLUMNS_TURNED : ROWS)
                           : (f->for_b ? COLUMNS : ROWS_TURNED);
  f->at = f->tick = 0;
  f->total = depth * (f->kind == ROWS ? f->count : f->kind == COLUMNS ? 16 : blocks);
  f->gap = depths / f->total;
  if (f->gap < 1) f->gap = 1;
  f->each = (f->total * f->gap + depths - 1) / depths;
  memset(f->sums, 0, sizeof f->sums);
}

/* The next bit. */
AMX static inline void feed_one(LpSplitFeed *f, int kind) {
  const int64_t depth = (f->k + LP_SPLIT_DEPTH - 1) / LP_SPLIT_DEPTH;
  Source s = {f->source, f->step, f->k_step, f->count, f->k};
  const int64_t at = f->at++;
  __m512 sums[2] = {_mm512_load_ps(f->sums[0]), _mm512_load_ps(f->sums[1])};
  switch (kind) {
  case ROWS: {
    const int64_t i = at / depth, d = at % depth, k0 = d * LP_SPLIT_DEPTH;
    const float *row = s.data + i * s.step + k0;
    if (i + 1 < s.count) { /* the next row lies in another page */
      __builtin_prefetch(row + s.step, 0, 2);
      __builtin_prefetch(row + s.step + 16, 0, 2);
    }
    put((char *)f->block + i / 16 * f->block_step + d * LP_SPLIT_PIECES + i % 16 * 64,
        _mm512_maskz_loadu_ps(lp_first(s.k - k0), row),
        _mm512_maskz_loadu_ps(lp_first(s.k - k0 - 16), row + 16), sums);
    break;
  }
  case COLUMNS: {
    const int64_t d = at / 16;
    pack_columns_line((char *)f->block + d * LP_SPLIT_PIECES, f->block_step, &s,
                      d * LP_SPLIT_DEPTH, at % 16, sums);
    break;
  }
  case COLUMNS_TURNED: {
    const int64_t b = at / depth, d = at % depth;
    s.data += 16 * b * s.step + d * LP_SPLIT_DEPTH;
    for (int64_t i = 0; d + 1 < depth && 16 * b + i < f->count && i < 16; i++) {
      __builtin_prefetch(s.data + i * s.step + LP_SPLIT_DEPTH, 0, 2);
      __builtin_prefetch(s.data + i * s.step + LP_SPLIT_DEPTH + 16, 0, 2);
    }
    s.count -= 16 * b;
    s.k -= d * LP_SPLIT_DEPTH;
    if (s.k > LP_SPLIT_DEPTH) s.k = LP_SPLIT_DEPTH;
    pack_columns_turned((char *)f->block + b * f->block_step + d * LP_SPLIT_PIECES, &s,
                        sums);
    break;
  }
  default: {
    const int64_t blocks = blocks_of(&s), b = at % blocks, d = at / blocks;
    const int64_t after = (d + 1) * LP_SPLIT_DEPTH;
    for (int64_t k = after; k < s.k && k < after + LP_SPLIT_DEPTH; k++)
      __builtin_prefetch(s.data + k * s.k_step + 16 * b, 0, 2);
    pack_rows_depth((char *)f->block + b * f->block_step + d * LP_SPLIT_PIECES, &s,
                    d * LP_SPLIT_DEPTH, b, sums);
  }
  }
  _mm512_store_ps(f->sums[0], sums[0]);
  _mm512_store_ps(f->sums[1], sums[1]);
}

AMX static inline void feed(LpSplitFeed *f, int kind) {
  if (kind < 0 || ++f->tick < f->gap) return;
  f->tick = 0;
  for (int64_t i = 0; i < f->each && f->at < f->total; i++) feed_one(f, kind);
}

AMX bool lp_split_feed_end(LpSplitFeed *f) {
  while (f->at < f->total) feed_one(f, f->kind);
  const __m512 sums[2] = {_mm512_load_ps(f->sums[0]), _mm512_load_ps(f->sums[1])};
  return lp_are_finite(sums);
}

/* --- products
 * --------------------------------------------------------------------------- */

typedef struct TileConfig {
  uint8_t palette, start_row, reserved[14];
  uint16_t bytes[16];
  uint8_t rows[16];
} TileConfig;

AMX void lp_split_begin(void) {
  TileConfig config = {.palette = 1};
  for (int i = 0; i < 8; i++) {
    config.bytes[i] = 64;
    config.rows[i] = 16;
  }
  IN_MEMORY(&config);
  _tile_loadconfig(&config);
}

AMX void lp_split_end(void) {
  _tile_release();
}

/* What the next product adds to: lines are asked for while this one runs. */
typedef struct Next {
  const float *c;          /* or NULL */
  int64_t ldc, rows, each; /* rows asked for in each depth */
} Next;
static Next next_of(const LpSplitTile *t) {
  return (Next){t->next, t->ldc, t->next ? t->next_rows : 0,
                (32 + t->depth - 1) / t->depth};
}
static inline void ask_for_c(Next *n) {
  for (int64_t i = 0; i < n->each && n->rows > 0; i++, n->rows--, n->c += n->ldc) {
    __builtin_prefetch(n->c, 1);
    __builtin_prefetch(n->c + 16, 1);
  }
}

/* What of the work beside the tiles belongs to a depth. */
AMX static inline void meanwhile(Next *next, LpSplitFeed *f, int kind) {
  ask_for_c(next);
  feed(f, kind);
}

/* Fetches half of an operand's next depth while the tile unit is busy with this one:
 * where nothing is packed beside it, the operands often come from the second cache, and B
 * that has been packed before from farther away. */
#define HALF (LP_SPLIT_PIECES / 2)
static inline void fetch(const char *operand, int half, int kind) {
  const char *p = operand + LP_SPLIT_PIECES + half * HALF;
  if (kind >= 0) return;
#pragma GCC unroll 24
  for (int i = 0; i < HALF; i += 64) __builtin_prefetch(p + i);
}
static inline void fetch_b(const char *b, int half, int kind) {
  fetch(b, half, kind);
  if (kind == FROM_AFAR)
    lp_ask_afar(b + FAR_DEPTHS * LP_SPLIT_PIECES + half * HALF, HALF);
}

#define OF_A(piece, half) ((half ? a1 : a0) + (piece)*TILE_BYTES)
#define OF_B(piece, half) ((half ? b1 : b0) + (piece)*TILE_BYTES)
#define BESIDE(term) beside(term, a0, a1, b0, b1, &next, t->feed, kind)
AMX static inline void beside(int term, const char *a0, const char *a1, const char *b0,
                              const char *b1, Next *next, LpSplitFeed *f, int kind) {
  switch (term) {
  case 0: fetch(a0, 0, kind); break;
  case 1:
    fetch(a1, 0, kind);
    fetch_b(b0, 1, kind);
    break;
  case 2:
    fetch_b(b1, 1, kind);
    meanwhile(next, f, kind);
    break;
  case 3:
    fetch_b(b0, 0, kind);
    fetch_b(b1, 0, kind);
    break;
  case 4: fetch(a0, 1, kind); break;
  default: fetch(a1, 1, kind);
  }
}

AMX static inline void sum_2x2(const LpSplitTile *t, const char *const b[4], Next next,
                               int kind) {
  const char *a0 = t->a[0], *a1 = t->a[1], *b0 = b[0], *b1 = b[1];
  for (int64_t d = 0; d < t->depth; d++) {
    SIX_TERMS(OF_A, OF_B, BESIDE);
    a0 += LP_SPLIT_PIECES;
    a1 += LP_SPLIT_PIECES;
    b0 += LP_SPLIT_PIECES;
    b1 += LP_SPLIT_PIECES;
  }
}

/* One block of A (tile 4) by four of B (tile 5): a piece of A by a piece of each. */
#define TERM_1(j, piece)                                                                 \
  do {                                                                                   \
    _tile_loadd(5, b[j] + at + (piece)*TILE_BYTES, 64);                                  \
    TILE_PRODUCT(j, 4, 5);                                                               \
  } while (0)
#define TERM_1x4(piece)                                                                  \
  do {                                                                                   \
    TERM_1(0, piece);                                                                    \
    TERM_1(1, piece);                                                                    \
    TERM_1(2, piece);                                                                    \
    TERM_1(3, piece);                                                                    \
  } while (0)

AMX static inline void sum_1x4(const LpSplitTile *t, const char *const b[4], Next next,
                               int kind) {
  const char *a = t->a[0];
  for (int64_t at = 0; at < t->depth * LP_SPLIT_PIECES; at += LP_SPLIT_PIECES) {
    _tile_loadd(4, a + at, 64);
    TERM_1x4(2);
    fetch_b(b[0] + at, 0, kind);
    fetch_b(b[1] + at, 0, kind);
    TERM_1x4(1);
    fetch_b(b[2] + at, 0, kind);
    fetch_b(b[3] + at, 0, kind);
    TERM_1x4(0);
    fetch_b(b[0] + at, 1, kind);
    fetch_b(b[1] + at, 1, kind);
    meanwhile(&next, t->feed, kind);
    _tile_loadd(4, a + at + 2 * TILE_BYTES, 64);
    TERM_1x4(0);
    fetch_b(b[2] + at, 1, kind);
    fetch_b(b[3] + at, 1, kind);
    _tile_loadd(4, a + at + TILE_BYTES, 64);
    TERM_1x4(0);
    TERM_1x4(1);
  }
}

/* One function for each kind of packing beside it. */
#define SUMS(kind)                                                                       \
  do {                                                                                   \
    if (tall)                                                                            \
      sum_2x2(t, b, next, kind);                                                         \
    else                                                                                 \
      sum_1x4(t, b, next, kind);                                                         \
  } while (0)
#define SUMS_OF(name, kind)                                                              \
  AMX static __attribute__((noinline)) void name(const LpSplitTile *t,                   \
                                                 const char *const b[4], bool tall) {    \
    const Next next = next_of(t);                                                        \
    SUMS(kind);                                                                          \
  }
SUMS_OF(sums_alone, ALONE)
SUMS_OF(sums_from_afar, FROM_AFAR)
SUMS_OF(sums_rows, ROWS)
SUMS_OF(sums_columns_turned, COLUMNS_TURNED)
SUMS_OF(sums_columns, COLUMNS)
SUMS_OF(sums_rows_turned, ROWS_TURNED)

/* C in memory of its own, when a block lies at an edge of C. */
#define EDGE_COLUMNS 64
AMX static void load_edge(const LpSplitTile *t, float edge[32][EDGE_COLUMNS]) {
  for (int64_t i = 0; i < (t->a[1] ? 32 : 16); i++)
    for (int j = 0; j < t->count; j++) {
      const float *from = t->at[j].from;
      const __mmask16 there = from && i < t->rows ? lp_first(t->at[j].columns) : 0;
      _mm512_store_ps(
          &edge[i][16 * j],
          _mm512_maskz_loadu_ps(there, from ? from + i * t->from_step : NULL));
    }
}
AMX static void store_edge(const LpSplitTile *t, float edge[32][EDGE_COLUMNS]) {
  for (int64_t i = 0; i < t->rows; i++)
    for (int j = 0; j < t->count; j++)
      _mm512_mask_storeu_ps(t->at[j].c + i * t->ldc, lp_first(t->at[j].columns),
                            _mm512_load_ps(&edge[i][16 * j]));
}

#define LOAD_C(tile, j, row)                                                             \
  do {                                                                                   \
    if (from[j])                                                                         \
      _tile_loadd(tile, from[j] + (row)*from_step, from_stride);                         \
    else                                                                                 \
      _tile_zero(tile);                                                                  \
  } while (0)
#define STORE_C(tile, j, row)                                                            \
  do {                                                                                   \
    if ((j) < t->count) _tile_stored(tile, c[j] + (row)*ldc, stride);                    \
  } while (0)

AMX void lp_split_product(const LpSplitTile *t) {
  _Alignas(64) float edge[32][EDGE_COLUMNS];
  const bool tall = t->a[1] != NULL;
  bool whole = t->rows == (tall ? 32 : 16);
  for (int j = 0; j < t->count; j++) whole &= t->at[j].columns == 16;
  if (!whole) load_edge(t, edge);
  const int64_t ldc = whole ? t->ldc : EDGE_COLUMNS;
  const int64_t from_step = whole ? t->from_step : EDGE_COLUMNS;
  const size_t stride = (size_t)ldc * sizeof(float),
               from_stride = (size_t)from_step * sizeof(float);
  const char *b[4]; /* those that do not exist are computed like the first, and dropped */
  const float *from[4];
  float *c[4];
  for (int j = 0; j < 4; j++) {
    const bool exists = j < t->count;
    b[j] = t->at[exists ? j : 0].b;
    c[j] = whole ? t->at[exists ? j : 0].c : &edge[0][16 * j];
    from[j] = !exists ? NULL : whole ? t->at[j].from : c[j];
  }
  IN_MEMORY(c[0]);
  LOAD_C(0, 0, 0);
  LOAD_C(1, 1, 0);
  if (tall) {
    LOAD_C(2, 0, 16);
    LOAD_C(3, 1, 16);
  } else {
    LOAD_C(2, 2, 0);
    LOAD_C(3, 3, 0);
  }
  static void (*const sums[])(const LpSplitTile *t, const char *const b[4], bool tall) = {
      sums_rows, sums_columns_turned, sums_columns, sums_rows_turned};
  (t->feed ? sums[t->feed->kind] : t->afar ? sums_from_afar : sums_alone)(t, b, tall);
  STORE_C(0, 0, 0);
  STORE_C(1, 1, 0);
  if (tall) {
    STORE_C(2, 0, 16);
    STORE_C(3, 1, 16);
  } else {
    STORE_C(2, 2, 0);
    STORE_C(3, 3, 0);
  }
  IN_MEMORY(c[0]);
  if (!whole) store_edge(t, edge);
}

#else

bool lp_split_supported(void) {
  return false;
}
bool lp_split_pack(void *block, int64_t block_step, const float *source, int64_t step,
                   int64_t k_step, int64_t count, int64_t k, bool for_b) {
  return false;
}
void lp_split_begin(void) {}
void lp_split_end(void) {}
void lp_split_product(const LpSplitTile *t) {}
void lp_split_feed_begin(LpSplitFeed *f, int64_t depths) {}
bool lp_split_feed_end(LpSplitFeed *f) {
  return false;
}

#endif
