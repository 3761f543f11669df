/* memmove without a trap.
 *
 * Note [Strings that follow closely]: the C library moves 2 KiB and more by the
 * processor's string instruction. Where the destination lies a few bytes behind the
 * source, within their pages, that takes 16 times as long on some processors (AMD Zen 4:
 * 3.4 instead of 56 GB/s; a row shifted by one element is such a case). Such memory goes
 * by vectors, from its end: no load seems to want what the stores before it have written.
 * The pieces are so small that the compiler, too, does not take a string instruction. */
#ifndef LP_CORE_MOVE_H
#define LP_CORE_MOVE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LP_MOVE_LONG 2048 /* bytes */
#define LP_MOVE_PIECE 64

static inline void lp_move(void *to, const void *from, size_t bytes) {
  const uintptr_t ahead = (uintptr_t)to - (uintptr_t)from, back = -ahead;
  const uintptr_t in_page = ahead & 4095;
  if (bytes < LP_MOVE_LONG || in_page == 0 || in_page >= 64 || ahead < bytes ||
      back < bytes) {
    memmove(to, from, bytes);
    return;
  }
  char *t = to;
  const char *f = from;
  size_t left = bytes;
  for (; left >= LP_MOVE_PIECE; left -= LP_MOVE_PIECE)
    memcpy(t + left - LP_MOVE_PIECE, f + left - LP_MOVE_PIECE, LP_MOVE_PIECE);
  memcpy(t, f, LP_MOVE_PIECE);
}

#endif
