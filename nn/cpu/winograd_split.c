/* See winograd_split.h. The functions that touch tiles are compiled for AMX one by one. */
#include "cpu/winograd_split.h"

#include "cpu/gemm_split.h"

#if defined(__x86_64__) && defined(__linux__) && defined(LP_HAVE_X86_CAPS)
#include <immintrin.h>

#define AMX                                                                              \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,amx-tile,amx-bf16")))
#define TILE_BYTES 1024
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
#define IN_MEMORY(p) __asm__ volatile("" : : "r"(p) : "memory")

/* Fetches a piece of what is multiplied next while the tile unit is busy. */
AMX static inline void fetch(const char *p, int piece) {
  p += piece * TILE_BYTES;
#pragma GCC unroll 16
  for (int i = 0; i < TILE_BYTES; i += 64) _mm_prefetch(p + i, _MM_HINT_T0);
}

/* Two blocks of rows by two of columns, and those that come next. */
typedef struct Block {
  const char *a0, *a1, *b0, *b1;
} Block;

AMX static void multiply(const LpWinogradProduct *p, Block now, Block after, float *c,
                         bool second) {
  const size_t stride = (size_t)p->ldc * sizeof(float);
  float *below = c + 16 * p->ldc;
  const char *a0 = now.a0, *a1 = now.a1, *b0 = now.b0, *b1 = now.b1;
  Block next;
  IN_MEMORY(c);
  if (p->add) {
    _tile_loadd(0, c, stride);
    _tile_loadd(1, c + (second ? 16 : 0), stride);
    _tile_loadd(2, below, stride);
    _tile_loadd(3, below + (second ? 16 : 0), stride);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t d = 1; d <= p->depth; d++) {
    if (d < p->depth) {
      next.a0 = a0 + LP_SPLIT_PIECES;
      next.a1 = a1 + LP_SPLIT_PIECES;
      next.b0 = b0 + LP_SPLIT_PIECES;
      next.b1 = b1 + LP_SPLIT_PIECES;
    } else {
      next = after;
    }
    LOAD_A(0);
    LOAD_B(2);
    TERM_4();
    fetch(next.b0, 2);
    fetch(next.a0, 0);
    LOAD_B(1);
    TERM_4();
    fetch(next.b1, 2);
    fetch(next.a1, 0);
    LOAD_B(0);
    TERM_4();
    fetch(next.b0, 1);
    fetch(next.a0, 2);
    LOAD_A(2);
    TERM_4();
    fetch(next.b1, 1);
    fetch(next.a1, 2);
    LOAD_A(1);
    TERM_4();
    fetch(next.b0, 0);
    fetch(next.a0, 1);
    LOAD_B(1);
    TERM_4();
    fetch(next.b1, 0);
    fetch(next.a1, 1);
    a0 += LP_SPLIT_PIECES;
    a1 += LP_SPLIT_PIECES;
    b0 += LP_SPLIT_PIECES;
    b1 += LP_SPLIT_PIECES;
  }
  _tile_stored(0, c, stride);
  if (second) _tile_stored(1, c + 16, stride);
  _tile_stored(2, below, stride);
  if (second) _tile_stored(3, below + 16, stride);
  IN_MEMORY(c);
}

AMX void lp_winograd_product(const LpWinogradProduct *p) {
  for (int64_t j = 0; j < p->columns; j += 2) {
    const bool second = j + 1 < p->columns, last_j = j + 2 >= p->columns;
    for (int64_t i = 0; i < p->rows; i += 2) {
      const bool last_i = i + 2 >= p->rows;
      const char *a = p->a + i * p->a_step, *b = p->b + j * p->b_step;
      const char *a_after = !last_i ? a + 2 * p->a_step : last_j ? p->next_a : p->a,
                 *b_after = !last_i ? b : last_j ? p->next_b : b + 2 * p->b_step;
      const Block now = {a, a + p->a_step, b, second ? b + p->b_step : b},
                  after = {a_after, a_after + p->a_step, b_after, b_after + p->b_step};
      multiply(p, now, after, p->c + i * 16 * p->ldc + j * 16, second);
    }
  }
}
#else
void lp_winograd_product(const LpWinogradProduct *p) {}
#endif
