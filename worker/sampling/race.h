// The draw: an exponential race. Token i finishes after Exponential(1) / p_i, the first to finish
// is drawn; as logarithms, the largest logit_i - ln(E_i) wins (Gumbel-max). E_i comes from Philox
// keyed by (seed, choice, position, token id), so the winner depends neither on which tokens lost
// nor on batch, threads, ranks or device. Ties go to the lowest id.
#pragma once
#include <cstdint>
#include <span>

#include "worker/sampling/philox.h"
#include "worker/sampling/row.h"

namespace bessemer {

// Names the draw: everything but the token id.
struct NoiseKey {
  uint64_t seed = 0;
  uint32_t choice = 0;
  uint32_t position = 0;
};

// 32 random bits each for tokens 4 * group ... 4 * group + 3. The last counter word names the
// purpose; 0 is the race.
constexpr PhiloxCounter noise_bits(NoiseKey key, uint32_t group) {
  return philox4x32({group, key.position, key.choice, 0},
                    {static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32)});
}
// -ln(E) with E = -ln((bits + 1/2) / 2^32): between -3.2 and kMaxGumbel.
double gumbel(uint32_t bits);
constexpr double kMaxGumbel = 22.88;  // E >= 2^-33, and 33 ln(2) = 22.874

// Id of the winner over the whole row at `temperature`; `max` = find_max(row), usable.
int32_t race_row(std::span<const float> row, const RowMax& max, float temperature, NoiseKey key);
// Id of the winner among candidates whose logits are already divided by the temperature; not empty,
// any order.
int32_t race(std::span<const Candidate> candidates, NoiseKey key);

}  // namespace bessemer
