// The draw: an exponential race. Token i finishes after Exponential(1) / p_i, the first to finish
// is drawn; as logarithms, the largest logit_i - ln(E_i) wins (Gumbel-max). E_i comes from Philox
// keyed by (seed, choice, position, token id), so the winner depends neither on which tokens lost
// nor on batch, threads, ranks or device. Ties go to the lowest id.
//
// E_i = -ln(u_i), u_i = (40 bits + 1/2) / 2^40. The upper 8 bits are token i's byte of one Philox
// block that 16 tokens share, the lower 32 a word of a block of its own. The byte alone bounds E_i
// from below, which is enough to rule out nearly every token of a vocabulary: one block per 16
// tokens instead of one each, and hardly a logarithm.
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

// -ln(E_i), Gumbel distributed, at most kMaxGumbel.
double gumbel(NoiseKey key, int32_t id);
constexpr double kMaxGumbel = 28.42;  // E >= 2^-41, and 41 ln(2) = 28.419

// Id of the winner over the whole row at `temperature`; `max` = find_max(row), usable.
int32_t race_row(std::span<const float> row, const RowMax& max, float temperature, NoiseKey key);
// Id of the winner among candidates whose logits are already divided by the temperature; not empty,
// any order.
int32_t race(std::span<const TokenCandidate> candidates, NoiseKey key);

}  // namespace bessemer
