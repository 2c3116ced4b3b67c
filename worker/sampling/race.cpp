#include "worker/sampling/race.h"

#include <algorithm>
#include <array>

#include "worker/sampling/elementary.h"

namespace bessemer {
namespace {

constexpr size_t kGroup = 16;  // tokens whose bytes one block holds
// The last word of the counter says what the block is for.
constexpr uint32_t kFine = 0, kCoarse = 1;

PhiloxCounter block(NoiseKey key, uint32_t index, uint32_t purpose) {
  return philox4x32({index, key.position, key.choice, purpose},
                    {static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32)});
}

// One byte for each of tokens kGroup * index ...
PhiloxCounter coarse_block(NoiseKey key, size_t index) {
  return block(key, static_cast<uint32_t>(index), kCoarse);
}
uint32_t coarse_byte(const PhiloxCounter& coarse, size_t token) {
  return coarse[token % kGroup / 4] >> (token % 4 * 8) & 0xff;
}

double gumbel_of(NoiseKey key, int32_t id, uint32_t byte) {
  const uint32_t fine = block(key, static_cast<uint32_t>(id), kFine)[0];
  const uint64_t bits = uint64_t{byte} << 32 | fine;
  const double u = (static_cast<double>(bits) + 0.5) * 0x1.0p-40;
  return -log_positive(-log_positive(u));
}

// At least gumbel_of() for every token with this byte; the margin covers rounding.
double gumbel_bound(uint32_t byte) {
  static const std::array<double, 256> kBounds = [] {
    std::array<double, 256> bounds{};
    for (size_t i = 0; i < 255; ++i) {
      bounds[i] = -log_positive(-log_positive(static_cast<double>(i + 1) / 256)) + 1e-6;
    }
    bounds[255] = kMaxGumbel;
    return bounds;
  }();
  return kBounds[byte];
}

bool has_byte_255(uint32_t word) {
  return (((word & 0x7f7f7f7f) + 0x01010101) & word & 0x80808080) != 0;
}
bool has_byte_255(const PhiloxCounter& words) {
  return std::any_of(words.begin(), words.end(), [](uint32_t word) { return has_byte_255(word); });
}

// A tree of maxima, which a compiler may vectorise where it may not reorder a chain.
float max_of_group(std::span<const float> group) {
  if (group.size() < kGroup) return *std::ranges::max_element(group);
  float best[kGroup / 2];
  for (size_t i = 0; i < kGroup / 2; ++i) {
    best[i] = std::max(group[i], group[i + kGroup / 2]);
  }
  for (size_t half = kGroup / 4; half > 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) best[i] = std::max(best[i], best[i + half]);
  }
  return best[0];
}

class Winner {
 public:
  explicit Winner(NoiseKey key) : key_(key) {}

  void offer(double logit, int32_t id, uint32_t byte) {
    if (logit + gumbel_bound(byte) < score_) return;
    const double score = logit + gumbel_of(key_, id, byte);
    if (score > score_ || (score == score_ && id < id_) || id_ < 0) {
      score_ = score;
      id_ = id;
    }
  }
  // No token of this logit, or of a smaller one, can win with a byte up to `byte`.
  bool is_beyond(double logit, uint32_t byte) const { return logit + gumbel_bound(byte) < score_; }
  int32_t id() const { return id_; }

 private:
  const NoiseKey key_;
  double score_ = -std::numeric_limits<double>::infinity();
  int32_t id_ = -1;
};

}  // namespace

double gumbel(NoiseKey key, int32_t id) {
  const size_t token = static_cast<size_t>(id);
  return gumbel_of(key, id, coarse_byte(coarse_block(key, token / kGroup), token));
}

int32_t race_row(std::span<const float> row, const RowMax& max, float temperature, NoiseKey key) {
  const float inverse = 1.0f / temperature;
  Winner winner(key);
  const size_t leader =
      static_cast<size_t>(max.id);  // a good first score: most are then beyond hope
  winner.offer(0, max.id, coarse_byte(coarse_block(key, leader / kGroup), leader));
  for (size_t at = 0; at < row.size(); at += kGroup) {
    const std::span<const float> group = row.subspan(at, std::min(kGroup, row.size() - at));
    const double best = static_cast<double>((max_of_group(group) - max.value) * inverse);
    if (winner.is_beyond(best, 255)) continue;
    const PhiloxCounter coarse = coarse_block(key, at / kGroup);
    if (winner.is_beyond(best, 254) && !has_byte_255(coarse)) continue;
    for (size_t i = 0; i < group.size(); ++i) {
      winner.offer(static_cast<double>((group[i] - max.value) * inverse),
                   static_cast<int32_t>(at + i), coarse_byte(coarse, at + i));
    }
  }
  return winner.id();
}

int32_t race(std::span<const TokenCandidate> candidates, NoiseKey key) {
  Winner winner(key);
  for (const TokenCandidate& candidate : candidates) {
    const double logit = static_cast<double>(candidate.logit);
    if (winner.is_beyond(logit, 255)) continue;
    const size_t token = static_cast<size_t>(candidate.id);
    winner.offer(logit, candidate.id, coarse_byte(coarse_block(key, token / kGroup), token));
  }
  return winner.id();
}

}  // namespace bessemer
