#include "worker/sampling/row.h"

#include <algorithm>
#include <cmath>

#include "worker/sampling/elementary.h"

namespace bessemer {
namespace {

// Independent partial results: enough for the compiler to fill vectors of any width, and always as
// many, so that sums do not depend on the width.
constexpr size_t kLanes = 16;

struct Extremes {
  float max = kImpossible;
  bool has_nan = false;
};

// A NaN fails every comparison, so it is looked for on its own.
[[gnu::always_inline]] inline Extremes find_extremes(std::span<const float> row) {
  float lanes[kLanes];
  uint32_t nans[kLanes] = {};
  std::fill_n(lanes, kLanes, kImpossible);
  size_t i = 0;
  for (; i + kLanes <= row.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float x = row[i + lane];
      lanes[lane] = x > lanes[lane] ? x : lanes[lane];
      nans[lane] |= x != x ? 1u : 0u;
    }
  }
  for (size_t lane = 0; i < row.size(); ++i, ++lane) {
    lanes[lane] = std::max(lanes[lane], row[i]);
    nans[lane] |= row[i] != row[i] ? 1u : 0u;
  }
  return {*std::max_element(lanes, lanes + kLanes),
          std::any_of(nans, nans + kLanes, [](uint32_t nan) { return nan != 0; })};
}

[[gnu::always_inline]] inline double sum_weights(std::span<const float> row, float max,
                                                 float scale) {
  double lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= row.size(); i += kLanes) {
    float weights[kLanes];
    for (size_t lane = 0; lane < kLanes; ++lane) {
      weights[lane] = exp_nonpositive((row[i + lane] - max) * scale);
    }
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += static_cast<double>(weights[lane]);
  }
  for (size_t lane = 0; i < row.size(); ++i, ++lane) {
    lanes[lane] += static_cast<double>(exp_nonpositive((row[i] - max) * scale));
  }
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

// The same code for wider vectors. Lanes and order are fixed and nothing is contracted, so the
// results are equal to the bit.
#if defined(__x86_64__)
__attribute__((target("avx2"))) Extremes find_extremes_avx2(std::span<const float> row) {
  return find_extremes(row);
}
__attribute__((target("avx2"))) double sum_weights_avx2(std::span<const float> row, float max,
                                                        float scale) {
  return sum_weights(row, max, scale);
}
bool has_avx2() {
  static const bool kHas = __builtin_cpu_supports("avx2");
  return kHas;
}
#else
constexpr auto find_extremes_avx2 = find_extremes;
constexpr auto sum_weights_avx2 = sum_weights;
constexpr bool has_avx2() {
  return false;
}
#endif

}  // namespace

RowMax find_max(std::span<const float> row) {
  const Extremes extremes = has_avx2() ? find_extremes_avx2(row) : find_extremes(row);
  RowMax max{extremes.max, -1, false};
  if (extremes.has_nan || !std::isfinite(max.value)) return max;
  max.id = static_cast<int32_t>(std::ranges::find(row, max.value) - row.begin());
  max.usable = true;
  return max;
}

double sum_exp(std::span<const float> row, float max, float scale) {
  return has_avx2() ? sum_weights_avx2(row, max, scale) : sum_weights(row, max, scale);
}

}  // namespace bessemer
