#include "worker/service/hub.h"

#include <utility>

#include "common/check.h"

namespace bessemer {
namespace {

uint64_t key(AttemptId attempt) {
  return static_cast<uint64_t>(attempt);
}

// An attempt changes hands by a frame each time, so within one pass hardly ever twice. More than
// this is a sink that gives back what is its own.
constexpr int kMostHands = 10'000;

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

// A route outlives its attempt's last event until that has arrived: on its way a sink may have
// handed the attempt on.
void Hub::deliver(StepId step, std::vector<EngineEvent> events) {
  std::vector<uint64_t> over;
  for (const EngineEvent& event : events) {
    if (is_terminal(event)) over.push_back(key(event.attempt));
  }
  for (int hands = 0; !events.empty(); ++hands) {
    CHECK(hands < kMostHands);
    events = deliver_once(step, std::move(events));
  }
  std::lock_guard lock(mutex_);
  for (const uint64_t attempt : over) routes_.erase(attempt);
}

std::vector<EngineEvent> Hub::deliver_once(StepId step, std::vector<EngineEvent> events) {
  std::vector<Parcel> parcels;
  {
    std::lock_guard lock(mutex_);
    for (EngineEvent& event : events) {
      const auto route = routes_.find(key(event.attempt));
      if (route == routes_.end() || route->second == nullptr) continue;
      events_for(parcels, route->second).push_back(std::move(event));
    }
  }
  std::vector<EngineEvent> given_back;
  for (const Parcel& parcel : parcels) {
    for (EngineEvent& event : parcel.sink->deliver(step, parcel.events)) {
      given_back.push_back(std::move(event));
    }
  }
  return given_back;
}

void Hub::reroute(AttemptId attempt, std::shared_ptr<EventSink> sink) {
  std::lock_guard lock(mutex_);
  const auto route = routes_.find(key(attempt));
  if (route != routes_.end()) route->second = std::move(sink);
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

std::shared_ptr<EventSink> Hub::sink_of(AttemptId attempt) const {
  std::lock_guard lock(mutex_);
  const auto route = routes_.find(key(attempt));
  return route == routes_.end() ? nullptr : route->second;
}

size_t Hub::alive() const {
  std::lock_guard lock(mutex_);
  return routes_.size();
}

}  // namespace bessemer
