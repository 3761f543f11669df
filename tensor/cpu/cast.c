/* The door to the converting loops of this machine; see cpu/cast.h. */
#include "cpu/cast.h"

LpLoop lp_cast_loop(LpDtype to, LpDtype from) {
  if (LP_UNLIKELY(to >= LP_UINT16 || from >= LP_UINT16)) return lp_cast_limited(to, from);
  return lp_cast_loops()->loops[to][from];
}
