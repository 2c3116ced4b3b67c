// The attempts of one core, and who listens to them. Only on that core's thread.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/clock.h"
#include "router/upstream/delivery.h"

namespace bessemer {

class AttemptSink {
 public:
  virtual ~AttemptSink() = default;
  virtual void on_row(const TokenRow& row, TimePoint now) = 0;
  virtual void on_event(const v1::Event& event, TimePoint now) = 0;
  virtual void on_lost(const AttemptLost& lost) = 0;
  // The attempt's worker drains: it ends what it has in `grace`.
  virtual void on_drain(Duration grace) = 0;
  // Once per batch, behind all of its rows and events: the time to write.
  virtual void on_batch_end(TimePoint now) = 0;

 private:
  friend class AttemptTable;
  bool touched_ = false;
};

class AttemptTable {
 public:
  // A serial that was never used on this core.
  uint64_t add(std::shared_ptr<AttemptSink> sink) {
    sinks_.emplace(++last_serial_, std::move(sink));
    return last_serial_;
  }
  void remove(uint64_t serial) { sinks_.erase(serial); }
  // What comes of this attempt goes to `sink` from now on.
  void hand_over(uint64_t serial, std::shared_ptr<AttemptSink> sink) {
    sinks_[serial] = std::move(sink);
  }
  size_t size() const { return sinks_.size(); }

  // Calls the sinks of all batches, in order, then on_batch_end of each once: what has piled up is
  // written together. What belongs to no attempt (any more) is dropped.
  void dispatch(std::span<const CoreBatch> batches, TimePoint now);

 private:
  void dispatch(const Delivery& item, TimePoint now);

  uint64_t last_serial_ = 0;
  std::unordered_map<uint64_t, std::shared_ptr<AttemptSink>> sinks_;
  std::vector<std::shared_ptr<AttemptSink>> touched_;  // of the batches being dispatched
};

}  // namespace bessemer
