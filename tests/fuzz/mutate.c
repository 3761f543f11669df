/* See mutate.h. */
#include "mutate.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define MAX_PARTS 64
#define TAR_BLOCK ((size_t)512)
#define MAX_UNPACKED ((size_t)1 << 20)

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

size_t mutate_plain(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  return LLVMFuzzerMutate(data, size, max_size);
}

static uint64_t get(const uint8_t *p, int n) {
  uint64_t v = 0;
  while (n-- > 0) v = v << 8 | p[n];
  return v;
}

static void set(uint8_t *p, uint64_t v, int n) {
  for (int i = 0; i < n; i++) p[i] = (uint8_t)(v >> 8 * i);
}

/* Changes the run of `length` bytes at `from` within data; the new size of all. */
static size_t mutate_run(uint8_t *data, size_t size, size_t max_size, size_t from,
                         size_t *length, Mutate *mutate, unsigned seed) {
  const size_t behind = size - from - *length, room = max_size - from - behind;
  uint8_t *copy = malloc(room + 1);
  memcpy(copy, data + from, *length);
  const size_t now = mutate(copy, *length, room, seed);
  memmove(data + from + now, data + from + *length, behind);
  memcpy(data + from, copy, now);
  free(copy);
  *length = now;
  return from + now + behind;
}

/* --- headers with their length in front
 * ------------------------------------------------------------ */

size_t mutate_safetensors(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  if (size < 8 || seed % 4 == 0) return LLVMFuzzerMutate(data, size, max_size);
  size_t length = get(data, 8) < size - 8 ? (size_t)get(data, 8) : size - 8;
  size = mutate_run(data, size, max_size, 8, &length, mutate_plain, seed);
  set(data, length, 8);
  return size;
}

