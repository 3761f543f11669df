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

#ifndef PF
#define PF 3
#endif
AMX static inline void fetch(const char *p, int part) {
#if PF & 1
  p += part * 1024;
#pragma GCC unroll 16
  for (int i = 0; i < 1024; i += 64) _mm_prefetch(p + i, _MM_HINT_T0);
#endif
}
AMX static inline void fetch_a(const char *p, int part) {
#if PF & 2
  p += part * 1024;
#pragma GCC unroll 16
  for (int i = 0; i < 1024; i += 64) _mm_prefetch(p + i, _MM_HINT_T0);
#endif
}
AMX static inline void fetch_far(const char *p, int part) {
#if PF & 4
  p += part * 1024;
#pragma GCC unroll 16
  for (int i = 0; i < 1024; i += 64) _mm_prefetch(p + i, _MM_HINT_T1);
#endif
}

/* Two blocks of rows by two of columns. */
AMX static void block_2x2(const LpWinogradProduct *p, const char *a0, const char *a1,
                          const char *b0, const char *b1, const char *next0, const char *next1, const char *next_a,
                          float *c, bool second) {
  const size_t stride = (size_t)p->ldc * sizeof(float);
  float *below = c + 16 * p->ldc;
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
    const bool last = d == p->depth;
    const char *nb0 = last ? next0 : b0 + LP_SPLIT_PIECES,
               *nb1 = last ? next1 : b1 + LP_SPLIT_PIECES;
    const char *na0 = last ? next_a : a0 + LP_SPLIT_PIECES,
               *na1 = last ? next_a + p->a_step : a1 + LP_SPLIT_PIECES;
    LOAD_A(0);
    LOAD_B(2);
    TERM_4();
    fetch(nb0, 2);
    fetch_a(na0, 0);
    fetch_far(next0 + (d-1) * LP_SPLIT_PIECES, 0);
    LOAD_B(1);
    TERM_4();
    fetch(nb1, 2);
    fetch_a(na1, 0);
    fetch_far(next1 + (d-1) * LP_SPLIT_PIECES, 0);
    LOAD_B(0);
    TERM_4();
    fetch(nb0, 1);
    fetch_a(na0, 2);
    fetch_far(next0 + (d-1) * LP_SPLIT_PIECES, 1);
    LOAD_A(2);
    TERM_4();
    fetch(nb1, 1);
    fetch_a(na1, 2);
    fetch_far(next1 + (d-1) * LP_SPLIT_PIECES, 1);
    LOAD_A(1);
    TERM_4();
    fetch(nb0, 0);
    fetch_a(na0, 1);
    fetch_far(next0 + (d-1) * LP_SPLIT_PIECES, 2);
    LOAD_B(1);
    TERM_4();
    fetch(nb1, 0);
    fetch_a(na1, 1);
    fetch_far(next1 + (d-1) * LP_SPLIT_PIECES, 2);
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
    const char *b0 = p->b + j * p->b_step;
    const bool second = j + 1 < p->columns;
    const char *b1 = second ? b0 + p->b_step : b0;
    for (int64_t i = 0; i < p->rows; i += 2) {
      const char *a0 = p->a + i * p->a_step, *a1 = a0 + p->a_step;
      const bool turn = i + 2 >= p->rows;
      const char *next0 = !turn ? b0 : j + 2 < p->columns ? b0 + 2 * p->b_step : p->next_b ? p->next_b : b0;
      const char *next1 = next0 + p->b_step;
      block_2x2(p, a0, a1, b0, b1, next0, next1, turn ? p->a : a0 + 2 * p->a_step, p->c + i * 16 * p->ldc + j * 16, second);
    }
  }
}
#endif
