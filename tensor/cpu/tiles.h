/* What the kernels that multiply by the tile unit (AMX) share: gemm_split.c and
 * nn/cpu/winograd_split.c, whose functions are compiled for it one by one, and the
 * AVX-512 loops that pack for it and for products of pairs. To be included where there is x86-64 only. */
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

/* The six terms of a depth of split products (Note [Split products] in gemm_split.h),
 * small ones first as far as few tiles are loaded twice. A(piece, half) and B(piece,
 * half): where the tiles are, pieces from upper to lower; BESIDE(0) to BESIDE(5): what is
 * done while the tile unit is busy. */
#define SIX_TERMS(A, B, BESIDE)                                                          \
  do {                                                                                   \
    LOAD_A(A(0, 0), A(0, 1));                                                            \
    LOAD_B(B(2, 0), B(2, 1));                                                            \
    TERM_THEN_B(B(1, 0), B(1, 1)); /* upper by lower */                                  \
    BESIDE(0);                                                                           \
    TERM_THEN_B(B(0, 0), B(0, 1));                                                       \
    BESIDE(1);                                                                           \
    TERM_THEN_A(A(2, 0), A(2, 1));                                                       \
    BESIDE(2);                                                                           \
    TERM_THEN_A(A(1, 0), A(1, 1)); /* lower by upper */                                  \
    BESIDE(3);                                                                           \
    TERM_THEN_B(B(1, 0), B(1, 1));                                                       \
    BESIDE(4);                                                                           \
    LAST_TERM; /* middle by middle */                                                    \
    BESIDE(5);                                                                           \
  } while (0)

/* Operands packed long before come from afar: so many depths ahead they are asked for
 * into the second cache. */
#define FAR_DEPTHS 8
static inline void lp_ask_afar(const char *p, int64_t bytes) {
#pragma GCC unroll 24
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i, 0, 2);
}

/* Writes a line of each of three tiles, a piece each, that lie `step` bytes apart: 16
 * pairs of low[i], high[i]. An infinity or a NaN leaves a NaN in the lowest piece, and so
 * in the sums. */
AMX static inline void lp_put_pieces(char *to, int64_t step, __m512 low, __m512 high,
                                     __m512 sums[2]) {
  const __m512i upper = _mm512_set1_epi32((int)0xffff0000);
  for (int p = 0;; p++, to += step) {
    const __m512i l = _mm512_castps_si512(low), h = _mm512_castps_si512(high);
    /* The upper halves of both: (l >> 16) | (h & upper). */
    _mm512_storeu_si512(
        to, _mm512_ternarylogic_epi32(_mm512_srli_epi32(l, 16), h, upper, 0xf8));
    if (p == 2) break;
    low = _mm512_sub_ps(low, _mm512_castsi512_ps(_mm512_and_si512(l, upper)));
    high = _mm512_sub_ps(high, _mm512_castsi512_ps(_mm512_and_si512(h, upper)));
  }
  sums[0] = _mm512_add_ps(sums[0], low);
  sums[1] = _mm512_add_ps(sums[1], high);
}

/* Nothing but finite numbers in what the sums are of? */
AMX static inline bool lp_are_finite(const __m512 sums[2]) {
  return _mm512_cmp_ps_mask(sums[0], sums[1], _CMP_UNORD_Q) == 0;
}

static inline __mmask16 lp_first(int64_t n) {
  return n >= 16 ? 0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
}
static inline __mmask32 lp_first_words(int64_t n) {
  return n >= 32 ? 0xffffffffu : n <= 0 ? 0 : (__mmask32)((1u << n) - 1);
}

/* Words i of both side by side: of the first 16 to pairs[0], of the others to pairs[1]. */
__attribute__((target("avx512f,avx512bw"), always_inline)) static inline void
lp_pair_words(__m512i even, __m512i odd, __m512i pairs[2]) {
  /* Within each 128 bits unpacking interleaves; the quarters are put in order before. */
  const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
  const __m512i e = _mm512_permutexvar_epi64(order, even),
                o = _mm512_permutexvar_epi64(order, odd);
  pairs[0] = _mm512_unpacklo_epi16(e, o);
  pairs[1] = _mm512_unpackhi_epi16(e, o);
}

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

AMX static inline void lp_turn_floats(__m512 *of) {
  __m512i r[16];
  for (int i = 0; i < 16; i++) r[i] = _mm512_castps_si512(of[i]);
  lp_turn_lines(r);
  for (int i = 0; i < 16; i++) of[i] = _mm512_castsi512_ps(r[i]);
}

#endif
