/* Transforms along one dimension, for simd/winograd.c, with V, INLINE and UNROLL.
 *
 * Each reads d[0], d[1], ... and writes r[0], r[step], ... Where a tile is short it does
 * without its last point but infinity, -B or -D: r of that point is not written, nor d of
 * it read. With N(z) the product of z less each other point, and p the one that a short
 * tile's input is evaluated at, that is by (p + B) N(z) / (z - p), where a whole tile has
 * N(z) (z + B) / (z - p). */

/* --- the smaller tile: points 0, A, -A, B, -B and infinity */

#define A 0.625f
#define B 1.5f
#define A2 (A * A)
#define B2 (B * B)
/* The leading coefficients of the weights' interpolation. */
#define KA (1 / (2 * A2 * (A2 - B2)))
#define KB (1 / (2 * B2 * (B2 - A2)))

static inline void line_of_input_4(const V *d, V *r, int step,
                                   bool is_short) { /* 6 to 6 */
  if (is_short) {
    const V odd = d[3] - A2 * d[1], even = d[2] - A2 * d[0];
    const V low = d[2] - B * d[1], high = d[3] - B * d[2];
    r[0] = B * (odd - B * even);
    r[step] = (A + B) * (high + A * low);
    r[2 * step] = (B - A) * (high - A * low);
    r[3 * step] = (2 * B) * odd;
    r[5 * step] = (d[4] - A2 * d[2]) - B * odd;
    return;
  }
  const V even_a = d[4] - B2 * d[2], odd_a = d[3] - B2 * d[1];
  const V even_b = d[4] - A2 * d[2], odd_b = d[3] - A2 * d[1];
  r[0] = (A2 * B2) * d[0] + (d[4] - (A2 + B2) * d[2]);
  r[step] = even_a + A * odd_a;
  r[2 * step] = even_a - A * odd_a;
  r[3 * step] = even_b + B * odd_b;
  r[4 * step] = even_b - B * odd_b;
  r[5 * step] = (A2 * B2) * d[1] + (d[5] - (A2 + B2) * d[3]);
}

static inline void line_of_output_4(const V *d, V *r, int step,
                                    bool is_short) { /* 6 to 4 */
  const V even_a = d[1] + d[2], odd_a = d[1] - d[2];
  if (is_short) {
    r[0] = d[0] + (even_a + d[3]);
    r[step] = A * odd_a + B * d[3];
    r[2 * step] = A2 * even_a + (B2 * d[3] + d[5]);
    return;
  }
  const V even_b = d[3] + d[4], odd_b = d[3] - d[4];
  r[0] = d[0] + (even_a + even_b);
  r[step] = A * odd_a + B * odd_b;
  r[2 * step] = A2 * even_a + B2 * even_b;
  r[3 * step] = (A * A2) * odd_a + ((B * B2) * odd_b + d[5]);
}

static inline void line_of_grad_4(const V *d, V *r, int step,
                                  bool is_short) { /* 4 to 6 */
  if (is_short) {
    const V even = d[0] + A2 * d[2];
    r[0] = d[0];
    r[step] = even + A * d[1];
    r[2 * step] = even - A * d[1];
    r[3 * step] = (d[0] + B2 * d[2]) + B * d[1];
    r[5 * step] = d[2];
    return;
  }
  const V even_a = d[0] + A2 * d[2], odd_a = d[1] + A2 * d[3];
  const V even_b = d[0] + B2 * d[2], odd_b = d[1] + B2 * d[3];
  r[0] = d[0];
  r[step] = even_a + A * odd_a;
  r[2 * step] = even_a - A * odd_a;
  r[3 * step] = even_b + B * odd_b;
  r[4 * step] = even_b - B * odd_b;
  r[5 * step] = d[3];
}

static inline void line_of_weights_4(const V *d, V *r, int step) { /* 3 to 6 */
  const V even_a = KA * d[0] + (KA * A2) * d[2], even_b = KB * d[0] + (KB * B2) * d[2];
  r[0] = (1 / (A2 * B2)) * d[0];
  r[step] = even_a + (KA * A) * d[1];
  r[2 * step] = even_a - (KA * A) * d[1];
  r[3 * step] = even_b + (KB * B) * d[1];
  r[4 * step] = even_b - (KB * B) * d[1];
  r[5 * step] = d[2];
}

