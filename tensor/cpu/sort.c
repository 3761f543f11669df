/* Sorting and selecting pairs (cpu/sort.h): insertion sort for short rows; up to LP_SORT_RANKED each element to
 * its rank, where keys differ in 32 bits at most; merge sort up to a dozen for each byte in which keys differ,
 * then least-significant-digit radix sort over these bytes; long rows in buckets (Note [Buckets]). */
#include "cpu/sort.h"

#include <stdatomic.h>
#include <string.h>
#include "core/parallel.h"
#include "cpu/index.h"

/* --- keys ---------------------------------------------------------------------------------------------- */

#define CHUNK 512 /* keys held at once */

void lp_sort_keys(uint64_t *keys, const char *src, int64_t step, LpDtype dtype, int64_t n, bool descending) {
  lp_sort_kernels()->keys[dtype](keys, src, step, n, descending ? UINT64_MAX : 0);
}

typedef struct Load {
  LpPair *pairs;
  const char *src;
  int64_t step;
  LpDtype dtype;
  bool descending;
} Load;

static void load_range(void *ctx, int64_t begin, int64_t end) {
  const Load *l = ctx;
  uint64_t keys[CHUNK];
  for (int64_t at = begin; at < end; at += CHUNK) {
    const int64_t m = end - at < CHUNK ? end - at : CHUNK;
    lp_sort_keys(keys, l->src + at * l->step, l->step, l->dtype, m, l->descending);
    for (int64_t i = 0; i < m; i++) l->pairs[at + i] = (LpPair){keys[i], at + i};
  }
}

