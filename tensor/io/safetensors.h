/* The types of safetensors, for its reader and its writer. */
#ifndef LP_IO_SAFETENSORS_H
#define LP_IO_SAFETENSORS_H

#include "lampad/safetensors.h"

typedef struct LpSafetensorsType {
  const char *name;
  int bits;
  LpDtype dtype; /* LP_DTYPE_NONE: the engine has no such dtype */
} LpSafetensorsType;

extern const LpSafetensorsType lp_safetensors_types[];
extern const int lp_safetensors_type_count;

#endif
