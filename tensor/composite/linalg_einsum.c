/* einsum: Einstein sums, as a sequence of pairwise contractions.
 *
 * A tensor travels with one label per dim. Labels that only one tensor has left and the
 * result does not want are summed out; two tensors meet in one bmm over (shared and kept)
 * x (own) x (shared and summed) labels. Of three or more tensors the pair with the
 * smallest result meets first. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "composite/steps.h"
#include "core/alloc.h"
#include "impl.h"
#include "lampad/ops.h"

#define MAX_OPERANDS 32
#define ELLIPSIS                                                                         \
  52 /* labels 0 .. 51 are A-Z, a-z; from 52 on the dims of "...", the last one first */

typedef uint64_t Labels; /* a set */

typedef struct Term {
  LpTensor *tensor; /* owned */
  int ndim;
  uint8_t labels[LP_MAX_DIMS];
} Term;

typedef struct Sum {
  Term terms[MAX_OPERANDS];
  int count;
  int64_t sizes[64]; /* of the labels; -1: not seen */
  int output_ndim;
  uint8_t output[LP_MAX_DIMS];
} Sum;

static Labels set_of(const uint8_t *labels, int n) {
  Labels set = 0;
  for (int i = 0; i < n; i++) set |= UINT64_C(1) << labels[i];
  return set;
}

/* Replaces the term's tensor by the result of an op; false when that failed. */
static bool become(Term *t, LpTensor *next) {
  lp_tensor_release(t->tensor);
  t->tensor = next;
  return next != NULL;
}

/* --- the equation
 * --------------------------------------------------------------------------------- */

static int label_of(char ch) {
  return isupper((unsigned char)ch) ? ch - 'A' : ch - 'a' + 26;
}

/* Reads one term's subscripts up to a comma, an arrow or the end. `free_dims` is what
 * "..." stands for. */
static bool read_labels(const char **at, int ndim, int which, uint8_t *labels, int *n,
                        int *ellipsis_ndim) {
  const char *p = *at;
  int named = 0, dots = -1, count = 0;
  for (const char *q = p; *q && *q != ',' && strncmp(q, "->", 2); q++)
    if (isalpha((unsigned char)*q)) named++;
  for (; *p && *p != ',' && strncmp(p, "->", 2); p++) {
    if (*p == ' ') continue;
    if (!strncmp(p, "...", 3)) {
      CHECK(dots < 0, LP_ERR_ARGUMENT, "operand %d has two ellipses in the equation",
            which);
      dots = ndim - named;
      CHECK(dots >= 0, LP_ERR_ARGUMENT,
            "the equation names %d dims of operand %d, which has %d", named, which, ndim);
      for (int i = dots - 1; i >= 0; i--) {
        CHECK(ELLIPSIS + i < 64, LP_ERR_ARGUMENT,
              "\"...\" stands for too many dims of operand %d", which);
        labels[count++] = (uint8_t)(ELLIPSIS + i);
      }
      p += 2;
      continue;
    }
    CHECK(isalpha((unsigned char)*p), LP_ERR_ARGUMENT,
          "the equation has the character '%c': subscripts are letters, \"...\", ',' and "
          "\"->\"",
          *p);
    CHECK(count < LP_MAX_DIMS, LP_ERR_ARGUMENT, "operand %d has too many subscripts",
          which);
    labels[count++] = (uint8_t)label_of(*p);
  }
  *n = count;
  if (dots > *ellipsis_ndim) *ellipsis_ndim = dots;
  *at = p;
  return true;
}

/* The result's labels: as written after "->", or those that stand once, in alphabetical
 * order, after "...". */
static bool read_output(Sum *s, const char *p, int ellipsis_ndim) {
  int seen[64] = {0};
  for (int i = 0; i < s->count; i++)
    for (int d = 0; d < s->terms[i].ndim; d++) seen[s->terms[i].labels[d]]++;
  if (*p == 0) {
    for (int i = ellipsis_ndim - 1; i >= 0; i--)
      s->output[s->output_ndim++] = (uint8_t)(ELLIPSIS + i);
    for (int l = 0; l < 52; l++)
      if (seen[l] == 1) s->output[s->output_ndim++] = (uint8_t)l;
    return true;
  }
  p += 2;
  int named = 0, dots = 0;
  for (const char *q = p; *q; q++) named += isalpha((unsigned char)*q) != 0;
  TRY(read_labels(&p, named + ellipsis_ndim, -1, s->output, &s->output_ndim, &dots));
  CHECK(*p == 0, LP_ERR_ARGUMENT, "the equation goes on after the result: \"%s\"", p);
  Labels used = 0;
  for (int d = 0; d < s->output_ndim; d++) {
    int l = s->output[d];
    CHECK(seen[l] > 0, LP_ERR_ARGUMENT, "the result has a subscript that no operand has");
    CHECK(!(used >> l & 1), LP_ERR_ARGUMENT, "a subscript stands twice in the result");
    used |= UINT64_C(1) << l;
  }
  return true;
}