static inline void line_of_weight_grad_4(const V *d, V *r, int step) { /* 6 to 3 */
  const V even_a = d[1] + d[2], odd_a = d[1] - d[2];
  const V even_b = d[3] + d[4], odd_b = d[3] - d[4];
  r[0] = (1 / (A2 * B2)) * d[0] + (KA * even_a + KB * even_b);
  r[step] = (KA * A) * odd_a + (KB * B) * odd_b;
  r[2 * step] = (KA * A2) * even_a + ((KB * B2) * even_b + d[5]);
}

#undef A
#undef B
#undef A2
#undef B2
#undef KA
#undef KB

/* --- the larger tile: points +-A, +-B, +-C, +-D and infinity */

#define A 0.25f
#define B 0.625f
#define C 1.125f
#define D 2.0f
#define A2 (A * A)
#define B2 (B * B)
#define C2 (C * C)
#define D2 (D * D)
#define A4 (A2 * A2)
#define B4 (B2 * B2)
#define C4 (C2 * C2)
#define D4 (D2 * D2)
#define KA (1 / (2 * A * (A2 - B2) * (A2 - C2) * (A2 - D2)))
#define KB (1 / (2 * B * (B2 - A2) * (B2 - C2) * (B2 - D2)))
#define KC (1 / (2 * C * (C2 - A2) * (C2 - B2) * (C2 - D2)))
#define KD (1 / (2 * D * (D2 - A2) * (D2 - B2) * (D2 - C2)))

/* At p and -p, where q, s and u are the squares of the other points. */
INLINE void pair_of_input(const V *d, V *r, int step, float p, float q, float s,
                          float u) {
  const float sum = -(q + s + u), pairs = q * s + q * u + s * u, product = -(q * s * u);
  const V even = (d[6] + sum * d[4]) + (pairs * d[2] + product * d[0]);
  const V odd = (d[7] + sum * d[5]) + (pairs * d[3] + product * d[1]);
  r[0] = odd + p * even;
  r[step] = odd - p * even;
}

/* The same in a short tile; d[i] is input i + 1 less D times input i. */
INLINE void short_pair_of_input(const V *d, V *r, int step, float p, float q, float s) {
  const V even = d[4] - (q + s) * d[2] + (q * s) * d[0];
  const V odd = d[5] - (q + s) * d[3] + (q * s) * d[1];
  r[0] = (D + p) * odd + ((D + p) * p) * even;
  r[step] = (D - p) * odd - ((D - p) * p) * even;
}

INLINE void line_of_input_7(const V *d, V *r, int step, bool is_short) { /* 9 to 9 */
  if (is_short) {
    const float sum = -(A2 + B2 + C2), pairs = A2 * B2 + A2 * C2 + B2 * C2,
                product = -(A2 * B2 * C2);
    V s[7];
    UNROLL for (int i = 0; i < 7; i++) s[i] = d[i + 1] - D * d[i];
    short_pair_of_input(s, r, step, A, B2, C2);
    short_pair_of_input(s, r + 2 * step, step, B, A2, C2);
    short_pair_of_input(s, r + 4 * step, step, C, A2, B2);
    r[6 * step] = (2 * D) * ((d[6] + sum * d[4]) + (pairs * d[2] + product * d[0]));
    r[8 * step] = (s[6] + sum * s[4]) + (pairs * s[2] + product * s[0]);
    return;
  }
  pair_of_input(d, r, step, A, B2, C2, D2);
  pair_of_input(d, r + 2 * step, step, B, A2, C2, D2);
  pair_of_input(d, r + 4 * step, step, C, A2, B2, D2);
  pair_of_input(d, r + 6 * step, step, D, A2, B2, C2);
  r[8 * step] =
      (d[8] - (A2 + B2 + C2 + D2) * d[6]) +
      (((A2 + B2) * (C2 + D2) + A2 * B2 + C2 * D2) * d[4] +
       (A2 * B2 * C2 * D2 * d[0] - (A2 * B2 * (C2 + D2) + C2 * D2 * (A2 + B2)) * d[2]));
}

