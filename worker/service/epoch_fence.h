// Which epoch of which request this worker has seen, over all lanes: makes Start idempotent and
// refuses stale epochs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "worker/engine/request.h"

namespace bessemer {

// Thread-safe. Remembers the newest `capacity` requests; what is forgotten would be accepted again,
// so the capacity must cover the requests that a router may still repeat: those of its last orphan
// and lease times.
class EpochFence {
 public:
  static constexpr size_t kCapacity =
      16384;  // about 2 MB; several minutes of requests at 64 a second

  explicit EpochFence(size_t capacity = kCapacity) : capacity_(capacity) {}

  enum class Verdict : uint8_t {
    fresh,     // this epoch was not started here, nor a later one
    repeated,  // this epoch has been started already
    stale,     // a later epoch has been started
  };
  struct Claim {
    Verdict verdict{};
    std::optional<AttemptId> replaced;  // of the epoch before, to be cancelled
  };
  // On `fresh` the epoch is now this attempt's.
  Claim claim(const std::string& request_id, uint32_t epoch, AttemptId attempt);
  // The attempt was refused after all: the same epoch may be started again.
  void release(const std::string& request_id, AttemptId attempt);
  // False: another attempt has claimed a later epoch since. A request that is forgotten is held.
  bool holds(const std::string& request_id, AttemptId attempt) const;
  // Whose this epoch of the request is, if it is the newest.
  std::optional<AttemptId> holder(const std::string& request_id, uint32_t epoch) const;
  // True: claim() would say `repeated`.
  bool knows(const std::string& request_id, uint32_t epoch) const;

 private:
  struct Entry {
    uint32_t epoch = 0;
    AttemptId attempt{};
    bool released = false;
  };
  const size_t capacity_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
  std::deque<std::string> oldest_;
};

}  // namespace bessemer
