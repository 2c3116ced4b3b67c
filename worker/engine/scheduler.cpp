#include "worker/engine/scheduler.h"

#include <algorithm>

#include "common/check.h"

namespace bessemer {
namespace {

std::vector<KvGroupSize> group_sizes(const Limits& limits) {
  std::vector<KvGroupSize> sizes;
  for (const KvGroup& group : limits.groups) {
    CHECK(group.retain == Retain::all);
    sizes.push_back({group.block_tokens, group.block_count});
  }
  return sizes;
}

// The rows of a request that failed like this may be the cause or the victims: others should not
// begin with them.
bool is_suspect(Fault fault) {
  return fault == Fault::numeric || fault == Fault::device;
}

// Rows to be computed before the request's choices draw: of the prompt once, and of what each has
// answered elsewhere or lost to a preemption. Nobody waits for those without credit.
int64_t backlog_of(const ActiveRequest& request) {
  if (request.is_parked()) return 0;
  int64_t sum = 0;
  for (const Sequence& s : request.choices) {
    if (s.phase == Phase::ended || s.phase == Phase::parked) continue;
    if (request.prompt_done) {
      sum += std::max(s.rows_left() - 1, 0);
    } else if (s.choice != request.leader) {
      sum += s.generated();
    } else {
      const int32_t there = request.is_started() ? s.computed : request.expected;
      sum += s.known() - std::min(s.known(), there);
    }
  }
  return sum;
}

// One row and one logit row for every slot, so that running choices never wait for a budget.
int32_t usable_slots(const Limits& limits, int32_t rows) {
  return std::min({limits.slots, rows, limits.logit_rows});
}

}  // namespace

Scheduler::Scheduler(const EngineOptions& options, const Limits& limits)
    : options_(options),
      limits_(limits),
      rows_(std::min(options.step_tokens, limits.rows)),
      logit_rows_(limits.logit_rows),
      pace_(options.stream_step, rows_),
      kv_(group_sizes(limits), {.on = options.prefix_cache,
                                .hash_domain = options.hash_domain,
                                .hash = options.block_hash}) {
  CHECK(limits.drafts == 0 && limits.steps_in_flight >= 1 && limits.max_len >= 2);
  const int32_t slots = usable_slots(limits, rows_);
  CHECK(slots >= 1);
  for (int32_t slot = slots; slot-- > 0;) free_slots_.push_back(slot);
}

Scheduler::~Scheduler() = default;

void Scheduler::emit(const ActiveRequest& request, decltype(EngineEvent::what) what) {
  events_.push_back({request.request.id, std::move(what)});
}

void Scheduler::cancel(AttemptId attempt, std::span<const int32_t> choices, TimePoint now) {
  const auto found = requests_.find(attempt);
  if (found == requests_.end()) return;
  ActiveRequest& request = *found->second;
  for (Sequence& s : request.choices) {
    const bool named = choices.empty() || std::ranges::find(choices, s.choice) != choices.end();
    if (named && s.phase != Phase::ended) end_choice(s, EndReason::cancelled, -1, now);
  }
  retire_ended();
}

void Scheduler::fail_all(Fault fault, const std::string& detail) {
  while (!requests_.empty()) fail(*requests_.begin()->second, fault, detail);
  retire_ended();
}

std::vector<EngineEvent> Scheduler::take_events() {
  std::vector<EngineEvent> events;
  events.swap(events_);
  return events;
}

// Endings.

void Scheduler::fail(ActiveRequest& request, Fault fault, const std::string& detail) {
  for (Sequence& s : request.choices) {
    if (is_suspect(fault)) kv_.forget(s.kv);
    leave_queues(s);
  }
  emit(request, Failed{fault, detail});
  end_request(request);
}

void Scheduler::end_choice(Sequence& s, EndReason reason, int32_t stop_id, TimePoint now) {
  ActiveRequest& request = *s.request;
  leave_queues(s);
  emit(request, ChoiceEnd{s.choice, reason, stop_id, s.generated()});
  if (--request.live == 0) return finish_request(request, now);
  if (!request.prompt_done && request.leader == s.choice) hand_over_prompt(request);
}

void Scheduler::finish_request(ActiveRequest& request, TimePoint now) {
  Done done;
  done.usage.prompt = request.prompt_len();
  done.usage.cached = request.found;
  done.usage.recomputed = request.recomputed;
  for (const Sequence& s : request.choices) done.usage.generated.push_back(s.generated());
  // What never happened took no time.
  const auto between = [](TimePoint from, TimePoint to) {
    return from == TimePoint::max() || to == TimePoint::max() ? 0 : microseconds(to - from);
  };
  done.timing.queued_us = between(request.arrived, std::min(request.started, now));
  done.timing.prefill_us = between(request.started, request.first_token);
  done.timing.first_token_us = between(request.arrived, request.first_token);
  done.timing.total_us = between(request.arrived, now);
  done.timing.preemptions = request.preemptions;
  emit(request, std::move(done));
  end_request(request);
}

void Scheduler::end_request(ActiveRequest& request) {
  request.live = 0;
  ++stats_.requests_finished;
  if (request.request.cache_store) {
    for (const BlockHash& hash : request.hashes) {
      const auto at = on_their_way_.find(hash.low);
      if (--at->second == 0) on_their_way_.erase(at);
    }
  }
  const auto found = requests_.find(request.request.id);
  ended_.push_back(std::move(found->second));
  requests_.erase(found);
}

void Scheduler::leave_queues(Sequence& s) {
  if (s.phase == Phase::waiting) waiting_.erase(s);
  if (s.phase == Phase::parked) parked_.erase(s);
  if (s.phase == Phase::pending) {
    pending_.erase(s);
    s.source = nullptr;
  }
  if (s.phase == Phase::running) {
    running_.erase(s);
    give_up_slot(s);
  }
  s.kv.clear();
  s.phase = Phase::ended;
}

void Scheduler::give_up_slot(Sequence& s) {
  if (--s.request->slots == 0) --running_requests_;
  closing_slots_.push_back(s.slot);
  free_slots_.push_back(s.slot);
  s.slot = -1;
  wake_followers_of(s);
}

void Scheduler::retire_ended() {
  std::erase_if(ended_, [](const auto& request) {
    return std::ranges::all_of(request->choices,
                               [](const Sequence& s) { return s.in_flight == 0; });
  });
}

// Numbers.

int64_t Scheduler::backlog_tokens() const {
  int64_t sum = 0;
  for (const auto& [id, request] : requests_) sum += backlog_of(*request);
  return sum;
}

int32_t Scheduler::waiting_requests() const {
  return static_cast<int32_t>(requests_.size()) - running_requests_ - parked_requests();
}

EngineStats Scheduler::stats() const {
  EngineStats stats = stats_;
  stats.running = running_requests_;
  stats.waiting = waiting_requests();
  stats.slots_open = static_cast<int32_t>(running_.size());
  stats.backlog_tokens = backlog_tokens();
  stats.kv_free = kv_.free_count();
  stats.kv_held = kv_.held_count();
  stats.kv_cached = kv_.cached_count();
  stats.kv_total = kv_.total();
  stats.parked = parked_requests();
  stats.work_pending =
      !(running_.empty() && waiting_.empty() && pending_.empty() && in_flight_.empty());
  return stats;
}

}  // namespace bessemer
