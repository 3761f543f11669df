/* See winograd_split.h. The functions that touch tiles are compiled for AMX one by one.
 */
#include "cpu/winograd_split.h"

#if defined(__x86_64__) && defined(__linux__) && defined(LP_HAVE_X86_CAPS)
#include "cpu/tiles.h"

/* The tiles of a piece: of the first 16 rows or columns, of the others. */
#define OF(block, place, half) (block + (2 * (place) + (half)) * TILE_BYTES)

/* Fetches a part of what is multiplied next while the tile unit is busy. */
AMX static inline void fetch(const char *p, int part) {
  p += part * TILE_BYTES;
#pragma GCC unroll 16
  for (int i = 0; i < TILE_BYTES; i += 64) _mm_prefetch(p + i, _MM_HINT_T0);
}

/* One block of A by one of B: the six terms of each depth, small ones first as far as few
 * tiles are loaded twice. */
AMX static void multiply(const LpWinogradProduct *p, const char *a, const char *b,
                         const char *after_a, const char *after_b, float *c) {
  const size_t stride = (size_t)p->ldc * sizeof(float);
  float *below = c + 16 * p->ldc;
  IN_MEMORY(c);
  if (p->add) {
    _tile_loadd(0, c, stride);
    _tile_loadd(1, c + 16, stride);
    _tile_loadd(2, below, stride);
    _tile_loadd(3, below + 16, stride);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t d = 1; d <= p->depth; d++) {
    const char *next_a = d < p->depth ? a + LP_WINOGRAD_BLOCK_BYTES : after_a,
               *next_b = d < p->depth ? b + LP_WINOGRAD_BLOCK_BYTES : after_b;
    LOAD_A(OF(a, 0, 0), OF(a, 0, 1));
    LOAD_B(OF(b, 0, 0), OF(b, 0, 1));
    TERM_THEN_B(OF(b, 1, 0), OF(b, 1, 1)); /* upper by lower */
    fetch(next_b, 0);
    fetch(next_a, 0);
    TERM_THEN_B(OF(b, 2, 0), OF(b, 2, 1));
    fetch(next_b, 1);
    fetch(next_a, 1);
    TERM_THEN_A(OF(a, 1, 0), OF(a, 1, 1));
    fetch(next_b, 2);
    fetch(next_a, 2);
    TERM_THEN_A(OF(a, 2, 0), OF(a, 2, 1)); /* lower by upper */
    fetch(next_b, 3);
    fetch(next_a, 3);
    TERM_THEN_B(OF(b, 1, 0), OF(b, 1, 1));
    fetch(next_b, 4);
    fetch(next_a, 4);
    LAST_TERM; /* middle by middle */
    fetch(next_b, 5);
    fetch(next_a, 5);
    a += LP_WINOGRAD_BLOCK_BYTES;
    b += LP_WINOGRAD_BLOCK_BYTES;
  }
  _tile_stored(0, c, stride);
  _tile_stored(1, c + 16, stride);
  _tile_stored(2, below, stride);
  _tile_stored(3, below + 16, stride);
  IN_MEMORY(c);
}

AMX void lp_winograd_product(const LpWinogradProduct *p) {
  const int64_t bytes = p->depth * LP_WINOGRAD_BLOCK_BYTES;
  for (int64_t j = 0; j < p->columns; j++)
    for (int64_t i = 0; i < p->rows; i++) {
      const char *a = p->a + i * bytes, *b = p->b + j * bytes;
      const bool last = i + 1 == p->rows, very_last = last && j + 1 == p->columns;
      multiply(p, a, b,
               very_last ? p->next_a
               : last    ? p->a
                         : a + bytes,
               very_last ? p->next_b
               : last    ? b + bytes
                         : b,
               p->c + i * LP_WINOGRAD_BLOCK * p->ldc + j * LP_WINOGRAD_BLOCK);
    }
}

#else
void lp_winograd_product(const LpWinogradProduct *p) {}
#endif
