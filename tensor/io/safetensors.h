/* The types of safetensors, for its reader and its writer. */
#ifndef LP_IO_SAFETENSORS_H
#define LP_IO_SAFETENSORS_H

#include "lampad/safetensors.h"

typedef struct LpSafetensorsType {
  const char *name;
  int bits;
  LpDtype dtype; /* LP_DTYPE_NONE: the engine has no such dtype */
} LpSafetensorsType;

#define LP_SAFETENSORS_MAX_HEADER_BYTES                                                  \
  ((uint64_t)100000000) /* as in the format's own library */

/* Parses a file of which only the length and the header are in memory; of its tensors
 * nothing but the description may be asked. */
LpSafetensors *lp_safetensors_parse_head(LpTensor *head, uint64_t file_bytes);
/* Where in the file the tensor's bytes begin. */
uint64_t lp_safetensors_place(const LpSafetensors *s, int64_t i);

extern const LpSafetensorsType lp_safetensors_types[];
extern const int lp_safetensors_type_count;

#endif
