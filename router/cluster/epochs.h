// When memory that a lock-free structure has replaced may be freed: once nobody can hold it any
// more. Epoch-based reclamation (Fraser, "Practical lock-freedom", 2004): readers never wait, never
// write to a line that another reader writes, and are bounded in number; the one writer frees.
//
// Invariants
//   R1  What was reachable when a reader took its pin stays allocated until it lets go of it.
//   R2  What is retired is freed by the first collect() that finds no pin of its epoch or an older
//       one.
//
// Why it holds: all four accesses are sequentially consistent. Either the writer, having unlinked
// something, sees the pin of a reader that might hold it, or that reader took its pin after the
// unlinking and follows the new link.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "common/check.h"

namespace bessemer {

class Epochs {
 public:
  explicit Epochs(size_t readers) : pins_(readers) {}

  // Held by a reader while it reads: what it found stays there. One at a time for each reader.
  class Pin {
   public:
    Pin(const Epochs& epochs, size_t reader) : pin_(epochs.pins_.at(reader).epoch) {
      DCHECK(pin_.load(std::memory_order_relaxed) == kNone);
      pin_.store(epochs.now_.load());
    }
    ~Pin() { pin_.store(kNone, std::memory_order_release); }
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;

   private:
    std::atomic<uint64_t>& pin_;
  };

  // ---- the writer ----
  // Of something that no link leads to any more (links are stored sequentially consistent).
  void retire(std::shared_ptr<const void> garbage) {
    waiting_.push_back({now_.load(), std::move(garbage)});
  }
  // Frees what nobody can hold.
  void collect() {
    if (waiting_.empty()) return;
    const uint64_t epoch = now_.fetch_add(1) + 1;
    uint64_t oldest = epoch;
    for (const auto& pin : pins_) oldest = std::min(oldest, pin.epoch.load());
    while (!waiting_.empty() && waiting_.front().epoch < oldest) waiting_.pop_front();
  }
  size_t uncollected() const { return waiting_.size(); }

 private:
  static constexpr uint64_t kNone = UINT64_MAX;
  struct alignas(64) ReaderPin {  // a cache line each
    mutable std::atomic<uint64_t> epoch{kNone};
  };
  struct Garbage {
    uint64_t epoch;  // in which it was unlinked, at the latest
    std::shared_ptr<const void> what;
  };

  std::atomic<uint64_t> now_{0};
  std::vector<ReaderPin> pins_;
  std::deque<Garbage> waiting_;  // oldest first
};

}  // namespace bessemer
