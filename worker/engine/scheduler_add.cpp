// Scheduler::add: what a request is told as it comes, and where its choices begin.
#include <algorithm>

#include <fmt/format.h>

#include "common/check.h"
#include "worker/engine/admission.h"
#include "worker/engine/scheduler.h"

namespace bessemer {

std::optional<Rejected> Scheduler::refusal_of(const Request& request) const {
  if (draining_) return Rejected{RejectReason::draining, "the worker is draining"};
  if (auto refusal = find_refusal(request, limits_)) return refusal;
  const int32_t waiting = waiting_requests(), parked = parked_requests();
  if (waiting >= options_.max_waiting) {
    return Rejected{RejectReason::queue_full,
                    std::to_string(waiting) + " requests are waiting, the limit of max_waiting"};
  }
  if (parked < options_.max_parked) return std::nullopt;
  return Rejected{
      RejectReason::queue_full,
      std::to_string(parked) + " requests wait for their receivers, the limit of max_parked"};
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
  const int64_t estimate = prefill_us(stats_, backlog_tokens() + rows);
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
  if (r.request.send_until > 0) r.send_until = r.request.send_until;
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
  line_up(*heir);
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

}  // namespace bessemer