size_t mutate_npy(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  const int width = size > 6 && data[6] > 1 ? 4 : 2;
  const size_t from = 8 + (size_t)width;
  if (size < from || seed % 4 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const uint64_t said = get(data + 8, width);
  size_t length = said < size - from ? (size_t)said : size - from;
  size = mutate_run(data, size, max_size, from, &length, mutate_plain, seed);
  set(data + 8, length, width);
  return size;
}

/* --- archives
 * --------------------------------------------------------------------------------------
 */

typedef struct Part {
  uint8_t *name, *data;
  size_t name_bytes, size_bytes;
  uint32_t crc, unpacked_bytes;
  uint16_t method;
} Part;

static uint8_t *copy_of(const uint8_t *data, size_t n, size_t room) {
  uint8_t *copy = malloc(n + room + 1);
  if (n) memcpy(copy, data, n);
  return copy;
}

static void free_parts(Part *parts, size_t count) {
  for (size_t i = 0; i < count; i++) free(parts[i].name), free(parts[i].data);
}

/* The members that the directory names and whose bytes are there. */
static size_t read_zip(const uint8_t *data, size_t size, Part *parts, size_t room) {
  size_t count = 0;
  for (size_t at = 0; at + 46 <= size && count < MAX_PARTS; at++) {
    const uint8_t *p = data + at;
    if (memcmp(p, "PK\1\2", 4) != 0) continue;
    const size_t name = (size_t)get(p + 28, 2), local = (size_t)get(p + 42, 4);
    if (name > size - at - 46 || local > size || size - local < 30) continue;
    const size_t before =
        30 + (size_t)get(data + local + 26, 2) + (size_t)get(data + local + 28, 2);
    size_t packed = (size_t)get(p + 20, 4);
    if (packed == UINT32_MAX) packed = (size_t)get(data + local + 30 + name + 12, 4);
    if (before > size - local || packed > size - local - before) continue;
    parts[count++] = (Part){copy_of(p + 46, name, 0),
                            copy_of(data + local + before, packed, room),
                            name,
                            packed,
                            (uint32_t)get(p + 16, 4),
                            (uint32_t)get(p + 24, 4),
                            (uint16_t)get(p + 10, 2)};
  }
  return count;
}

/* Size and checksum of what the bytes unpack to; those that do not stay as they were. */
static void settle(Part *p) {
  if (p->method == 0) {
    p->unpacked_bytes = (uint32_t)p->size_bytes;
    p->crc = (uint32_t)crc32(0, p->data, (uInt)p->size_bytes);
    return;
  }
  uint8_t *to = malloc(MAX_UNPACKED);
  z_stream z = {.next_in = p->data,
                .avail_in = (uInt)p->size_bytes,
                .next_out = to,
                .avail_out = MAX_UNPACKED};
  if (inflateInit2(&z, -MAX_WBITS) == Z_OK) {
    inflate(&z, Z_FINISH);
    p->unpacked_bytes = (uint32_t)z.total_out;
    p->crc = (uint32_t)crc32(0, to, (uInt)z.total_out);
    inflateEnd(&z);
  }
  free(to);
}

static size_t write_zip(const Part *parts, size_t count, uint8_t *out, size_t max_size) {
  size_t total = 22, at = 0;
  uint32_t places[MAX_PARTS];
  for (size_t i = 0; i < count; i++)
    total += 76 + 2 * parts[i].name_bytes + parts[i].size_bytes;
  if (total > max_size) return 0;
  for (int central = 0; central < 2; central++) {
    const size_t start = at;
    for (size_t i = 0; i < count; i++) {
      const Part *p = &parts[i];
      uint8_t *head = out + at;
      memset(head, 0, 46);
      memcpy(head, central ? "PK\1\2" : "PK\3\4", 4);
      set(head + 4, 20, 2);
      uint8_t *fields = head + (central ? 2 : 0); /* the directory has one version more */
      set(fields + 4, 20, 2);
      set(fields + 8, p->method, 2);
      set(fields + 14, p->crc, 4);
      set(fields + 18, p->size_bytes, 4);
      set(fields + 22, p->unpacked_bytes, 4);
      set(fields + 26, p->name_bytes, 2);
      if (central)
        set(head + 42, places[i], 4);
      else
        places[i] = (uint32_t)at;
      at += central ? 46 : 30;
      memcpy(out + at, p->name, p->name_bytes);
      at += p->name_bytes;
      if (!central) memcpy(out + at, p->data, p->size_bytes), at += p->size_bytes;
    }
    if (!central) continue;
    memset(out + at, 0, 22);
    memcpy(out + at, "PK\5\6", 4);
    set(out + at + 8, count, 2);
    set(out + at + 10, count, 2);
    set(out + at + 12, at - start, 4);
    set(out + at + 16, start, 4);
  }
  return at + 22;
}

/* Changes a member, the pickle more often than others, and packs anew; some of the
 * changes go to the archive's own bytes. */
static size_t mutate_members(uint8_t *data, size_t size, size_t max_size, unsigned seed,
                             Mutate *mutate) {
  Part parts[MAX_PARTS];
  const size_t room = max_size > size ? max_size - size : 0;
  const size_t count = seed % 4 ? read_zip(data, size, parts, room) : 0;
  if (!count) return LLVMFuzzerMutate(data, size, max_size);
  Part *p = &parts[seed / 4 % count];
  for (size_t i = 0; seed / 256 % 2 && i < count; i++)
    if (parts[i].name_bytes > 4 &&
        memcmp(parts[i].name + parts[i].name_bytes - 4, ".pkl", 4) == 0)
      p = &parts[i];
  p->size_bytes = mutate(p->data, p->size_bytes, p->size_bytes + room, seed / 512);
  settle(p);
  const size_t now = write_zip(parts, count, data, max_size);
  free_parts(parts, count);
  return now ? now : LLVMFuzzerMutate(data, size, max_size);
}

size_t mutate_zip(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  return mutate_members(data, size, max_size, seed, mutate_plain);
}

size_t mutate_npz(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  return mutate_members(data, size, max_size, seed, mutate_npy);
}

/* Changes a member and its size in the header before it. */
size_t mutate_tar(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  size_t heads[MAX_PARTS], lengths[MAX_PARTS], count = 0;
  for (size_t at = 0; size - at >= TAR_BLOCK && count < MAX_PARTS;) {
    char digits[13] = {0};
    memcpy(digits, data + at + 124, 12);
    const size_t length = strtoul(digits, NULL, 8);
    if (!data[at] || length > size - at - TAR_BLOCK) break;
    heads[count] = at;
    lengths[count++] = length;
    const size_t padded = (length + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    if (padded > size - at - TAR_BLOCK) break;
    at += TAR_BLOCK + padded;
  }
  if (!count || seed % 4 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const size_t i = seed / 4 % count, from = heads[i] + TAR_BLOCK;
  size_t length = lengths[i], old = length;
  char digits[16];
  uint8_t *tail = copy_of(data + from, size - from, 0);
  const size_t tail_bytes = size - from,
               skip = (old + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
  length = LLVMFuzzerMutate(data + from, length, max_size - from);
  const size_t padded = (length + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
  const size_t behind = skip < tail_bytes ? tail_bytes - skip : 0;
  size_t now = from + length;
  if (from + padded + behind <= max_size) {
    memset(data + from + length, 0, padded - length);
    memcpy(data + from + padded, tail + skip, behind);
    now = from + padded + behind;
  }
  free(tail);
  snprintf(digits, sizeof digits, "%011zo", length);
  memcpy(data + heads[i] + 124, digits, 12);
  return now;
}
