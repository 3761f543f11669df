/* The broadcasting iterator: one walk over any number of strided operands, written once.
 *
 * Usage: lp_iter_init, lp_iter_output/lp_iter_input for each operand (outputs first), lp_iter_build
 * (broadcasts shapes, allocates NULL outputs, checks overlap, coalesces and sorts dims by stride),
 * then lp_iter_run with an inner loop, lp_iter_done.
 *
 * After lp_iter_build dim 0 is the innermost: the one of the smallest strides. With cast_inputs the
 * loop sees inputs of common_dtype and outputs of loop_dtype whatever the tensors hold: elements
 * pass through small buffers on the way, so nothing of the size of a tensor is copied. */
#ifndef LP_DISPATCH_ITER_H
#define LP_DISPATCH_ITER_H

#include "core/tensor.h"

#define LP_ITER_MAX_OPERANDS 8

/* n elements; operand k at ptrs[k], advancing strides[k] bytes. */
typedef void (*LpLoop)(char *const *ptrs, const int64_t *strides_bytes, int64_t n, const void *params);
/* `rows` such rows, operand k's row_strides[k] bytes apart. */
typedef void (*LpRowsLoop)(char *const *ptrs, const int64_t *strides_bytes, int64_t n, const int64_t *row_strides,
                           int64_t rows, const void *params);

typedef struct LpIter {
  int n_operands, n_outputs;
  LpTensor *operands[LP_ITER_MAX_OPERANDS]; /* borrowed; outputs filled by lp_iter_build when NULL */
  unsigned made;                            /* bit k: output k was made by lp_iter_build and is still the iterator's */
  LpDtype output_dtype;                     /* for outputs to be allocated */
  LpDtype common_dtype;                     /* inputs are cast to it when cast_inputs is set */
  LpDtype loop_dtype; /* with cast_inputs: what the loop writes; NONE: output_dtype */
  LpDtype round_dtype; /* with cast_inputs: inputs of other dtypes are rounded to it first; NONE */
  bool exact_scalars;  /* ... but not one-element inputs */
  bool cast_inputs;
  unsigned keep_dtype; /* bit k: operand k is not cast (a condition, an index) */
  bool allow_overlap; /* skip the partial-overlap check */
  bool mixes_layouts; /* hidden operands (layout.h) stay as they lie beside row-major ones of their shape */
  int numbers_from; /* for run_packed: in rows of so many elements and more rows_loop reads one that is repeated
                     * where it lies; 0: in none */
  bool no_resize;     /* in place: given outputs must already have the broadcast shape */
  bool takes_deferred; /* with cast_inputs; the loop writes every element: Note [Deferred elements] in layout.h */
  int ndim;           /* after coalescing */
  int64_t shape[LP_MAX_DIMS];
  int64_t numel;
  char *data[LP_ITER_MAX_OPERANDS];
  int64_t strides[LP_ITER_MAX_OPERANDS][LP_MAX_DIMS]; /* bytes */
  unsigned cast_mask; /* operands that pass through buffers, in run */
  unsigned deferred_mask; /* inputs among them whose elements are computed on the way */
  LpLoop casts[LP_ITER_MAX_OPERANDS]; /* NULL: only deferred */
  LpLoop rounds[LP_ITER_MAX_OPERANDS]; /* to round_dtype, before casts; NULL */
  int8_t loop_sizes[LP_ITER_MAX_OPERANDS]; /* of those: bytes of the elements the loop sees */
  int cast_elems;                          /* that the buffers hold */
  _Alignas(16) char scalars[LP_ITER_MAX_OPERANDS][16]; /* one-element inputs, cast once by build */
} LpIter;

void lp_iter_init(LpIter *it);
/* The caller keeps the tensors until lp_iter_done. */
void lp_iter_output(LpIter *it, LpTensor *t_or_null);
void lp_iter_input(LpIter *it, LpTensor *t);
bool lp_iter_build(LpIter *it);
/* Runs the loop over all elements, in parallel above the grain; false when interrupted. */
bool lp_iter_run(LpIter *it, LpLoop loop, const void *params);
/* Makes a long dim the innermost when the innermost is of a few elements only, for loops that take
 * strided memory well and whose calls cost. */
void lp_iter_lengthen(LpIter *it);
/* As lp_iter_run, for such loops: short rows are packed in buffers, many for one call; longer ones go to
 * rows_loop, which does as `loop` (NULL: there is none); where neither can be, it lengthens. */
bool lp_iter_run_packed(LpIter *it, LpLoop loop, LpRowsLoop rows_loop, const void *params);
bool lp_iter_run_serial(LpIter *it, LpLoop loop, const void *params);
/* Is a large op that is to be walked now to begin at the end? See Note [There and back]. */
bool lp_iter_turn(void);
/* The i-th operand, owned by the caller from now on. */
LpTensor *lp_iter_take(LpIter *it, int i);
void lp_iter_done(LpIter *it);

/* Broadcast of two or more shapes into out (LP_MAX_DIMS entries); error names both shapes. */
bool lp_broadcast_shapes(const LpInts *shapes, int n, int64_t *out, int64_t *out_ndim);
/* PyTorch's result_type over tensors: dim tensors, 0-d tensors and wrapped numbers in three ranks. */
LpDtype lp_result_type(LpTensor *const *tensors, int n);
/* Whether a result of dtype `from` may be written to a tensor of dtype `to` (torch.can_cast). */
bool lp_can_cast(LpDtype from, LpDtype to);
/* PyTorch's name of the dtype in its messages: "Float", "Long". */
const char *lp_dtype_title(LpDtype dtype);
/* The loop that converts elements: operand 0 of dtype `to`, operand 1 of dtype `from`; no params.
 * Equal dtypes give a copying loop. */
LpLoop lp_cast_loop(LpDtype to, LpDtype from);

#endif
