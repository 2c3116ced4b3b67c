// Random rows of logits for the sampler's tests.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

#include "common/random.h"
#include "worker/sampling/row.h"

namespace bessemer {

// Sums of uniforms spread to about +-`spread`; with `ties` values are rounded so that many are
// equal; some are -inf.
inline std::vector<float> random_row(Random& random, size_t size, double spread, bool ties,
                                     double impossible) {
  std::vector<float> row(size);
  for (float& x : row) {
    double value = (random.uniform() + random.uniform() + random.uniform() - 1.5) * spread;
    if (ties) value = std::round(value);
    x = random.chance(impossible) ? kImpossible : static_cast<float>(value);
  }
  row[random.below(size)] = 1.0f;  // never all impossible
  return row;
}

}  // namespace bessemer
