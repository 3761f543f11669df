/* The door to the converting loops of this machine; see cpu/cast.h. */
#include "cpu/cast.h"

LpLoop lp_cast_loop(LpDtype to, LpDtype from) {
  return lp_cast_loops()->loops[to][from];
}
