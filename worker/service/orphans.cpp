#include "worker/service/orphans.h"

#include <utility>

namespace bessemer {
namespace {

uint64_t key(AttemptId attempt) {
  return static_cast<uint64_t>(attempt);
}

}  // namespace

void Orphans::take_in(std::vector<Orphan> orphans, TimePoint until) {
  std::lock_guard lock(mutex_);
  for (Orphan& orphan : orphans) {
    const AttemptId id = orphan.id;
    // Of two epochs of a request the newer stays, in whichever order they come.
    const auto other = by_request_.find(orphan.request_id);
    const auto entry = other == by_request_.end() ? entries_.end() : entries_.find(other->second);
    const bool outdated = entry != entries_.end() && entry->second.orphan.epoch > orphan.epoch;
    if (outdated || entries_.size() >= kMaxOrphans) {
      hub_.cancel(id, {});
      hub_.reroute(id, nullptr);
      continue;
    }
    if (entry != entries_.end()) {
      hub_.cancel(entry->second.orphan.id, {});
      drop(entry);
    }
    by_request_[orphan.request_id] = key(id);
    entries_.emplace(key(id), Entry{std::move(orphan), until});
    hub_.reroute(id, shared_from_this());
  }
}

std::optional<Orphan> Orphans::give(const std::string& request_id, uint32_t epoch,
                                    std::shared_ptr<EventSink> sink) {
  std::lock_guard lock(mutex_);
  const auto named = by_request_.find(request_id);
  if (named == by_request_.end()) return std::nullopt;
  const auto at = entries_.find(named->second);
  if (at->second.orphan.epoch != epoch) return std::nullopt;
  Orphan orphan = std::move(at->second.orphan);
  entries_.erase(at);
  by_request_.erase(named);
  hub_.reroute(orphan.id, std::move(sink));
  return orphan;
}

void Orphans::on_tick(TimePoint now) {
  std::lock_guard lock(mutex_);
  for (auto at = entries_.begin(); at != entries_.end();) {
    if (now < at->second.until) {
      ++at;
      continue;
    }
    if (!at->second.orphan.tail.is_over()) hub_.cancel(at->second.orphan.id, {});
    at = drop(at);
  }
}

Orphans::Entries::iterator Orphans::drop(Entries::iterator at) {
  hub_.reroute(at->second.orphan.id, nullptr);
  by_request_.erase(at->second.orphan.request_id);
  return entries_.erase(at);
}

std::vector<EngineEvent> Orphans::deliver(StepId, std::span<const EngineEvent> events) {
  std::vector<EngineEvent> of_others;
  std::lock_guard lock(mutex_);
  for (const EngineEvent& event : events) {
    const auto at = entries_.find(key(event.attempt));
    if (at == entries_.end()) {
      of_others.push_back(event);
    } else if (std::holds_alternative<Rejected>(event.what)) {
      drop(at);  // it never ran: to be started again, here or elsewhere
    } else {
      at->second.orphan.tail.note(event);
    }
  }
  return of_others;
}

size_t Orphans::count() const {
  std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace bessemer
