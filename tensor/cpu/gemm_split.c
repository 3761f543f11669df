/* See gemm_split.h. The functions that touch tiles are compiled for AMX one by one, and
 * called only where lp_split_supported() says so. */
#define _GNU_SOURCE /* syscall */
#include "cpu/gemm_split.h"

#include <string.h>
#include "core/check.h"

#if defined(__x86_64__) && defined(__linux__) && defined(LP_HAVE_X86_CAPS)
#include <cpuid.h>
#include <immintrin.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/caps.h"

#define AMX                                                                              \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,amx-tile,amx-bf16")))
#define TILE_BYTES 1024

/* --- support
 * ---------------------------------------------------------------------------- */

static bool supported;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void find_support(void) {
  unsigned a, b, c, d;
  if (lp_cpu_capability != LP_CAPABILITY_AVX512) return;
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

typedef struct Pieces {
  __m512i p[3]; /* as floats whose lower half is 0 */
} Pieces;

/* An infinity or a NaN leaves a NaN in the lowest piece, and so in its running sum. */
AMX static inline Pieces split(__m512 x, __m512 *sum) {
  const __m512i upper = _mm512_set1_epi32((int)0xffff0000);
  Pieces r;
  r.p[0] = _mm512_and_si512(_mm512_castps_si512(x), upper);
  const __m512 rest = _mm512_sub_ps(x, _mm512_castsi512_ps(r.p[0]));
  r.p[1] = _mm512_and_si512(_mm512_castps_si512(rest), upper);
  const __m512 last = _mm512_sub_ps(rest, _mm512_castsi512_ps(r.p[1]));
  r.p[2] = _mm512_castps_si512(last);
  *sum = _mm512_add_ps(*sum, last);
  return r;
}

/* A 16 x 16 matrix of 32-bit numbers turned over. */
AMX static void turn(__m512i *r) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 8; i++) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
  }
}

static __mmask16 first(int64_t n) {
  return n >= 16 ? 0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
}

typedef struct Source {
  const float *data;
  int64_t step, k_step, count, k;
} Source;

/* Writes the first lines of each piece to a depth's three tiles. */
AMX static inline void put(char *to, __m512i lines[3][16], int64_t count) {
  for (int p = 0; p < 3; p++)
    for (int64_t i = 0; i < count; i++)
      _mm512_storeu_si512(to + p * TILE_BYTES + i * 64, lines[p][i]);
}

/* A block whose source is contiguous along k: a line holds the pairs of one row. */
AMX static void pack_along(char *to, const Source *s, bool turned, __m512 *sum) {
  /* Words 1, 3, ... of two registers: the upper halves of 32 floats in order. */
  const __m512i upper =
      _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31,
                       29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  const int64_t rows = s->count < 16 ? s->count : 16;
  __m512 total = *sum;
  for (int64_t k0 = 0; k0 < s->k; k0 += LP_SPLIT_DEPTH, to += LP_SPLIT_PIECES) {
    const __mmask16 here = first(s->k - k0), beyond = first(s->k - k0 - 16);
    const float *row = s->data + k0;
    __m512i lines[3][16];
    for (int64_t i = 0; i < rows; i++, row += s->step) {
      Pieces low = split(_mm512_maskz_loadu_ps(here, row), &total);
      Pieces high = split(_mm512_maskz_loadu_ps(beyond, row + 16), &total);
      for (int p = 0; p < 3; p++)
        lines[p][i] = _mm512_permutex2var_epi16(low.p[p], upper, high.p[p]);
    }
    if (!turned) {
      put(to, lines, rows);
      continue;
    }
    for (int p = 0; p < 3; p++) {
      for (int64_t i = rows; i < 16; i++) lines[p][i] = _mm512_setzero_si512();
      turn(lines[p]);
    }
    put(to, lines, 16);
  }
  *sum = total;
}

/* Blocks whose rows are neighbours in the source, a few at a time: rows of k may lie a
 * page apart, and each is visited once for all of them. A line holds the pairs 2 j, 2 j +
 * 1 of k for all 16 rows. */