void lp_sort_load(LpPair *pairs, const char *src, int64_t step, LpDtype dtype, int64_t n, bool descending) {
  Load l = {pairs, src, step, dtype, descending};
  lp_parallel_for(n, LP_GRAIN, load_range, &l);
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

/* These leave the result in `pairs` or in `tmp`, and give it. */

/* Runs of 16 by insertion, then merged pairwise between the two arrays. */
static LpPair *merge_sort(LpPair *pairs, LpPair *tmp, int64_t n) {
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
  return from;
}

/* The bits in which keys differ. */
static uint64_t differing_bits(const LpPair *p, int64_t n) {
  uint64_t bits = 0;
  for (int64_t i = 1; i < n; i++) bits |= p[i].key ^ p[0].key;
  return bits;
}

#define DIGITS 8

/* Digits of a byte from the lowest differing bit on, but for those that all keys share. */
static int find_digits(uint64_t bits, int shifts[DIGITS]) {
  int count = 0;
  for (int at = __builtin_ctzll(bits); at < 64 && bits >> at; at += 8) {
    if (bits >> at & 255) shifts[count++] = at;
  }
  return count;
}

static LpPair *radix_sort(LpPair *pairs, LpPair *tmp, int64_t n, const int *shifts, int digits) {
  int64_t counts[DIGITS][256];
  memset(counts, 0, (size_t)digits * sizeof counts[0]);
  for (int64_t i = 0; i < n; i++) {
    for (int d = 0; d < digits; d++) counts[d][pairs[i].key >> shifts[d] & 255]++;
  }
  LpPair *from = pairs, *to = tmp;
  for (int d = 0; d < digits; d++) {
    int64_t *count = counts[d], sum = 0;
    for (int b = 0; b < 256; b++) {
      int64_t c = count[b];
      count[b] = sum;
      sum += c;
    }
    for (int64_t i = 0; i < n; i++) to[count[from[i].key >> shifts[d] & 255]++] = from[i];
    LpPair *swap = from;
    from = to;
    to = swap;
  }
  return from;
}

/* Keys that differ in 32 bits from `shift` on: every one is compared with all others, a vector of them at a
 * time. Equal ones follow each other. */
static LpPair *rank_sort(LpPair *pairs, LpPair *tmp, int64_t n, int shift) {
  int32_t keys[LP_SORT_RANKED] = {0}, ranks[LP_SORT_RANKED];
  uint8_t seen[LP_SORT_RANKED] = {0};
  for (int64_t i = 0; i < n; i++) keys[i] = (int32_t)((uint32_t)(pairs[i].key >> shift) ^ 0x80000000u);
  lp_sort_kernels()->ranks(keys, n, ranks);
  for (int64_t i = 0; i < n; i++) tmp[ranks[i] + seen[ranks[i]]++] = pairs[i];
  return tmp;
}

/* By one thread. */
static LpPair *sort_alone(LpPair *pairs, LpPair *tmp, int64_t n) {
  if (n <= 24) {
    insertion_sort(pairs, n);
    return pairs;
  }
  const uint64_t bits = differing_bits(pairs, n);
  if (!bits) return pairs;
  const int shift = __builtin_ctzll(bits);
  if (n <= LP_SORT_RANKED && bits >> shift <= UINT32_MAX) return rank_sort(pairs, tmp, n, shift);
  int shifts[DIGITS];
  const int digits = find_digits(bits, shifts);
  return n < 12 * digits ? merge_sort(pairs, tmp, n) : radix_sort(pairs, tmp, n, shifts, digits);
}

/* Note [Buckets]: the pairs of a long row are dealt out to buckets by the leading digit of their keys, by pieces
 * of the row in parallel, each with a place of its own in every bucket; then the buckets are sorted in parallel,
 * most of them within a cache. A bucket that holds much of the row (one number far from all others) is dealt out
 * again. */

#define LONG 65536          /* a row from here on */
#define LEAD 10             /* bits of the leading digit: a float's sign, exponent and more */
#define BUCKETS (1 << LEAD)
#define MOST_PIECES 16

typedef struct Deal {
  LpPair *from, *to;
  int64_t n, piece;
  int shift;
  int64_t count[MOST_PIECES][BUCKETS]; /* of a piece in a bucket; then where its next one goes */
  int64_t begin[BUCKETS + 1];          /* of a bucket */
  _Atomic int64_t next;                  /* bucket that nobody has taken */
  _Atomic uint64_t bits;
} Deal;

static inline int64_t bucket_of(const Deal *d, LpPair p) { return (int64_t)(p.key >> d->shift) & (BUCKETS - 1); }

static int64_t end_of_piece(const Deal *d, int64_t p) {
  return (p + 1) * d->piece < d->n ? (p + 1) * d->piece : d->n;
}

static void find_bits(void *ctx, int64_t begin, int64_t end) {
  Deal *d = ctx;
  uint64_t bits = 0;
  for (int64_t i = begin; i < end; i++) bits |= d->from[i].key ^ d->from[0].key;
  atomic_fetch_or(&d->bits, bits);
}

static void count_pieces(void *ctx, int64_t begin, int64_t end) {
  Deal *d = ctx;
  for (int64_t p = begin; p < end; p++) {
    const int64_t last = end_of_piece(d, p);
    memset(d->count[p], 0, sizeof d->count[p]);
    for (int64_t i = p * d->piece; i < last; i++) d->count[p][bucket_of(d, d->from[i])]++;
  }
}

static void deal_pieces(void *ctx, int64_t begin, int64_t end) {
  Deal *d = ctx;
  for (int64_t p = begin; p < end; p++) {
    const int64_t last = end_of_piece(d, p);
    for (int64_t i = p * d->piece; i < last; i++) d->to[d->count[p][bucket_of(d, d->from[i])]++] = d->from[i];
  }
}

/* Buckets lie in `to`, and go back sorted. */
static void sort_buckets(void *ctx, int64_t begin, int64_t end) {
  Deal *d = ctx;
  for (;;) {
    const int64_t b = atomic_fetch_add_explicit(&d->next, 1, memory_order_relaxed);
    if (b >= BUCKETS) return;
    const int64_t at = d->begin[b], n = d->begin[b + 1] - at;
    if (n >= LONG && n > d->n / 4) continue;
    const LpPair *sorted = sort_alone(d->to + at, d->from + at, n);
    if (sorted != d->from + at) memcpy(d->from + at, sorted, (size_t)n * sizeof *sorted);
  }
}

static void sort_long(LpPair *pairs, LpPair *tmp, int64_t n) {
  Deal d = {.from = pairs, .to = tmp, .n = n};
  lp_parallel_for(n, LONG / 2, find_bits, &d);
  const uint64_t bits = d.bits;
  if (!bits) return;
  d.shift = 64 - LEAD - __builtin_clzll(bits);
  if (d.shift < 0) d.shift = 0;
  const int64_t threads = lp_parallel_threads(n, LONG / 2);
  int64_t pieces = 4 * threads < MOST_PIECES ? 4 * threads : MOST_PIECES;
  d.piece = (n + pieces - 1) / pieces;
  pieces = (n + d.piece - 1) / d.piece;
  lp_parallel_for(pieces, 1, count_pieces, &d);
  int64_t sum = 0;
  for (int64_t b = 0; b < BUCKETS; b++) {
    d.begin[b] = sum;
    for (int64_t p = 0; p < pieces; p++) {
      const int64_t count = d.count[p][b];
      d.count[p][b] = sum;
      sum += count;
    }
  }
  d.begin[BUCKETS] = n;
  lp_parallel_for(pieces, 1, deal_pieces, &d);
  lp_parallel_for(threads, 1, sort_buckets, &d);
  for (int64_t b = 0; b < BUCKETS; b++) {
    const int64_t at = d.begin[b], of_bucket = d.begin[b + 1] - at;
    if (of_bucket < LONG || of_bucket <= n / 4) continue;
    memcpy(pairs + at, tmp + at, (size_t)of_bucket * sizeof *pairs);
    sort_long(pairs + at, tmp + at, of_bucket);
  }
}

void lp_sort_pairs(LpPair *pairs, LpPair *tmp, int64_t n) {
  if (n >= LONG) {
    sort_long(pairs, tmp, n);
    return;
  }
  const LpPair *sorted = sort_alone(pairs, tmp, n);
  if (sorted != pairs) memcpy(pairs, sorted, (size_t)n * sizeof *pairs);
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

/* Note [Selection by a sample]: a sorted sample of a row tells between which two keys the k-th element very
 * likely lies. One walk counts the elements below and picks those between, a small part, from which the
 * element is selected. Where the sample misleads, it is selected from all. */

#define SAMPLED_MIN 512 /* a shorter row is not worth a sample */
#define SAMPLE_MAX 4096
#define PIECE 16384     /* elements of a task */

typedef struct Piece {
  int64_t below, nans, picked;
} Piece;

typedef struct Selection {
  const char *src;
  int64_t step, n;
  LpDtype dtype;
  uint64_t low, high; /* the keys between which elements are picked, both included */
  LpPair *pairs;      /* n; a piece's picked ones where it begins */
  Piece *pieces;
} Selection;

static void pick_pieces(void *ctx, int64_t begin, int64_t end) {
  const Selection *s = ctx;
  uint64_t keys[CHUNK];
  int64_t chosen[CHUNK], places[CHUNK];
  for (int64_t p = begin; p < end; p++) {
    Piece piece = {0};
    LpPair *out = s->pairs + p * PIECE;
    int64_t last = s->n - p * PIECE < PIECE ? s->n : (p + 1) * PIECE;
    for (int64_t at = p * PIECE; at < last && !lp_interrupt_pending(); at += CHUNK) {
      const int64_t m = last - at < CHUNK ? last - at : CHUNK;
      lp_sort_keys(keys, s->src + at * s->step, s->step, s->dtype, m, false);
      lp_sort_kernels()->tally(keys, m, s->low, &piece.below, &piece.nans);
      int64_t picked = lp_index_table()->within((const int64_t *)keys, m, (int64_t)s->low,
                                                (int64_t)(s->high - s->low + 1), at, chosen, places);
      for (int64_t i = 0; i < picked; i++) out[piece.picked + i] = (LpPair){(uint64_t)chosen[i], places[i]};
      piece.picked += picked;
    }
    s->pieces[p] = piece;
  }
}

/* The limits that a sample of the row suggests for its k-th element. tmp holds twice the sample. */
static void suggest_limits(Selection *s, int64_t k, LpPair *tmp) {
  const int64_t sixteenth = s->n / 16, count = sixteenth < SAMPLE_MAX ? sixteenth : SAMPLE_MAX;
  const int64_t every = s->n / count;
  lp_sort_load(tmp, s->src + every / 2 * s->step, every * s->step, s->dtype, count, false);
  lp_sort_pairs(tmp, tmp + count, count);
  int64_t margin = 2; /* about two and a half standard deviations of a rank */
  while (margin * margin < 7 * count / 4) margin++;
  const int64_t middle = (int64_t)((double)(k - 1) / (double)s->n * (double)count);
  s->low = middle - margin < 0 ? 0 : tmp[middle - margin].key;
  s->high = middle + margin >= count ? UINT64_MAX : tmp[middle + margin].key;
}

static int64_t pieces_of(int64_t n) { return (n + PIECE - 1) / PIECE; }

size_t lp_select_scratch(int64_t n) {
  return (size_t)(n + 2 * SAMPLE_MAX) * sizeof(LpPair) + (size_t)pieces_of(n) * sizeof(Piece);
}

static int64_t select_of_all(const Selection *s, int64_t k) {
  lp_sort_load(s->pairs, s->src, s->step, s->dtype, s->n, false);
  lp_select_pairs(s->pairs, s->n, k);
  return s->pairs[k - 1].at;
}

int64_t lp_select_place(const char *src, int64_t step, LpDtype dtype, int64_t n, int64_t k, int64_t *nans,
                        void *scratch) {
  LpPair *pairs = scratch, *sample = pairs + n;
  Selection s = {.src = src, .step = step, .n = n, .dtype = dtype, .pairs = pairs,
                 .pieces = (Piece *)(sample + 2 * SAMPLE_MAX)};
  int64_t below = 0, picked = 0;
  *nans = 0;
  if (n < SAMPLED_MIN) {
    const int64_t at = select_of_all(&s, k);
    for (int64_t i = 0; i < n; i++) *nans += pairs[i].key == LP_KEY_NAN;
    return at;
  }
  suggest_limits(&s, k, sample);
  lp_parallel_for(pieces_of(n), 2, pick_pieces, &s);
  for (int64_t p = 0; p < pieces_of(n); p++) { /* brought together */
    memmove(pairs + picked, pairs + p * PIECE, (size_t)s.pieces[p].picked * sizeof *pairs);
    picked += s.pieces[p].picked;
    below += s.pieces[p].below;
    *nans += s.pieces[p].nans;
  }
  if (k <= below || k > below + picked) return select_of_all(&s, k);
  if (s.low != s.high) lp_select_pairs(pairs, picked, k - below);
  return pairs[k - below - 1].at;
}
