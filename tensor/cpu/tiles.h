/* What the kernels that multiply by the tile unit (AMX) share: gemm_split.c and
 * nn/cpu/winograd_split.c, whose functions are compiled for it one by one, and the
 * AVX-512 loops that pack for it. To be included where there is x86-64 only. */
#ifndef LP_CPU_TILES_H
#define LP_CPU_TILES_H

#include <immintrin.h>

#define AMX                                                                              \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,amx-tile,amx-bf16")))
#define TILE_BYTES 1024

/* The compiler does not know that tiles are loaded from memory and stored there. */
#define IN_MEMORY(p) __asm__ volatile("" : : "r"(p) : "memory")

/* Tiles are loaded, and C += A B.
 *
 * Note [Few loads]: a core has some more tiles than the eight that have names; where a
 * neighbour on the same core holds tiles too (another guest of a virtual machine's host),
 * next to none are left to rename to, and instructions that write tiles, products and
 * loads alike, take 20 cycles each, or twice that where they follow one another closely.
 * So some instructions that do nothing stand after each of them, and terms of a sum go in
 * an order in which the next one needs two other tiles, not four. Elsewhere the pauses
 * cost nothing, for a product takes the unit 16 cycles. */
#define PAUSE __asm__ volatile(".rept 8\n\tnop\n\t.endr")
#define TILE_LOAD(tile, place)                                                           \
  do {                                                                                   \
    _tile_loadd(tile, place, 64);                                                        \
    PAUSE;                                                                               \
  } while (0)
#define TILE_PRODUCT(c, a, b)                                                            \
  do {                                                                                   \
    _tile_dpbf16ps(c, a, b);                                                             \
    PAUSE;                                                                               \
  } while (0)

/* A term: two blocks of A, in tiles 4 and 5, by two of B, in 6 and 7; tiles 0 to 3 are C
 * (0 1 over 2 3). Two of them are loaded for the next term as soon as they are free. */
#define LOAD_A(a0, a1)                                                                   \
  do {                                                                                   \
    TILE_LOAD(4, a0);                                                                    \
    TILE_LOAD(5, a1);                                                                    \
  } while (0)
#define LOAD_B(b0, b1)                                                                   \
  do {                                                                                   \
    TILE_LOAD(6, b0);                                                                    \
    TILE_LOAD(7, b1);                                                                    \
  } while (0)
#define TERM_THEN_A(a0, a1)                                                              \
  do {                                                                                   \
    TILE_PRODUCT(0, 4, 6);                                                               \
    TILE_PRODUCT(1, 4, 7);                                                               \
    TILE_LOAD(4, a0);                                                                    \
    TILE_PRODUCT(2, 5, 6);                                                               \
    TILE_PRODUCT(3, 5, 7);                                                               \
    TILE_LOAD(5, a1);                                                                    \
  } while (0)
#define TERM_THEN_B(b0, b1)                                                              \
  do {                                                                                   \
    TILE_PRODUCT(0, 4, 6);                                                               \
    TILE_PRODUCT(2, 5, 6);                                                               \
    TILE_LOAD(6, b0);                                                                    \
    TILE_PRODUCT(1, 4, 7);                                                               \
    TILE_PRODUCT(3, 5, 7);                                                               \
    TILE_LOAD(7, b1);                                                                    \
  } while (0)
#define LAST_TERM                                                                        \
  do {                                                                                   \
    TILE_PRODUCT(0, 4, 6);                                                               \
    TILE_PRODUCT(1, 4, 7);                                                               \
    TILE_PRODUCT(2, 5, 6);                                                               \
    TILE_PRODUCT(3, 5, 7);                                                               \
  } while (0)

/* A 16 x 16 matrix of 32-bit numbers turned over. */
__attribute__((target("avx512f"), always_inline)) static inline void
lp_turn_lines(__m512i *r) {
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

#endif
