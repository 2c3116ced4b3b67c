#include "worker/sampling/race.h"

#include <algorithm>
#include <bit>

#include "worker/sampling/elementary.h"

namespace bessemer {
namespace {

constexpr double kLn2 = 0.693147180559945309417;

// At least gumbel(bits), without a logarithm: E = -ln(u) >= 1 - u > 2^-(z + 1), z the leading ones
// of `bits`; the margin covers the rounding of gumbel() itself.
double gumbel_bound(uint32_t bits) {
  return (std::countl_one(bits) + 1) * kLn2 + 1e-6;
}

class Winner {
 public:
  void offer(double logit, int32_t id, uint32_t bits) {
    if (logit + gumbel_bound(bits) < score_) return;
    const double score = logit + gumbel(bits);
    if (score > score_ || (score == score_ && id < id_) || id_ < 0) {
      score_ = score;
      id_ = id;
    }
  }
  // No noise can lift this logit to the best score.
  bool beyond(double logit) const { return logit + kMaxGumbel < score_; }
  int32_t id() const { return id_; }

 private:
  double score_ = -std::numeric_limits<double>::infinity();
  int32_t id_ = -1;
};

uint32_t bits_of(NoiseKey key, int32_t id) {
  const uint32_t token = static_cast<uint32_t>(id);
  return noise_bits(key, token / 4)[token % 4];
}

}  // namespace

double gumbel(uint32_t bits) {
  const double u = (static_cast<double>(bits) + 0.5) * 0x1.0p-32;
  return -log_positive(-log_positive(u));
}

int32_t race_row(std::span<const float> row, const RowMax& max, float temperature, NoiseKey key) {
  const float inverse = 1.0f / temperature;
  const auto scaled = [&](size_t i) { return (row[i] - max.value) * inverse; };
  Winner winner;
  winner.offer(0, max.id,
               bits_of(key, max.id));  // a good first score: most tokens are then beyond hope
  for (size_t at = 0; at < row.size(); at += 4) {
    const size_t end = std::min(at + 4, row.size());
    float best = scaled(at);
    for (size_t i = at + 1; i < end; ++i) best = std::max(best, scaled(i));
    if (winner.beyond(static_cast<double>(best))) continue;
    const PhiloxCounter bits = noise_bits(key, static_cast<uint32_t>(at / 4));
    for (size_t i = at; i < end; ++i) {
      winner.offer(static_cast<double>(scaled(i)), static_cast<int32_t>(i), bits[i - at]);
    }
  }
  return winner.id();
}

int32_t race(std::span<const Candidate> candidates, NoiseKey key) {
  Winner winner;
  for (const Candidate& candidate : candidates) {
    const double logit = static_cast<double>(candidate.logit);
    if (winner.beyond(logit)) continue;
    winner.offer(logit, candidate.id, bits_of(key, candidate.id));
  }
  return winner.id();
}

}  // namespace bessemer
