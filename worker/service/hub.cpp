#include "worker/service/hub.h"

#include <utility>

namespace bessemer {
namespace {

uint64_t key(AttemptId attempt) {
  return static_cast<uint64_t>(attempt);
}

// The events of one lane; a worker has a handful of lanes, so a list beats a map.
struct Parcel {
  std::shared_ptr<EventSink> sink;
  std::vector<EngineEvent> events;
};

std::vector<EngineEvent>& events_for(std::vector<Parcel>& parcels,
                                     const std::shared_ptr<EventSink>& sink) {
  for (Parcel& parcel : parcels) {
    if (parcel.sink == sink) return parcel.events;
  }
  parcels.push_back({sink, {}});
  return parcels.back().events;
}

}  // namespace

void Hub::deliver(StepId step, std::vector<EngineEvent> events) {
  std::vector<Parcel> parcels;
  {
    std::lock_guard lock(mutex_);
    for (EngineEvent& event : events) {
      const auto route = routes_.find(key(event.attempt));
      if (route == routes_.end()) continue;
      const std::shared_ptr<EventSink> sink = route->second;
      if (is_terminal(event)) routes_.erase(route);
      if (sink) events_for(parcels, sink).push_back(std::move(event));
    }
  }
  for (const Parcel& parcel : parcels) parcel.sink->deliver(step, parcel.events);
}

bool Hub::submit(Request request, std::shared_ptr<EventSink> sink) {
  const uint64_t id = key(request.id);
  {
    std::lock_guard lock(mutex_);
    routes_.emplace(id, std::move(sink));  // first: its events may come before submit() returns
  }
  if (engine_->submit(std::move(request))) return true;
  std::lock_guard lock(mutex_);
  routes_.erase(id);
  return false;
}

void Hub::drain() {
  draining_.store(true, std::memory_order_release);
  engine_->drain();
}

void Hub::orphan(const std::vector<AttemptId>& attempts, TimePoint until) {
  std::lock_guard lock(mutex_);
  for (const AttemptId attempt : attempts) {
    const auto route = routes_.find(key(attempt));
    if (route == routes_.end()) continue;
    route->second = nullptr;
    orphans_.emplace(until, attempt);
  }
}

void Hub::on_tick(TimePoint now) {
  std::vector<AttemptId> due;
  {
    std::lock_guard lock(mutex_);
    const auto end = orphans_.upper_bound(now);
    for (auto at = orphans_.begin(); at != end; ++at) {
      if (routes_.contains(key(at->second))) due.push_back(at->second);
    }
    orphans_.erase(orphans_.begin(), end);
  }
  for (const AttemptId attempt : due) engine_->cancel(attempt);
}

size_t Hub::alive() const {
  std::lock_guard lock(mutex_);
  return routes_.size();
}

}  // namespace bessemer
