/* Sorting and selecting pairs (cpu/sort.h): insertion sort for short rows, merge sort up to a few
 * hundred, then least-significant-digit radix sort that skips digits all keys share. */
#include "cpu/sort.h"

#include <string.h>
#include "core/half.h"

/* --- keys ---------------------------------------------------------------------------------------------- */

/* IEEE bits to an unsigned integer of the same order: negatives reversed, then below positives. */
static inline uint64_t key_of_float(float x) {
  if (x != x) return LP_KEY_NAN;
  uint32_t u = lp_float_bits(x + 0.0f); /* -0 becomes 0 */
  return u & 0x80000000u ? (uint32_t)~u : u | 0x80000000u;
}
static inline uint64_t key_of_double(double x) {
  if (x != x) return LP_KEY_NAN;
  x += 0.0;
  uint64_t u;
  memcpy(&u, &x, 8);
  return u >> 63 ? ~u : u | 0x8000000000000000u;
}
static inline uint64_t key_of_half(uint16_t x) { return key_of_float(lp_half_to_float(x)); }
static inline uint64_t key_of_bf16(uint16_t x) { return key_of_float(lp_bf16_to_float(x)); }
static inline uint64_t key_of_int(int64_t x) { return (uint64_t)x ^ 0x8000000000000000u; }
/* Kept small, so that the radix sort finds fewer digits. */
static inline uint64_t key_of_int32(int32_t x) { return (uint32_t)x ^ 0x80000000u; }

#define EACH_DTYPE(LOAD)                                                             \
  const uint64_t flip = descending ? UINT64_MAX : 0;                                 \
  switch (dtype) {                                                                   \
    case LP_BOOL:                                                                    \
    case LP_UINT8: LOAD(uint8_t, key_of_int32)                                       \
    case LP_INT8: LOAD(int8_t, key_of_int32)                                         \
    case LP_INT16: LOAD(int16_t, key_of_int32)                                       \
    case LP_INT32: LOAD(int32_t, key_of_int32)                                       \
    case LP_INT64: LOAD(int64_t, key_of_int)                                         \
    case LP_FLOAT16: LOAD(uint16_t, key_of_half)                                     \
    case LP_BFLOAT16: LOAD(uint16_t, key_of_bf16)                                    \
    case LP_FLOAT32: LOAD(float, key_of_float)                                       \
    case LP_FLOAT64: LOAD(double, key_of_double)                                     \
    default: break;                                                                  \
  }

#define LOAD_PAIRS(T, key)                                                           \
  for (int64_t i = 0; i < n; i++)                                                    \
    pairs[i] = (LpPair){key(*(const T *)(src + i * step)) ^ flip, i};                \
  break;
void lp_sort_load(LpPair *pairs, const char *src, int64_t step, LpDtype dtype, int64_t n, bool descending) {
  EACH_DTYPE(LOAD_PAIRS)
}

#define LOAD_KEYS(T, key)                                                            \
  for (int64_t i = 0; i < n; i++) keys[i] = key(*(const T *)(src + i * step)) ^ flip; \
  break;
void lp_sort_keys(uint64_t *keys, const char *src, int64_t step, LpDtype dtype, int64_t n, bool descending) {
  EACH_DTYPE(LOAD_KEYS)
}

/* --- sorting ------------------------------------------------------------------------------------------- */

static void insertion_sort(LpPair *p, int64_t n) {
  for (int64_t i = 1; i < n; i++) {
    LpPair x = p[i];
    int64_t j = i;
    for (; j > 0 && p[j - 1].key > x.key; j--) p[j] = p[j - 1];
    p[j] = x;
  }
}

/* Runs of 16 by insertion, then merged pairwise between the two arrays. */
static void merge_sort(LpPair *pairs, LpPair *tmp, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) insertion_sort(pairs + i, n - i < 16 ? n - i : 16);
  LpPair *from = pairs, *to = tmp;
  for (int64_t run = 16; run < n; run *= 2) {
    for (int64_t i = 0; i < n; i += 2 * run) {
      int64_t middle = i + run < n ? i + run : n, end = i + 2 * run < n ? i + 2 * run : n;
      int64_t a = i, b = middle;
      for (int64_t k = i; k < end; k++)
        to[k] = a < middle && (b >= end || from[a].key <= from[b].key) ? from[a++] : from[b++];
    }
    LpPair *swap = from;
    from = to;
    to = swap;
  }
  if (from != pairs) memcpy(pairs, from, (size_t)n * sizeof *pairs);
}

static void radix_sort(LpPair *pairs, LpPair *tmp, int64_t n) {
  int64_t counts[8][256];
  memset(counts, 0, sizeof counts);
  for (int64_t i = 0; i < n; i++) {
    uint64_t key = pairs[i].key;
    for (int d = 0; d < 8; d++) counts[d][key >> 8 * d & 255]++;
  }
  LpPair *from = pairs, *to = tmp;
  for (int d = 0; d < 8; d++) {
    int64_t *count = counts[d], sum = 0;
    if (count[from[0].key >> 8 * d & 255] == n) continue;
    for (int b = 0; b < 256; b++) {
      int64_t c = count[b];
      count[b] = sum;
      sum += c;
    }
    for (int64_t i = 0; i < n; i++) to[count[from[i].key >> 8 * d & 255]++] = from[i];
    LpPair *swap = from;
    from = to;
    to = swap;
  }
  if (from != pairs) memcpy(pairs, from, (size_t)n * sizeof *pairs);
}

void lp_sort_pairs(LpPair *pairs, LpPair *tmp, int64_t n) {
  if (n <= 24) insertion_sort(pairs, n);
  else if (n <= 768) merge_sort(pairs, tmp, n);
  else radix_sort(pairs, tmp, n);
}

/* --- selection ----------------------------------------------------------------------------------------- */

static inline bool before(LpPair a, LpPair b) { return a.key < b.key || (a.key == b.key && a.at < b.at); }

static inline void swap_pairs(LpPair *a, LpPair *b) {
  LpPair t = *a;
  *a = *b;
  *b = t;
}

/* Quickselect with the median of three as pivot; pairs are distinct in (key, at), so it always narrows. */
void lp_select_pairs(LpPair *p, int64_t n, int64_t k) {
  int64_t low = 0, high = n - 1, target = k - 1;
  if (target < 0) return;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (before(p[middle], p[low])) swap_pairs(&p[middle], &p[low]);
    if (before(p[high], p[low])) swap_pairs(&p[high], &p[low]);
    if (before(p[high], p[middle])) swap_pairs(&p[high], &p[middle]);
    LpPair pivot = p[middle];
    int64_t i = low, j = high;
    while (i <= j) {
      while (before(p[i], pivot)) i++;
      while (before(pivot, p[j])) j--;
      if (i <= j) swap_pairs(&p[i++], &p[j--]);
    }
    if (target <= j) high = j;
    else if (target >= i) low = i;
    else return;
  }
}