INLINE void line_of_output_7(const V *d, V *r, int step, bool is_short) { /* 9 to 7 */
  const V even_a = d[0] + d[1], odd_a = d[0] - d[1], even_b = d[2] + d[3],
          odd_b = d[2] - d[3], even_c = d[4] + d[5], odd_c = d[4] - d[5],
          even_d = is_short ? d[6] : d[6] + d[7], odd_d = is_short ? d[6] : d[6] - d[7];
  const V last =
      ((A * A4) * odd_a + (B * B4) * odd_b) + ((C * C4) * odd_c + (D * D4) * odd_d);
  r[0] = (even_a + even_b) + (even_c + even_d);
  r[step] = (A * odd_a + B * odd_b) + (C * odd_c + D * odd_d);
  r[2 * step] = (A2 * even_a + B2 * even_b) + (C2 * even_c + D2 * even_d);
  r[3 * step] =
      ((A * A2) * odd_a + (B * B2) * odd_b) + ((C * C2) * odd_c + (D * D2) * odd_d);
  r[4 * step] = (A4 * even_a + B4 * even_b) + (C4 * even_c + D4 * even_d);
  if (is_short) {
    r[5 * step] = last + d[8];
    return;
  }
  r[5 * step] = last;
  r[6 * step] = ((A2 * A4) * even_a + (B2 * B4) * even_b) +
                ((C2 * C4) * even_c + (D2 * D4) * even_d) + d[8];
}

INLINE void pair_of_grad(const V *d, V *r, int step, float p, bool is_short, bool both) {
  const float q = p * p;
  const V odd = d[1] + q * d[3] + (q * q) * d[5];
  V even = d[0] + q * d[2] + (q * q) * d[4];
  if (!is_short) even += (q * q * q) * d[6];
  r[0] = even + p * odd;
  if (both) r[step] = even - p * odd;
}

INLINE void line_of_grad_7(const V *d, V *r, int step, bool is_short) { /* 7 to 9 */
  pair_of_grad(d, r, step, A, is_short, true);
  pair_of_grad(d, r + 2 * step, step, B, is_short, true);
  pair_of_grad(d, r + 4 * step, step, C, is_short, true);
  pair_of_grad(d, r + 6 * step, step, D, is_short, !is_short);
  r[8 * step] = is_short ? d[5] : d[6];
}

INLINE void pair_of_weights(const V *d, V *r, int step, float p, float k) {
  const V even = k * d[0] + (k * p * p) * d[2], odd = (k * p) * d[1];
  r[0] = odd + even;
  r[step] = odd - even;
}

INLINE void line_of_weights_7(const V *d, V *r, int step) { /* 3 to 9 */
  pair_of_weights(d, r, step, A, KA);
  pair_of_weights(d, r + 2 * step, step, B, KB);
  pair_of_weights(d, r + 4 * step, step, C, KC);
  pair_of_weights(d, r + 6 * step, step, D, KD);
  r[8 * step] = d[2];
}

INLINE void line_of_weight_grad_7(const V *d, V *r, int step) { /* 9 to 3 */
  const V even_a = d[0] + d[1], odd_a = d[0] - d[1], even_b = d[2] + d[3],
          odd_b = d[2] - d[3], even_c = d[4] + d[5], odd_c = d[4] - d[5],
          even_d = d[6] + d[7], odd_d = d[6] - d[7];
  r[0] = (KA * odd_a + KB * odd_b) + (KC * odd_c + KD * odd_d);
  r[step] =
      ((KA * A) * even_a + (KB * B) * even_b) + ((KC * C) * even_c + (KD * D) * even_d);
  r[2 * step] = ((KA * A2) * odd_a + (KB * B2) * odd_b) +
                ((KC * C2) * odd_c + (KD * D2) * odd_d) + d[8];
}

#undef A
#undef B
#undef C
#undef D
#undef A2
#undef B2
#undef C2
#undef D2
#undef A4
#undef B4
#undef C4
#undef D4
#undef KA
#undef KB
#undef KC
#undef KD