/* Label sizes; equal labels of one term become its diagonal; dims of size 1 that
 * broadcast go. */
static bool resolve_sizes(Sum *s) {
  for (int i = 0; i < s->count; i++) {
    Term *t = &s->terms[i];
    for (int d = 0; d < t->ndim; d++) {
      int64_t size = t->tensor->sizes[d], *known = &s->sizes[t->labels[d]];
      if (*known == -1 || *known == 1) *known = size;
      CHECK(size == *known || size == 1, LP_ERR_ARGUMENT,
            "operand %d (shape %s): dim %d has size %lld, but its subscript stands for "
            "size %lld elsewhere",
            i, SHAPE_TEXT(t->tensor), d, (long long)size, (long long)*known);
    }
  }
  return true;
}

static void remove_dim(Term *t, int d) {
  memmove(t->labels + d, t->labels + d + 1, (size_t)(t->ndim - d - 1));
  t->ndim--;
}

static bool reduce_term(Sum *s, Term *t) {
  for (int d = 0; d < t->ndim; d++) {
    if (t->tensor->sizes[d] == 1 && s->sizes[t->labels[d]] != 1) {
      TRY(become(t, lp_squeeze_dim(t->tensor, d)));
      remove_dim(t, d--);
    }
  }
  for (int d = 0; d < t->ndim; d++)
    for (int e = d + 1; e < t->ndim; e++) {
      if (t->labels[e] != t->labels[d]) continue;
      TRY(become(
          t, lp_diagonal(t->tensor, 0, d, e))); /* the diagonal becomes the last dim */
      uint8_t label = t->labels[d];
      remove_dim(t, e);
      remove_dim(t, d);
      t->labels[t->ndim++] = label;
      d = -1;
      break;
    }
  return true;
}

/* --- contractions
 * ----------------------------------------------------------------------------------- */

/* Sums out the labels not in `wanted`. */
static bool sum_out(Term *t, Labels wanted) {
  int64_t dims[LP_MAX_DIMS];
  int n = 0;
  for (int d = 0; d < t->ndim; d++)
    if (!(wanted >> t->labels[d] & 1)) dims[n++] = d;
  if (!n) return true;
  TRY(become(t, lp_sum_dim(t->tensor, lp_ints(dims, n), false, LP_DTYPE_NONE)));
  for (int k = n - 1; k >= 0; k--) remove_dim(t, (int)dims[k]);
  return true;
}

/* The term's tensor with its dims in the order of the three groups of labels, owned. */
static LpTensor *arrange(const Term *t, const uint8_t *labels, int n) {
  int64_t order[LP_MAX_DIMS];
  bool same = true;
  for (int i = 0; i < n; i++)
    for (int d = 0; d < t->ndim; d++)
      if (t->labels[d] == labels[i]) {
        order[i] = d;
        same = same && d == i;
      }
  return same ? lp_tensor_retain(t->tensor) : lp_permute(t->tensor, lp_ints(order, n));
}

static int64_t product_of(const Sum *s, const uint8_t *labels, int n) {
  int64_t product = 1;
  for (int i = 0; i < n; i++) product *= s->sizes[labels[i]];
  return product;
}

/* a = a and b contracted; `wanted` are the labels that must stay. b is used up. */
static bool contract(Sum *s, Term *a, Term *b, Labels wanted) {
  Labels in_a = set_of(a->labels, a->ndim), in_b = set_of(b->labels, b->ndim);
  TRY(sum_out(a, wanted | in_b));
  TRY(sum_out(b, wanted | in_a));
  uint8_t batch[64], own_a[64], own_b[64], summed[64], order[64];
  int n_batch = 0, n_a = 0, n_b = 0, n_summed = 0;
  for (int d = 0; d < a->ndim; d++) {
    uint8_t l = a->labels[d];
    if (!(in_b >> l & 1))
      own_a[n_a++] = l;
    else if (wanted >> l & 1)
      batch[n_batch++] = l;
    else
      summed[n_summed++] = l;
  }
  for (int d = 0; d < b->ndim; d++)
    if (!(in_a >> b->labels[d] & 1)) own_b[n_b++] = b->labels[d];
  int64_t size_batch = product_of(s, batch, n_batch), size_a = product_of(s, own_a, n_a);
  int64_t size_b = product_of(s, own_b, n_b),
          size_summed = product_of(s, summed, n_summed);

  memcpy(order, batch, (size_t)n_batch);
  memcpy(order + n_batch, own_a, (size_t)n_a);
  memcpy(order + n_batch + n_a, summed, (size_t)n_summed);
  TRY(become(a, arrange(a, order, a->ndim)));
  memcpy(order + n_batch, summed, (size_t)n_summed);
  memcpy(order + n_batch + n_summed, own_b, (size_t)n_b);
  TRY(become(b, arrange(b, order, b->ndim)));

  TRY(become(a, lp_reshape(a->tensor,
                           lp_ints((int64_t[]){size_batch, size_a, size_summed}, 3))));
  TRY(become(b, lp_reshape(b->tensor,
                           lp_ints((int64_t[]){size_batch, size_summed, size_b}, 3))));
  TRY(become(a, n_summed ? lp_bmm(a->tensor, b->tensor) : lp_mul(a->tensor, b->tensor)));
  int64_t sizes[LP_MAX_DIMS];
  int n = 0;
  for (int i = 0; i < n_batch; i++) a->labels[n++] = batch[i];
  for (int i = 0; i < n_a; i++) a->labels[n++] = own_a[i];
  for (int i = 0; i < n_b; i++) a->labels[n++] = own_b[i];
  for (int i = 0; i < n; i++) sizes[i] = s->sizes[a->labels[i]];
  a->ndim = n;
  TRY(become(a, lp_reshape(a->tensor, lp_ints(sizes, n))));
  become(b, NULL);
  return true;
}

