/* Random generators: PyTorch's CPU generator (mt19937) and its streams. */
#ifndef LAMPAD_RANDOM_H
#define LAMPAD_RANDOM_H

#include "lampad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

LP_API LpGenerator *lp_generator_new(uint64_t seed); /* owned */
LP_API LpGenerator *lp_generator_retain(LpGenerator *g);
LP_API void lp_generator_release(LpGenerator *g);
LP_API LpGenerator *lp_default_generator(void); /* borrowed; seeded 67280421310721 as PyTorch's default */
LP_API void lp_generator_seed(LpGenerator *g, uint64_t seed);
/* Seeds from the system's entropy and returns the seed: torch.seed(). */
LP_API uint64_t lp_generator_seed_random(LpGenerator *g);
LP_API uint64_t lp_generator_initial_seed(const LpGenerator *g);
/* PyTorch's 5056-byte state (torch.get_rng_state), byte for byte. */
#define LP_GENERATOR_STATE_BYTES 5056
LP_API void lp_generator_get_state(const LpGenerator *g, uint8_t *state);
LP_API bool lp_generator_set_state(LpGenerator *g, const uint8_t *state, size_t size_bytes);

#ifdef __cplusplus
}
#endif
#endif
