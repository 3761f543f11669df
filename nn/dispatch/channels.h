/* Passes over the channels of images: moments, affine maps and their gradients. What
 * batch, group and instance normalisation are made of. */
#ifndef LP_NN_DISPATCH_CHANNELS_H
#define LP_NN_DISPATCH_CHANNELS_H

#include "core/tensor.h"
#include "cpu/rows.h"

/* (n, channels, plane) over dense buffers; where they lie channels last,
 * n counts the pixels of all images and plane is 1. */
typedef struct ChannelJob {
  int type; /* nn_float_index */
  size_t elem_bytes;
  int64_t n, channels, plane;
  const char *x, *g;
  LpRowGate gate; /* before g */
  char *y;
  double *mean, *rstd; /* of each channel: in or out */
  double *a, *b, *c;   /* coefficients of the elementwise pass */
  double *s, *q;       /* sums */
  double eps;
} ChannelJob;

typedef enum ChannelPass {
  CHANNEL_STATS,     /* mean, rstd, and in q the biased variance; s is lost */
  CHANNEL_AFFINE,    /* y = a * x + b */
  CHANNEL_GRAD_SUMS, /* s = sum(g), q = sum(g * (x - mean)), with g behind the gate */
  CHANNEL_COMBINE    /* y = a * g + b * x + c, likewise */
} ChannelPass;

void nn_channel_pass(ChannelJob *j, ChannelPass pass);

/* The job over t, which is dense in either order; no arrays yet. */
ChannelJob nn_channel_job(const LpTensor *t);
/* The seven arrays, of n values each, in one block, which begins at mean. */
bool nn_channel_arrays(ChannelJob *j, int64_t n, size_t *block_bytes);

/* t is a vector of one value per channel of the input, or NULL; `name` in the error. */
bool nn_check_channel_vector(LpTensor *t, const char *name, LpTensor *input);

#endif
