// A placed prompt on its way to its worker.
#include <algorithm>
#include <utility>

#include "common/log.h"
#include "proto/features.h"
#include "router/endpoints/generation.h"

namespace bessemer {
namespace {

// As the worker would have said it.
v1::RejectReason reason_of(const Status& status) {
  if (absl::IsResourceExhausted(status)) return v1::REJECT_QUEUE_FULL;
  if (absl::IsUnimplemented(status)) return v1::REJECT_UNSUPPORTED;
  if (absl::IsInvalidArgument(status)) return v1::REJECT_TOO_LARGE;
  return v1::REJECT_DRAINING;
}

}  // namespace

v1::Start Generation::start_for(const Run& run, const PlaceOn& place, bool resumes) const {
  v1::Start start = run.start;
  start.set_epoch(place.epoch);
  auto* admission = start.mutable_admission();
  admission->set_tenant(call_.tenant->id);
  admission->set_must_queue(place.must_queue);
  admission->set_bounces(static_cast<uint32_t>(place.bounces));
  admission->set_max_est_ttft_us(place.max_est_ttft_us);
  const Duration left = deadline_ - now_steady();
  admission->set_remaining_ms(
      static_cast<uint32_t>(std::max<int64_t>(microseconds(left) / 1000, 1)));
  start.set_send_until(send_until(run, call_.core.view->workers[place.worker].features));
  if (start.send_until() != 0) start.add_required_features(static_cast<uint32_t>(Feature::credit));
  if (!resumes) return start;
  admission->set_uncharged(true);
  start.add_required_features(static_cast<uint32_t>(Feature::resume));
  start.mutable_generate()->clear_prompt_logprobs();  // they came before the first token
  run.journal->write(*start.mutable_resume());
  return start;
}

// The place at the worker is taken from here on, until retire().
void Generation::claim(Run& run, const PlaceOn& place) {
  const WorkerView& worker = call_.core.view->workers[place.worker];
  run.worker = place.worker;
  run.features = worker.features;
  run.load = worker.load;
  // What has no output yet begins anew with every worker that it comes to.
  if (!run.resuming) run.numerics = worker.card->numerics();
  if (run.numerics != worker.card->numerics()) call_.core.stats.foreign_numerics.add();
  run.serial = call_.core.attempts.add(std::shared_ptr<AttemptSink>(shared_from_this(), &run));
  run.load->own.fetch_add(prepared_->request.n, std::memory_order_relaxed);
  run.to_admit = true;
  run.alone = place.alone;
  if (run.alone) run.load->exclusive.fetch_add(1, std::memory_order_relaxed);
  run.recorded = record_attempt(run, place);
  run.route->claim(run.load, place, call_.core.routing);
}

void Generation::start_on(Run& run, const PlaceOn& place) {
  call_.core.stats.bounces.add(
      static_cast<uint64_t>(place.bounces - std::exchange(run.bounces, place.bounces)));
  v1::Start start = start_for(run, place, run.resuming);
  claim(run, place);
  run.credit = start.send_until();
  if (log().should_log(LogLevel::debug)) {
    log().debug("{} prompt {}: {}", answer_id_, run.prompt,
                run.route->explain(call_.core.view->workers[place.worker].address));
  }
  if (send(place, run.serial, run.recorded, std::move(start), *run.placement)) return;
  retire(run);
}

// False: the lane has not taken it, and `placement` knows why.
bool Generation::send(const PlaceOn& place, uint64_t serial, size_t recorded, v1::Start start,
                      Placement& placement) {
  start.set_traceparent(call_.record->traceparent_of(recorded));
  const Status status = call_.router.fleet->start(place.worker, key_of(serial), std::move(start));
  if (status.ok()) return true;
  const std::string why(status.message());
  call_.record->problem(recorded, why);
  placement.rejected(reason_of(status), why, 0);
  return false;
}

size_t Generation::record_attempt(const Run& run, const PlaceOn& place) {
  AttemptRecord attempt;
  attempt.worker = call_.core.view->workers[place.worker].address;
  attempt.decision = choice_reason_name(place.choice.reason);
  attempt.epoch = place.epoch;
  if (call_.record->head().trace) attempt.span = new_span_id(call_.core.random);
  attempt.begin = now_steady();
  attempt.prompt_tokens = static_cast<int64_t>(prepared_->prompts[run.prompt].ids.size());
  attempt.matched_tokens = place.matched_tokens;
  return call_.record->begin_attempt(std::move(attempt));
}

}  // namespace bessemer
