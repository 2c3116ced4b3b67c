// Small seeded generator for tests, ties and ids (SplitMix64, Steele et al. 2014). Sampling uses
// Philox instead.
#pragma once
#include <cstdint>

namespace bessemer {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // In [0, bound); bound > 0. The bias is below 2^-32 for bounds under 2^32.
  uint64_t below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<Wide>(next()) * bound) >> 64);
  }
  // In [low, high].
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low) + 1));
  }
  // In [0, 1).
  double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  bool chance(double probability) { return uniform() < probability; }

 private:
  __extension__ using Wide = unsigned __int128;
  uint64_t state_;
};

// A seed from the operating system: for ids, never where a test must be repeatable.
uint64_t random_seed();

}  // namespace bessemer
