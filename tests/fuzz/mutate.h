/* Changing the inputs of formats.c along the grain of their format: a member's bytes or a
 * header change, and the lengths and checksums around them are made right again, so that
 * what lies behind the first checks is tried too. Owned by mutate.c. */
#ifndef FUZZ_MUTATE_H
#define FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* As LLVMFuzzerCustomMutator: changes data in place, within max_size; the new size. */
typedef size_t Mutate(uint8_t *data, size_t size, size_t max_size, unsigned seed);

Mutate mutate_plain, mutate_zip, mutate_npz, mutate_tar, mutate_safetensors, mutate_npy;

#endif
