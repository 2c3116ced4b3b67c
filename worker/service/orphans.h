// Attempts that lost their lane: they run on for a while, and what they say is kept, so that their
// router can go on exactly where it was on another lane (Attach). Who is not taken up is cancelled.
//
// Invariants
//   O1  An attempt is either a lane's or an orphan; whichever it is, every event reaches its
//       ReplayTail once and in order, also while it changes hands.
//   O2  An orphan lives until its time is up, at most, whether it has ended or not.
//   O3  There are at most kMaxOrphans; beyond that a lost attempt is cancelled at once.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/clock.h"
#include "worker/service/hub.h"
#include "worker/service/replay_tail.h"

namespace bessemer {

struct Orphan {
  AttemptId id{};
  std::string request_id;
  uint32_t epoch = 0;
  ReplayTail tail;
};

// As many as there are epochs remembered (EpochFence): beyond it nobody could tell them apart.
constexpr size_t kMaxOrphans = 16384;

// Thread-safe. Calls the hub under its own lock, never the other way round.
class Orphans final : public EventSink, public std::enable_shared_from_this<Orphans> {
 public:
  explicit Orphans(Hub& hub) : hub_(hub) {}  // outlives this

  // Called by a lane that takes no events any more. Cancelled at `until` unless they have ended.
  void take_in(std::vector<Orphan> orphans, TimePoint until);
  // The orphan of this request and epoch, whose events go to `sink` from now on.
  std::optional<Orphan> give(const std::string& request_id, uint32_t epoch,
                             std::shared_ptr<EventSink> sink);
  void on_tick(TimePoint now);
  [[nodiscard]] std::vector<EngineEvent> deliver(StepId step,
                                                 std::span<const EngineEvent> events) override;
  size_t count() const;

 private:
  struct Entry {
    Orphan orphan;
    TimePoint until{};
  };
  using Entries = std::unordered_map<uint64_t, Entry>;  // by AttemptId
  // Nothing more of it is heard.
  Entries::iterator drop(Entries::iterator at);

  Hub& hub_;
  mutable std::mutex mutex_;
  Entries entries_;
  std::unordered_map<std::string, uint64_t> by_request_;
};

}  // namespace bessemer