static Labels wanted_beside(const Sum *s, int i, int j) {
  Labels wanted = set_of(s->output, s->output_ndim);
  for (int k = 0; k < s->count; k++)
    if (k != i && k != j) wanted |= set_of(s->terms[k].labels, s->terms[k].ndim);
  return wanted;
}

static double result_size(const Sum *s, int i, int j) {
  Labels kept = (set_of(s->terms[i].labels, s->terms[i].ndim) |
                 set_of(s->terms[j].labels, s->terms[j].ndim)) &
                wanted_beside(s, i, j);
  double size = 1;
  for (int l = 0; l < 64; l++)
    if (kept >> l & 1) size *= (double)s->sizes[l];
  return size;
}

static bool contract_all(Sum *s) {
  while (s->count > 1) {
    int best_i = 0, best_j = 1;
    double best = result_size(s, 0, 1);
    for (int i = 0; i < s->count; i++)
      for (int j = i + 1; j < s->count; j++) {
        double size = result_size(s, i, j);
        if (size < best) best = size, best_i = i, best_j = j;
      }
    TRY(contract(s, &s->terms[best_i], &s->terms[best_j],
                 wanted_beside(s, best_i, best_j)));
    s->count--;
    memmove(&s->terms[best_j], &s->terms[best_j + 1],
            (size_t)(s->count - best_j) * sizeof(Term));
    s->terms[s->count].tensor = NULL;
  }
  Term *t = &s->terms[0];
  TRY(sum_out(t, set_of(s->output, s->output_ndim)));
  TRY(become(t, arrange(t, s->output, s->output_ndim)));
  return true;
}

static bool run(Sum *s, const char *equation, LpTensors tensors) {
  const char *p = equation;
  int ellipsis_ndim = 0;
  for (int i = 0; i < s->count; i++) {
    Term *t = &s->terms[i];
    t->tensor = lp_tensor_retain(tensors.data[i]);
    TRY(read_labels(&p, t->tensor->ndim, i, t->labels, &t->ndim, &ellipsis_ndim));
    CHECK(t->ndim == t->tensor->ndim, LP_ERR_ARGUMENT,
          "the equation gives operand %d %d subscripts, but its shape is %s", i, t->ndim,
          SHAPE_TEXT(t->tensor));
    if (i + 1 < s->count) {
      CHECK(*p == ',', LP_ERR_ARGUMENT, "the equation has %d terms for %d operands",
            i + 1, s->count);
      p++;
    }
  }
  CHECK(*p != ',', LP_ERR_ARGUMENT, "the equation has more terms than the %d operands",
        s->count);
  TRY(read_output(s, p, ellipsis_ndim));
  TRY(resolve_sizes(s));
  for (int i = 0; i < s->count; i++) TRY(reduce_term(s, &s->terms[i]));
  return contract_all(s);
}

LpTensor *lp_composite_einsum(const char *equation, LpTensors tensors) {
  CHECK(tensors.count >= 1 && tensors.count <= MAX_OPERANDS, LP_ERR_ARGUMENT,
        "expected 1 to %d operands, got %lld", MAX_OPERANDS, (long long)tensors.count);
  Sum *s = lp_calloc(sizeof *s);
  if (!s) return NULL;
  s->count = (int)tensors.count;
  for (int l = 0; l < 64; l++) s->sizes[l] = -1;
  LpTensor *result =
      run(s, equation, tensors) ? lp_tensor_retain(s->terms[0].tensor) : NULL;
  for (int i = 0; i < (int)tensors.count; i++) lp_tensor_release(s->terms[i].tensor);
  lp_free(s, sizeof *s);
  return result;
}
