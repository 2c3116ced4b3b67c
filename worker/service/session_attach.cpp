// SessionCore: attempts that outlive their lane, from the one that is lost to the one that goes on.
#include <utility>

#include <fmt/format.h>

#include "worker/service/session_core.h"

namespace bessemer {

// What had not been submitted yet was never run: it may be started again under its epoch.
std::vector<Orphan> SessionCore::take_orphans() {
  std::vector<Orphan> orphans;
  for (auto& [handle, attempt] : attempts_) {
    if (attempt.assembling) {
      fence_.release(attempt.request_id, attempt.id);
    } else {
      orphans.push_back({attempt.id, attempt.request_id, attempt.epoch, std::move(attempt.tail)});
    }
  }
  attempts_.clear();
  handles_.clear();
  assembling_bytes_ = 0;
  return orphans;
}

std::optional<Orphan> SessionCore::give_up(AttemptId attempt) {
  const auto handle = handles_.find(static_cast<uint64_t>(attempt));
  if (handle == handles_.end()) return std::nullopt;
  const auto at = attempts_.find(handle->second);
  Attempt& mine = at->second;
  if (mine.assembling) return std::nullopt;
  Orphan orphan{mine.id, mine.request_id, mine.epoch, std::move(mine.tail)};
  drop(at);
  return orphan;
}

void SessionCore::on_attach(const v1::Attach& attach, TimePoint now) {
  const uint64_t handle = attach.attempt();
  if (handle <= last_handle_) {
    return close(absl::InvalidArgumentError(
        fmt::format("handle {} does not rise: {} was used", handle, last_handle_)));
  }
  last_handle_ = handle;
  if (attempts_.size() >= static_cast<size_t>(limits_.max_attempts)) {
    return reject(handle,
                  {v1::REJECT_QUEUE_FULL,
                   fmt::format("{} attempts are alive on this lane", attempts_.size())},
                  now);
  }
  std::optional<Orphan> orphan = host_.adopt(attach.request_id(), attach.epoch());
  if (!orphan) {
    return reject(handle,
                  {v1::REJECT_NOT_FOUND,
                   "no orphan of this request and epoch is kept: start it again, with resume"},
                  now);
  }
  if (!fence_.holds(orphan->request_id, orphan->id)) {
    host_.abandon(orphan->id);
    return reject(handle, {v1::REJECT_STALE_EPOCH, "a later epoch of this request was started"},
                  now);
  }
  const std::vector<uint32_t> offsets(attach.next_offset().begin(), attach.next_offset().end());
  const auto missed = orphan->tail.since(offsets, orphan->id);
  if (!missed) {
    host_.abandon(orphan->id);
    return reject(handle,
                  {v1::REJECT_NOT_FOUND,
                   "what came behind these offsets is kept no longer: start it again, with resume"},
                  now);
  }
  go_on(handle, std::move(*orphan), attach, *missed, now);
}

void SessionCore::go_on(uint64_t handle, Orphan orphan, const v1::Attach& attach,
                        const std::vector<EngineEvent>& missed, TimePoint now) {
  Attempt attempt;
  attempt.id = orphan.id;
  attempt.request_id = std::move(orphan.request_id);
  attempt.epoch = orphan.epoch;
  attempt.choices = static_cast<int32_t>(orphan.tail.choices());
  attempt.tail = std::move(orphan.tail);
  // A choice that the router has given up, and whose Cancel was lost with the lane.
  std::vector<int32_t> unwanted;
  for (int32_t choice = 0; choice < attempt.choices; ++choice) {
    const bool is_heard = attach.next_offset(choice) == kEndHeard;
    if (is_heard && !attempt.tail.has_ended(static_cast<size_t>(choice)))
      unwanted.push_back(choice);
  }
  if (!unwanted.empty()) host_.cancel(attempt.id, unwanted);
  handles_.emplace(static_cast<uint64_t>(attempt.id), handle);
  const auto at = attempts_.emplace(handle, std::move(attempt)).first;
  say(at, {at->second.id, Admitted{}}, now);
  for (const EngineEvent& event : missed) say(at, event, now);
  if (at->second.tail.is_over()) drop(at);
}

}  // namespace bessemer
