/* See winograd_split.h. The functions that touch tiles are compiled for AMX one by one.
 */
#include "cpu/winograd_split.h"

#if defined(__x86_64__) && defined(__linux__) && defined(LP_HAVE_X86_CAPS)
#include "cpu/tiles.h"

/* The tiles of a piece: of the first 16 rows or columns, of the others. */
#define OF_A(piece, half) (a + a_pieces[piece] + (half)*TILE_BYTES)
#define OF_B(piece, half) (b + b_pieces[piece] + (half)*TILE_BYTES)
static const int a_pieces[] = LP_WINOGRAD_A_PIECES, b_pieces[] = LP_WINOGRAD_B_PIECES;

/* Fetches a part of what is multiplied next while the tile unit is busy. */
AMX static inline void fetch(const char *p, int part) {
  p += part * TILE_BYTES;
#pragma GCC unroll 16
  for (int i = 0; i < TILE_BYTES; i += 64) _mm_prefetch(p + i, _MM_HINT_T0);
}

#define BESIDE(part)                                                                     \
  do {                                                                                   \
    fetch(next_b, part);                                                                 \
    fetch(next_a, part);                                                                 \
  } while (0)

/* One block of A by one of B. */
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
    SIX_TERMS(OF_A, OF_B, BESIDE);
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
