/* Winograd's transforms along one dimension, for tiles of 2 and of 4 outputs; see Note
 * [Winograd] in cpu/winograd.h. Each reads d[0], d[1], ... and writes r[0], r[sr], ...; r may be d
 * where sr is 1. */
#ifndef LP_NN_CPU_WINOGRAD_LINES_H
#define LP_NN_CPU_WINOGRAD_LINES_H

typedef float V __attribute__((vector_size(LP_VECTOR_BYTES)));
typedef float Unaligned __attribute__((vector_size(LP_VECTOR_BYTES), aligned(4)));
#define LANES LP_LANES(float)

/* --- F(2 x 2, 3 x 3): points 0, 1, -1, infinity */

static inline void input_2(const V *d, V *r, int sr) {
  const V d1 = d[1], d2 = d[2];
  r[0] = d[0] - d2;
  r[sr] = d2 + d1;
  r[2 * sr] = d2 - d1;
  r[3 * sr] = d[3] - d1;
}

static inline void output_2(const V *d, V *r, int sr) {
  const V d1 = d[1], d2 = d[2];
  r[0] = d[0] + (d1 + d2);
  r[sr] = (d1 - d2) + d[3];
}

static inline void grad_2(const V *d, V *r, int sr) {
  r[0] = d[0];
  r[sr] = d[0] + d[1];
  r[2 * sr] = d[0] - d[1];
  r[3 * sr] = d[1];
}

static inline void weights_2(const V *d, V *r, int sr) {
  const V even = 0.5f * (d[0] + d[2]), odd = 0.5f * d[1];
  r[0] = d[0];
  r[sr] = even + odd;
  r[2 * sr] = even - odd;
  r[3 * sr] = d[2];
}

static inline void weight_grad_2(const V *d, V *r, int sr) {
  const V d1 = d[1], d2 = d[2], even = 0.5f * (d1 + d2);
  r[0] = d[0] + even;
  r[sr] = 0.5f * (d1 - d2);
  r[2 * sr] = even + d[3];
}

/* --- F(4 x 4, 3 x 3): points 0, A, -A, B, -B, infinity */

#define A 0.625f
#define B 1.5f
#define A2 (A * A)
#define B2 (B * B)
/* The leading coefficients of the weights' interpolation. */
#define KA (1 / (2 * A2 * (A2 - B2)))
#define KB (1 / (2 * B2 * (B2 - A2)))

static inline void input_4(const V *d, V *r, int sr) {
  const V d1 = d[1], d2 = d[2], d3 = d[3], d4 = d[4];
  const V even_a = d4 - B2 * d2, odd_a = d3 - B2 * d1;
  const V even_b = d4 - A2 * d2, odd_b = d3 - A2 * d1;
  r[0] = (A2 * B2) * d[0] + (d4 - (A2 + B2) * d2);
  r[sr] = even_a + A * odd_a;
  r[2 * sr] = even_a - A * odd_a;
  r[3 * sr] = even_b + B * odd_b;
  r[4 * sr] = even_b - B * odd_b;
  r[5 * sr] = (A2 * B2) * d1 + (d[5] - (A2 + B2) * d3);
}

static inline void output_4(const V *d, V *r, int sr) {
  const V even_a = d[1] + d[2], odd_a = d[1] - d[2];
  const V even_b = d[3] + d[4], odd_b = d[3] - d[4];
  r[0] = d[0] + (even_a + even_b);
  r[sr] = A * odd_a + B * odd_b;
  r[2 * sr] = A2 * even_a + B2 * even_b;
  r[3 * sr] = (A * A2) * odd_a + ((B * B2) * odd_b + d[5]);
}

static inline void grad_4(const V *d, V *r, int sr) {
  const V d0 = d[0], d1 = d[1], d2 = d[2], d3 = d[3];
  const V even_a = d0 + A2 * d2, odd_a = d1 + A2 * d3;
  const V even_b = d0 + B2 * d2, odd_b = d1 + B2 * d3;
  r[0] = d0;
  r[sr] = even_a + A * odd_a;
  r[2 * sr] = even_a - A * odd_a;
  r[3 * sr] = even_b + B * odd_b;
  r[4 * sr] = even_b - B * odd_b;
  r[5 * sr] = d3;
}

static inline void weights_4(const V *d, V *r, int sr) {
  const V d0 = d[0], d1 = d[1], d2 = d[2];
  const V even_a = KA * d0 + (KA * A2) * d2, even_b = KB * d0 + (KB * B2) * d2;
  r[0] = (1 / (A2 * B2)) * d0;
  r[sr] = even_a + (KA * A) * d1;
  r[2 * sr] = even_a - (KA * A) * d1;
  r[3 * sr] = even_b + (KB * B) * d1;
  r[4 * sr] = even_b - (KB * B) * d1;
  r[5 * sr] = d2;
}

static inline void weight_grad_4(const V *d, V *r, int sr) {
  const V even_a = d[1] + d[2], odd_a = d[1] - d[2];
  const V even_b = d[3] + d[4], odd_b = d[3] - d[4];
  r[0] = (1 / (A2 * B2)) * d[0] + (KA * even_a + KB * even_b);
  r[sr] = (KA * A) * odd_a + (KB * B) * odd_b;
  r[2 * sr] = (KA * A2) * even_a + ((KB * B2) * even_b + d[5]);
}

#undef A
#undef B
#undef A2
#undef B2
#undef KA
#undef KB

#endif
