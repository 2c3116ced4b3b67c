#include "worker/service/epoch_fence.h"

namespace bessemer {

EpochFence::Claim EpochFence::claim(const std::string& request_id, uint32_t epoch,
                                    AttemptId attempt) {
  std::lock_guard lock(mutex_);
  const auto [at, inserted] = entries_.try_emplace(request_id, Entry{epoch, attempt});
  if (inserted) {
    oldest_.push_back(request_id);
    if (oldest_.size() <= capacity_) return {Verdict::fresh, std::nullopt};
    entries_.erase(oldest_.front());
    oldest_.pop_front();
    return {Verdict::fresh, std::nullopt};
  }
  Entry& entry = at->second;
  if (epoch < entry.epoch) return {Verdict::stale, std::nullopt};
  if (epoch == entry.epoch && !entry.released) return {Verdict::repeated, std::nullopt};
  const std::optional<AttemptId> replaced =
      entry.released ? std::nullopt : std::optional(entry.attempt);
  entry = {epoch, attempt};
  return {Verdict::fresh, replaced};
}

void EpochFence::release(const std::string& request_id, AttemptId attempt) {
  std::lock_guard lock(mutex_);
  const auto at = entries_.find(request_id);
  if (at != entries_.end() && at->second.attempt == attempt) at->second.released = true;
}

bool EpochFence::holds(const std::string& request_id, AttemptId attempt) const {
  std::lock_guard lock(mutex_);
  const auto at = entries_.find(request_id);
  return at == entries_.end() || at->second.attempt == attempt;
}

std::optional<AttemptId> EpochFence::holder(const std::string& request_id, uint32_t epoch) const {
  std::lock_guard lock(mutex_);
  const auto at = entries_.find(request_id);
  if (at == entries_.end() || at->second.epoch != epoch || at->second.released) return std::nullopt;
  return at->second.attempt;
}

bool EpochFence::knows(const std::string& request_id, uint32_t epoch) const {
  return holder(request_id, epoch).has_value();
}

}  // namespace bessemer