#define STRIP 4
AMX static void pack_across(char *to, int64_t block_step, const Source *s, bool turned,
                            __m512 *sum) {
  const int64_t blocks = (s->count + 15) / 16;
  __mmask16 rows[STRIP];
  for (int64_t b = 0; b < blocks; b++) rows[b] = first(s->count - 16 * b);
  __m512 total = *sum;
  for (int64_t k0 = 0; k0 < s->k; k0 += LP_SPLIT_DEPTH, to += LP_SPLIT_PIECES) {
    __m512i lines[STRIP][3][16];
    const float *even = s->data + k0 * s->k_step;
    for (int64_t j = 0; j < 16; j++, even += 2 * s->k_step) {
      const int64_t left = s->k - k0 - 2 * j;
      const __mmask16 first_there = left > 0 ? 0xffff : 0,
                      second_there = left > 1 ? 0xffff : 0;
      for (int64_t b = 0; b < blocks; b++) {
        const float *at = even + 16 * b;
        Pieces low = split(_mm512_maskz_loadu_ps(rows[b] & first_there, at), &total);
        Pieces high =
            split(_mm512_maskz_loadu_ps(rows[b] & second_there, at + s->k_step), &total);
        for (int p = 0; p < 3; p++)
          lines[b][p][j] = _mm512_or_si512(_mm512_srli_epi32(low.p[p], 16), high.p[p]);
      }
    }
    for (int64_t b = 0; b < blocks; b++) {
      for (int p = 0; turned && p < 3; p++) turn(lines[b][p]);
      put(to + b * block_step, lines[b], 16);
    }
  }
  *sum = total;
}

AMX bool lp_split_pack(void *block, int64_t block_step, const float *source, int64_t step,
                       int64_t k_step, int64_t count, int64_t k, bool for_b) {
  const bool along = k_step == 1;
  const int64_t strip = (along ? 1 : STRIP) * LP_SPLIT_SIDE;
  __m512 sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < count; i += strip) {
    const Source s = {.data = source + i * step,
                      .step = step,
                      .k_step = k_step,
                      .count = count - i < strip ? count - i : strip,
                      .k = k};
    char *to = (char *)block + i / LP_SPLIT_SIDE * block_step;
    if (along)
      pack_along(to, &s, for_b, &sum);
    else
      pack_across(to, block_step, &s, !for_b, &sum);
  }
  return _mm512_cmp_ps_mask(sum, sum, _CMP_UNORD_Q) == 0;
}

/* --- products
 * --------------------------------------------------------------------------- */

/* The compiler does not know that tiles are loaded from memory and stored there. */
#define IN_MEMORY(p) __asm__ volatile("" : : "r"(p) : "memory")

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

/* The six terms of a depth, ordered so that few tiles are loaded twice. Tiles 0 to 3 are
 * C (0 1 over 2 3), 4 5 of A, 6 7 of B. */
#define TERM_4()                                                                         \
  do {                                                                                   \
    _tile_dpbf16ps(0, 4, 6);                                                             \
    _tile_dpbf16ps(1, 4, 7);                                                             \
    _tile_dpbf16ps(2, 5, 6);                                                             \
    _tile_dpbf16ps(3, 5, 7);                                                             \
  } while (0)
#define LOAD_A(piece)                                                                    \
  do {                                                                                   \
    _tile_loadd(4, a0 + (piece)*TILE_BYTES, 64);                                         \
    _tile_loadd(5, a1 + (piece)*TILE_BYTES, 64);                                         \
  } while (0)
#define LOAD_B(piece)                                                                    \
  do {                                                                                   \
    _tile_loadd(6, b0 + (piece)*TILE_BYTES, 64);                                         \
    _tile_loadd(7, b1 + (piece)*TILE_BYTES, 64);                                         \
  } while (0)

/* Fetches half of an operand's next depth while the tile unit is busy with this one. */
AMX static inline void fetch(const char *operand, int half) {
  const char *p = operand + LP_SPLIT_PIECES + half * (LP_SPLIT_PIECES / 2);
#pragma GCC unroll 24
  for (int i = 0; i < LP_SPLIT_PIECES / 2; i += 64) __builtin_prefetch(p + i);
}

