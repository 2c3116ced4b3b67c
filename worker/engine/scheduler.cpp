#include "worker/engine/scheduler.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/check.h"
#include "worker/engine/admission.h"

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
// answered elsewhere or lost to a preemption.
int64_t backlog_of(const ActiveRequest& request) {
  int64_t sum = 0;
  for (const Sequence& s : request.choices) {
    if (s.phase == Phase::ended) continue;
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

std::optional<Rejected> Scheduler::refusal_of(const Request& request) const {
  if (draining_) return Rejected{RejectReason::draining, "the worker is draining"};
  if (auto refusal = find_refusal(request, limits_)) return refusal;
  const int32_t waiting = waiting_requests();
  if (waiting < options_.max_waiting) return std::nullopt;
  return Rejected{RejectReason::queue_full,
                  std::to_string(waiting) + " requests are waiting, the limit of max_waiting"};
}

void Scheduler::add(Request request, TimePoint now) {
  if (auto refusal = refusal_of(request)) {
    events_.push_back({request.id, std::move(*refusal)});
    return;
  }
  CHECK(!requests_.contains(request.id));
  auto active = make_active(std::move(request), now);
  ActiveRequest& r = *active;
  int32_t found = 0;
  int64_t rows = 0;  // that it will have to compute
  if (const Sequence* leader = heir_of(r)) {
    found = rows_of(find_prefix(*leader));
    const int32_t expected = std::max(found, rows_on_their_way(r, found));
    r.expected = std::min(expected, r.prompt_len());
    rows = r.prompt_len() + leader->generated() - expected;
  }
  const int64_t estimate = estimate_us(backlog_tokens() + rows);
  if (r.request.max_ttft_us > 0 && estimate > r.request.max_ttft_us) {
    return emit(r, Rejected{RejectReason::too_slow,
                            fmt::format("the first token is expected in {} us, more than the {} us "
                                        "asked for",
                                        estimate, r.request.max_ttft_us),
                            std::min(found, r.prompt_len()), estimate});
  }
  emit(r,
       Admitted{waiting_requests(), backlog_tokens(), std::min(found, r.prompt_len()), estimate});
  if (r.request.cache_store) {
    for (const BlockHash& hash : r.hashes) ++on_their_way_[hash.low];
  }
  next_deadline_ = std::min(next_deadline_, r.request.deadline);
  requests_.emplace(r.request.id, std::move(active));
  begin(r, now);
}

std::unique_ptr<ActiveRequest> Scheduler::make_active(Request request, TimePoint now) {
  auto active = std::make_unique<ActiveRequest>();
  ActiveRequest& r = *active;
  r.request = std::move(request);
  r.request.max_tokens = output_limit(r.request, limits_);
  r.order = ++arrivals_;
  r.arrived = now;
  r.live = r.request.n;
  r.choices.resize(static_cast<size_t>(r.request.n));
  for (int32_t choice = 0; choice < r.request.n; ++choice) {
    Sequence& s = r.choices[static_cast<size_t>(choice)];
    s.request = &r;
    s.choice = choice;
    s.kv = kv_.make_table();
    s.told.resize(limits_.groups.size());
  }
  for (size_t i = 0; i < r.request.resumed.size(); ++i) take_up(r.choices[i], r.request.resumed[i]);
  r.request.resumed.clear();
  if (kv_.caches()) r.hashes = kv_.hashes_of(r.request.cache_root, r.request.prompt);
  return active;
}

// All of its history but the last row has been computed elsewhere, so computing it here is waste.
void Scheduler::take_up(Sequence& s, Resumed& before) {
  s.output = std::move(before.ids);
  s.high_water = s.known() - 1;
  if (!before.ended) return;
  s.phase = Phase::ended;
  --s.request->live;
}

// Resumed choices may have nothing left but to say so.
void Scheduler::begin(ActiveRequest& request, TimePoint now) {
  for (Sequence& s : request.choices) {
    if (s.phase == Phase::ended || !s.is_full()) continue;
    s.phase = Phase::ended;
    --request.live;
    emit(request, ChoiceEnd{s.choice, EndReason::length, -1, s.generated()});
  }
  if (request.live > 0) return hand_over_prompt(request);
  finish_request(request, now);
  retire_ended();
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

// Who computes the prompt for those that follow: the one that goes on soonest.
Sequence* Scheduler::heir_of(ActiveRequest& request) {
  Sequence* heir = nullptr;
  for (Sequence& s : request.choices) {
    if (s.phase != Phase::following) continue;
    if (heir == nullptr || s.output.size() < heir->output.size()) heir = &s;
  }
  return heir;
}

// Nobody computes the prompt yet, or who did is gone before it was done: the next one begins anew.
void Scheduler::hand_over_prompt(ActiveRequest& request) {
  Sequence* heir = heir_of(request);
  CHECK(heir != nullptr);
  request.leader = heir->choice;
  request.score_next = request.scored;
  heir->phase = Phase::waiting;
  waiting_.insert(*heir);
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

// Of a prompt whose first `found` rows are cached: what those who came before it will have left in
// the cache when its turn comes. A guess by hashes: it moves numbers and nothing else.
int32_t Scheduler::rows_on_their_way(const ActiveRequest& request, int32_t found) const {
  if (request.hashes.empty()) return found;
  auto block = static_cast<size_t>(found / kv_.block_tokens());
  while (block < request.hashes.size() && on_their_way_.contains(request.hashes[block].low))
    ++block;
  return static_cast<int32_t>(block) * kv_.block_tokens();
}

// Until so many prompt tokens are computed; 0: not known yet.
int64_t Scheduler::estimate_us(int64_t rows) const {
  if (stats_.prefill_tokens_per_s <= 0) return 0;
  return static_cast<int64_t>(1e6 * static_cast<double>(rows) / stats_.prefill_tokens_per_s);
}

int32_t Scheduler::waiting_requests() const {
  return static_cast<int32_t>(requests_.size()) - running_requests_;
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
  stats.work_pending = has_requests();
  return stats;
}

}  // namespace bessemer
