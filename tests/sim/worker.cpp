#include "tests/sim/worker.h"

#include <algorithm>
#include <variant>

#include "common/check.h"
#include "worker/service/frame_queue.h"

namespace bessemer::sim {

WorkerOptions worker_options(int32_t blocks) {
  WorkerOptions options;
  Limits& limits = options.limits;
  limits.slots = 256;
  limits.rows = 2048;
  limits.logit_rows = 256;
  limits.max_len = 1 << 18;
  KvGroup group;
  group.block_tokens = kBlockTokens;
  group.block_count = blocks;
  limits.groups = {group};
  options.engine.step_tokens = limits.rows;
  options.engine.stream_step = std::chrono::milliseconds(50);
  return options;
}

SimWorker::SimWorker(const WorkerOptions& options, uint64_t incarnation, Timeline& timeline)
    : options_(options),
      incarnation_(incarnation),
      timeline_(timeline),
      scheduler_(options.engine, options.limits),
      slots_(static_cast<size_t>(options.limits.slots)) {
  CHECK(options.limits.steps_in_flight == 1);  // pump() waits for the step that it launched
}

size_t SimWorker::add_router(WorkerEvents& events, bool hears_grants) {
  routers_.push_back({&events,
                      LoadWatch(options_.load_interval_ms),
                      KvWatch(scheduler_.kv().events(), incarnation_, v1::WatchKvRequest()),
                      hears_grants,
                      {},
                      {}});
  return routers_.size() - 1;
}

void SimWorker::demand(size_t router, const v1::Demand& demand) {
  ledger_.set_demand(router, demand, timeline_.now());
}

void SimWorker::start(size_t router, Offer offer) {
  routers_[router].grant.bring(offer.prompt.size());
  const AttemptId id{++last_attempt_};
  attempts_.emplace(id, Attempt{router, offer.request, offer.answer});
  Request request;
  request.id = id;
  request.prompt = std::move(offer.prompt);
  request.max_tokens = offer.answer.count;
  request.max_ttft_us = offer.max_ttft_us;
  request.sampling.seed = last_attempt_;  // names the attempt in the plan's Open
  scheduler_.add(std::move(request), timeline_.now());
  deliver();
  pump();
}

// Launches the next step, if there is something to do and none under way.
void SimWorker::pump() {
  if (busy_) return;
  auto plan = scheduler_.plan(timeline_.now());
  deliver();
  if (!plan) return;
  busy_ = true;
  const double us = step_us(options_.speed, work_of(*plan));
  timeline_.after(from_seconds(us * 1e-6),
                  [this, launched = std::move(*plan)] { finish(launched); });
}

void SimWorker::finish(const StepPlan& plan) {
  busy_ = false;
  scheduler_.commit(execute(plan), timeline_.now());
  deliver();
  report_load();
  pump();
}

// Opens the plan's slots, and counts.
StepWork SimWorker::work_of(const StepPlan& plan) {
  for (const Open& open : plan.open) {
    slots_[static_cast<size_t>(open.slot)] = {AttemptId{open.sampling.seed}, open.prompt_len, 0};
  }
  StepWork step;
  for (const Work& work : plan.work) {
    Slot& slot = slots_[static_cast<size_t>(work.slot)];
    const int64_t begin = work.begin == kAtLength ? slot.length : work.begin;
    step.rows += work.count;
    step.pairs += work.count * begin + int64_t{work.count} * work.count / 2;
    step.context += begin + work.count;
    slot.length = static_cast<int32_t>(begin) + work.count;
  }
  return step;
}

StepResult SimWorker::execute(const StepPlan& plan) {
  StepResult result;
  result.id = plan.id;
  for (const Work& work : plan.work) {
    Outcome outcome;
    if (work.want == Want::sample) {
      const Slot& slot = slots_[static_cast<size_t>(work.slot)];
      const Segment& answer = attempts_.at(slot.attempt).answer;
      const int32_t drawn = slot.length - slot.prompt;
      outcome.tokens = {static_cast<int32_t>(result.tokens.size()), 1};
      result.tokens.push_back(token_at(answer.name, answer.begin + drawn));
    }
    result.outcomes.push_back(outcome);
  }
  return result;
}

void SimWorker::deliver() {
  for (const EngineEvent& event : scheduler_.take_events()) {
    const auto at = attempts_.find(event.attempt);
    CHECK(at != attempts_.end());
    const uint64_t request = at->second.request;
    WorkerEvents& events = *routers_[at->second.router].events;
    if (const auto* yes = std::get_if<Admitted>(&event.what)) events.admitted(request, *yes);
    if (const auto* no = std::get_if<Rejected>(&event.what)) {
      events.rejected(request, reject_reason(no->reason), no->detail);
    }
    if (const auto* tokens = std::get_if<Tokens>(&event.what)) {
      events.token(request, tokens->offset, tokens->ids[0]);
    }
    if (const auto* done = std::get_if<Done>(&event.what)) events.done(request, done->usage);
    CHECK(!std::holds_alternative<Failed>(event.what));  // the device never fails here
    const size_t router = at->second.router;
    if (is_terminal(event)) attempts_.erase(at);
    renew_grant(router);
  }
}

void SimWorker::report_load() {
  const EngineStats stats = scheduler_.stats();
  for (Router& router : routers_) {
    if (!router.load.due(stats, timeline_.now())) continue;
    v1::LoadReport report;
    report.set_incarnation(incarnation_);
    *report.add_pools() = router.load.say(stats, timeline_.now());
    report.set_tokens_prefilled(stats.tokens_prefilled);
    report.set_tokens_generated(stats.tokens_generated);
    router.events->load(report);
  }
}

// As SessionCore::renew_grant.
void SimWorker::renew_grant(size_t number) {
  Router& router = routers_[number];
  const TimePoint now = timeline_.now();
  if (!router.hears_grants || now < router.next_grant) return;
  router.next_grant = now + kGrantInterval;
  const GrantLimits limits{.queue_ms = options_.queue_ms,
                           .max_waiting = options_.engine.max_waiting};
  const EngineStats stats = scheduler_.stats();
  const auto room = static_cast<int64_t>(share_of_lane(stats, 1, limits).tokens);
  if (room > 0) most_room_ = std::max(most_room_, room + stats.backlog_tokens);
  const double share = lane_share(ledger_.share_of(number, now), 1, routers_.size());
  if (router.grant.renew(share_of_lane(stats, share, limits)))
    router.events->grant(router.grant.granted());
}

void SimWorker::tick() {
  report_load();
  for (size_t router = 0; router < routers_.size(); ++router) renew_grant(router);
  for (Router& router : routers_) {
    v1::KvUpdate update;
    while (router.cache.next(update)) {
      router.events->cache(update);
      if (!router.cache.is_behind()) break;
      update.Clear();
    }
  }
}

}  // namespace bessemer::sim
