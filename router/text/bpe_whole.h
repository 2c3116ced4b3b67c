// Which tokens are the encoding of their own text, so that a piece that spells one needs no
// merging.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace bessemer {

// Nearly all tokens are, but a file's merges need not lead to every one. Found out when a token is
// first met: to try all of them when a model is loaded would cost more than most prompts. Any
// thread; a race is harmless, both sides store the same.
class WholeTokens {
 public:
  explicit WholeTokens(int32_t tokens)
      : states_(std::make_unique<std::atomic<State>[]>(static_cast<size_t>(tokens))) {}

  // merge(std::vector<int32_t>& ids) appends what merging the token's text gives.
  template <typename Merge>
  bool test(int32_t id, const Merge& merge) const {
    std::atomic<State>& state = states_[static_cast<size_t>(id)];
    State known = state.load(std::memory_order_relaxed);
    if (known == State::unknown) {
      std::vector<int32_t> ids;
      merge(ids);
      known = ids.size() == 1 && ids[0] == id ? State::yes : State::no;
      state.store(known, std::memory_order_relaxed);
    }
    return known == State::yes;
  }

 private:
  enum class State : uint8_t { unknown, yes, no };
  std::unique_ptr<std::atomic<State>[]> states_;
};

}  // namespace bessemer