AMX static void sum_2x2(const char *a0, const char *a1, const char *b0, const char *b1,
                        int64_t depth) {
  for (int64_t d = 0; d < depth; d++) {
    LOAD_A(0);
    LOAD_B(2);
    TERM_4();
    fetch(a0, 0);
    LOAD_B(1);
    TERM_4();
    fetch(a1, 0);
    fetch(b0, 1);
    LOAD_B(0);
    TERM_4();
    fetch(b1, 1);
    LOAD_A(2);
    TERM_4();
    fetch(b0, 0);
    fetch(b1, 0);
    LOAD_A(1);
    TERM_4();
    fetch(a0, 1);
    LOAD_B(1);
    TERM_4();
    fetch(a1, 1);
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
    _tile_dpbf16ps(j, 4, 5);                                                             \
  } while (0)
#define TERM_1x4(piece)                                                                  \
  do {                                                                                   \
    TERM_1(0, piece);                                                                    \
    TERM_1(1, piece);                                                                    \
    TERM_1(2, piece);                                                                    \
    TERM_1(3, piece);                                                                    \
  } while (0)

AMX static void sum_1x4(const char *a, const char *const b[4], int64_t depth) {
  for (int64_t at = 0; at < depth * LP_SPLIT_PIECES; at += LP_SPLIT_PIECES) {
    _tile_loadd(4, a + at, 64);
    TERM_1x4(2);
    fetch(b[0] + at, 0);
    fetch(b[1] + at, 0);
    TERM_1x4(1);
    fetch(b[2] + at, 0);
    fetch(b[3] + at, 0);
    TERM_1x4(0);
    fetch(b[0] + at, 1);
    fetch(b[1] + at, 1);
    _tile_loadd(4, a + at + 2 * TILE_BYTES, 64);
    TERM_1x4(0);
    fetch(b[2] + at, 1);
    fetch(b[3] + at, 1);
    _tile_loadd(4, a + at + TILE_BYTES, 64);
    TERM_1x4(0);
    TERM_1x4(1);
  }
}

/* C in memory of its own, when a block lies at an edge of C. */
#define EDGE_COLUMNS 64
AMX static void load_edge(const LpSplitTile *t, float edge[32][EDGE_COLUMNS]) {
  for (int64_t i = 0; i < (t->a[1] ? 32 : 16); i++)
    for (int j = 0; j < t->count; j++) {
      const __mmask16 there = t->at[j].add && i < t->rows ? first(t->at[j].columns) : 0;
      _mm512_store_ps(&edge[i][16 * j],
                      _mm512_maskz_loadu_ps(there, t->at[j].c + i * t->ldc));
    }
}
AMX static void store_edge(const LpSplitTile *t, float edge[32][EDGE_COLUMNS]) {
  for (int64_t i = 0; i < t->rows; i++)
    for (int j = 0; j < t->count; j++)
      _mm512_mask_storeu_ps(t->at[j].c + i * t->ldc, first(t->at[j].columns),
                            _mm512_load_ps(&edge[i][16 * j]));
}

#define LOAD_C(tile, j, row)                                                             \
  do {                                                                                   \
    if (add[j])                                                                          \
      _tile_loadd(tile, c[j] + (row)*ldc, stride);                                       \
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
  const size_t stride = (size_t)ldc * sizeof(float);
  const char *b[4]; /* those that do not exist are computed like the first, and dropped */
  float *c[4];
  bool add[4];
  for (int j = 0; j < 4; j++) {
    const bool exists = j < t->count;
    b[j] = t->at[exists ? j : 0].b;
    c[j] = whole ? t->at[exists ? j : 0].c : &edge[0][16 * j];
    add[j] = exists && (t->at[j].add || !whole);
  }
  IN_MEMORY(c[0]);
  LOAD_C(0, 0, 0);
  LOAD_C(1, 1, 0);
  if (tall) {
    LOAD_C(2, 0, 16);
    LOAD_C(3, 1, 16);
    sum_2x2(t->a[0], t->a[1], b[0], b[1], t->depth);
  } else {
    LOAD_C(2, 2, 0);
    LOAD_C(3, 3, 0);
    sum_1x4(t->a[0], b, t->depth);
  }
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

/* --- whole products
 * --------------------------------------------------------------------- */

/* What of B is at work: at most so many bytes, so that they stay in a core's own cache.
 */
#define MOST_DEPTH 512
#define LEAST_DEPTH 256
#define BYTES_AT_ONCE (768 * 1024)

typedef struct Job {
  const LpGemm *g;
  const LpSplitMore *more;
  char *b;              /* the packed part of B */
  int64_t k0, k, n0, n; /* the part */
  bool first_part;
  _Atomic bool refused, failed;
} Job;

/* Strips of columns and of rows: blocks that are packed together. */
#define STRIP_SIDE (STRIP * LP_SPLIT_SIDE)

static void pack_columns(void *ctx, int64_t begin, int64_t end) {
  Job *j = ctx;
  const LpGemm *g = j->g;
  const int64_t bytes = lp_split_block_bytes(j->k);
  bool ok = true;
  for (int64_t at = begin * STRIP_SIDE; at < end * STRIP_SIDE && at < j->n;
       at += STRIP_SIDE) {
    const int64_t column = j->n0 + at, rest = j->n - at;
    const bool second = column >= g->n;
    const int64_t ldb = second ? j->more->ldb : g->ldb;
    const int64_t step = g->trans_b ? ldb : 1, k_step = g->trans_b ? 1 : ldb;
    const float *b = second ? j->more->b + (column - g->n) * step
                            : (const float *)g->b + column * step;
    ok &= lp_split_pack(j->b + at / LP_SPLIT_SIDE * bytes, bytes, b + j->k0 * k_step,
                        step, k_step, rest < STRIP_SIDE ? rest : STRIP_SIDE, j->k, true);
  }
  if (!ok) atomic_store(&j->refused, true);
}

/* Up to two blocks of rows (a; so many rows) by all columns of the part. */
static void multiply_pair(const Job *j, const char *a, int64_t row, int64_t rows) {
  const LpGemm *g = j->g;
  const int64_t bytes = lp_split_block_bytes(j->k);
  const bool add = !j->first_part || lp_scalar_to_double(g->beta) != 0;
  const int64_t side = rows > 16 ? 32 : 64;
  for (int64_t at = 0; at < j->n; at += side) {
    const int64_t column = j->n0 + at;
    const bool second = column >= g->n;
    const int64_t ldc = second ? j->more->ldc : g->ldc;
    float *c = second ? j->more->c + row * ldc + column - g->n
                      : (float *)g->c + row * ldc + column;
    LpSplitTile t = {.a = {a, rows > 16 ? a + bytes : NULL},
                     .ldc = ldc,
                     .rows = rows,
                     .depth = bytes / LP_SPLIT_PIECES};
    for (int64_t x = 0; x < side && at + x < j->n; x += 16) {
      const int64_t here = j->n - at - x;
      t.at[t.count].b = j->b + (at + x) / 16 * bytes;
      t.at[t.count].c = c + x;
      t.at[t.count].columns = here < 16 ? here : 16;
      t.at[t.count++].add = add;
    }
    lp_split_product(&t);
  }
}

static void multiply_rows(void *ctx, int64_t begin, int64_t end) {
  Job *j = ctx;
  const LpGemm *g = j->g;
  const int64_t bytes = lp_split_block_bytes(j->k);
  const int64_t step = g->trans_a ? 1 : g->lda, k_step = g->trans_a ? g->lda : 1;
  size_t capacity;
  char *a = lp_block_alloc((size_t)(STRIP * bytes), &capacity);
  if (!a) {
    atomic_store(&j->failed, true);
    return;
  }
  lp_split_begin();
  bool ok = true;
  for (int64_t strip = begin; ok && strip < end; strip++) {
    const int64_t row = strip * STRIP_SIDE, rest = g->m - row;
    const int64_t rows = rest < STRIP_SIDE ? rest : STRIP_SIDE;
    ok = lp_split_pack(a, bytes, (const float *)g->a + row * step + j->k0 * k_step, step,
                       k_step, rows, j->k, false);
    for (int64_t r = 0; ok && r < rows; r += 32)
      multiply_pair(j, a + r / 16 * bytes, row + r, rows - r < 32 ? rows - r : 32);
  }
  lp_split_end();
  lp_block_free(a, capacity);
  if (!ok) atomic_store(&j->refused, true);
}

bool lp_split_gemm(const LpGemm *g, const LpSplitMore *more, bool *refused) {
  const int64_t n = g->n + (more ? more->n : 0);
  int64_t depth = BYTES_AT_ONCE / (6 * n) / LP_SPLIT_DEPTH * LP_SPLIT_DEPTH;
  depth = depth < LEAST_DEPTH ? LEAST_DEPTH : depth > MOST_DEPTH ? MOST_DEPTH : depth;
  if (depth > g->k) depth = g->k;
  int64_t wide = BYTES_AT_ONCE / lp_split_block_bytes(depth) * LP_SPLIT_SIDE;
  wide = wide / STRIP_SIDE * STRIP_SIDE;
  if (wide > n) wide = (n + STRIP_SIDE - 1) / STRIP_SIDE * STRIP_SIDE;
  *refused = false;
  Job j = {.g = g, .more = more};
  size_t capacity;
  j.b = lp_block_alloc((size_t)(wide / LP_SPLIT_SIDE * lp_split_block_bytes(depth)),
                       &capacity);
  TRY(j.b);
  bool ok = true;
  for (j.n0 = 0; ok && j.n0 < n; j.n0 += wide) {
    j.n = n - j.n0 < wide ? n - j.n0 : wide;
    for (j.k0 = 0; ok && j.k0 < g->k; j.k0 += depth) {
      j.k = g->k - j.k0 < depth ? g->k - j.k0 : depth;
      j.first_part = j.k0 == 0;
      lp_parallel_for((j.n + STRIP_SIDE - 1) / STRIP_SIDE, 1, pack_columns, &j);
      ok = !atomic_load(&j.refused);
      if (ok) lp_parallel_for((g->m + STRIP_SIDE - 1) / STRIP_SIDE, 1, multiply_rows, &j);
      ok = !atomic_load(&j.refused) && !atomic_load(&j.failed);
    }
  }
  lp_block_free(j.b, capacity);
  *refused = atomic_load(&j.refused);
  return ok;
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
bool lp_split_gemm(const LpGemm *g, const LpSplitMore *more, bool *refused) {
  *refused = true;
  return false;
}

#endif
