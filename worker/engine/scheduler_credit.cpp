// The scheduler's use of credit: who waits for its receiver, and what it keeps meanwhile.
#include <algorithm>

#include "common/check.h"
#include "worker/engine/scheduler.h"

namespace bessemer {

void Scheduler::credit(AttemptId attempt, int32_t send_until) {
  const auto found = requests_.find(attempt);
  if (found == requests_.end()) return;
  ActiveRequest& request = *found->second;
  request.send_until = std::max(request.send_until, send_until);
  for (Sequence& s : request.choices) {
    if (s.phase == Phase::parked && s.has_credit()) unpark(s);
  }
}

// A choice that has no slot: it waits for one, or for credit first.
void Scheduler::line_up(Sequence& s) {
  s.phase = s.has_credit() ? Phase::waiting : Phase::parked;
  (s.has_credit() ? waiting_ : parked_).insert(s);
}

// Its last token that has credit has come back, so no Work of it is in flight.
void Scheduler::park(Sequence& s) {
  CHECK(s.in_flight == 0);
  if (s.phase == Phase::running) {
    running_.erase(s);
    give_up_slot(s);
  } else {
    CHECK(s.phase == Phase::waiting);  // it was preempted while that token was drawn
    waiting_.erase(s);
  }
  s.phase = Phase::parked;
  parked_.insert(s);
}

void Scheduler::unpark(Sequence& s) {
  parked_.erase(s);
  line_up(s);
}

Sequence* Scheduler::last_holder(const SequenceQueue& queue) {
  for (size_t i = queue.size(); i-- > 0;) {
    if (!queue[i].kv.empty()) return &queue[i];
  }
  return nullptr;
}

// Whoever reads slowly loses its blocks before anybody who could use them.
bool Scheduler::take_from_parked() {
  Sequence* holder = last_holder(parked_);
  if (holder != nullptr) preempt(*holder);
  return holder != nullptr;
}

int32_t Scheduler::parked_requests() const {
  if (parked_.empty()) return 0;
  return static_cast<int32_t>(std::ranges::count_if(
      requests_, [](const auto& entry) { return entry.second->is_parked(); }));
}

}  // namespace bessemer
