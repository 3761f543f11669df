/* Vectors and blocks of tiles for the loops of convolutions by tiles. To be included
 * where there is x86-64 only. */
#ifndef LP_NN_CPU_CONV_TILES_VECTORS_H
#define LP_NN_CPU_CONV_TILES_VECTORS_H

#include "cpu/conv_tiles_parts.h"
#include "cpu/tiles.h"

#define TILES                                                                            \
  __attribute__((                                                                        \
      target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16")))

/* Words i of both side by side: of the first 16 to `low`, of the others to `high`. */
TILES static inline void store_pairs(char *low, char *high, __m512i even, __m512i odd) {
  __m512i pairs[2];
  lp_pair_words(even, odd, pairs);
  _mm512_storeu_si512(low, pairs[0]);
  _mm512_storeu_si512(high, pairs[1]);
}

/* A tile turned over, as a matrix of pairs: 16 lines that lie one after the other. */
TILES static inline void turn_tile(char *to, const char *from) {
  __m512i r[16];
  for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(from + 64 * i);
  lp_turn_lines(r);
  for (int i = 0; i < 16; i++) _mm512_storeu_si512(to + 64 * i, r[i]);
}

/* A pixel of x, where some of its channels, as packed, lie inside the image. */
typedef struct Pixel {
  const char *channels;
  int64_t from, end; /* channels inside */
} Pixel;

static inline Pixel pixel_at(const LpTilesSweep *s, const LpTilesRow *row,
                             int64_t place) {
  const int64_t at = row->at + place * s->w.step;
  Pixel p = {s->x};
  if (!row->pixels) return p;
  p.channels = row->pixels + at * s->pitch * s->form->element;
  if (s->pitch == s->c) {
    p.end = at >= 0 && at < s->w.in ? s->c : 0;
  } else {
    p.from = at < 0 ? -at * s->pitch : 0;
    p.end = (s->w.in - at) * s->pitch;
    if (p.end > s->c) p.end = s->c;
  }
  return p;
}

/* Pixels of a lane that are asked for before they are packed: 16 lanes are more streams
 * than the processor foresees well. */
#define AHEAD 4

/* Asks for a tile. */
TILES static inline void fetch(const char *p) {
#pragma GCC unroll 16
  for (int i = 0; i < LP_TILES_BYTES; i += 64) _mm_prefetch(p + i, _MM_HINT_T0);
}

/* Tiles 0 to 3 hold sums. */
#define ZERO_SUMS                                                                        \
  do {                                                                                   \
    _tile_zero(0);                                                                       \
    _tile_zero(1);                                                                       \
    _tile_zero(2);                                                                       \
    _tile_zero(3);                                                                       \
  } while (0)

/* Of a forward pass, sums (2 outputs, 16 lanes, 32 channels). */
#define STORE_PAIR(sums)                                                                 \
  do {                                                                                   \
    IN_MEMORY(sums);                                                                     \
    _tile_stored(0, sums, 128);                                                          \
    _tile_stored(1, sums + 16, 128);                                                     \
    _tile_stored(2, sums + 512, 128);                                                    \
    _tile_stored(3, sums + 512 + 16, 128);                                               \
    IN_MEMORY(sums);                                                                     \
  } while (0)

/* Of a weight gradient, sums (2, 2, 16, 16). */
#define LOAD_SUMS(sums, add)                                                             \
  do {                                                                                   \
    IN_MEMORY(sums);                                                                     \
    if (add) {                                                                           \
      _tile_loadd(0, sums, 64);                                                          \
      _tile_loadd(1, sums + 256, 64);                                                    \
      _tile_loadd(2, sums + 512, 64);                                                    \
      _tile_loadd(3, sums + 768, 64);                                                    \
    } else {                                                                             \
      ZERO_SUMS;                                                                         \
    }                                                                                    \
  } while (0)
#define STORE_SUMS(sums)                                                                 \
  do {                                                                                   \
    _tile_stored(0, sums, 64);                                                           \
    _tile_stored(1, sums + 256, 64);                                                     \
    _tile_stored(2, sums + 512, 64);                                                     \
    _tile_stored(3, sums + 768, 64);                                                     \
    IN_MEMORY(sums);                                                                     \
  } while (0)

/* Tiles 0 to 3 += two of A by two of B, each loaded once (Note [Few loads]); the tiles of
 * B that come next are asked for. */
#define ADD_PRODUCTS(a0, a1, b0, b1, next0, next1)                                       \
  do {                                                                                   \
    TILE_LOAD(4, a0);                                                                    \
    TILE_LOAD(6, b0);                                                                    \
    TILE_LOAD(7, b1);                                                                    \
    TILE_PRODUCT(0, 4, 6);                                                               \
    fetch(next0);                                                                        \
    TILE_PRODUCT(1, 4, 7);                                                               \
    TILE_LOAD(5, a1);                                                                    \
    TILE_PRODUCT(3, 5, 7);                                                               \
    fetch(next1);                                                                        \
    TILE_PRODUCT(2, 5, 6);                                                               \
  } while (0)

#endif
