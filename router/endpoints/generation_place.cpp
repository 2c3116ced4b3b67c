// Which worker gets each prompt, and when.
#include <algorithm>

#include "common/log.h"
#include "router/endpoints/generation.h"
#include "router/endpoints/refused_param.h"
#include "router/endpoints/start_builder.h"

namespace bessemer {
namespace {

// Of the header that explains them: some twenty prompts, well within what clients take.
constexpr size_t kMaxDecisionBytes = 4096;

TimePoint now_steady() {
  return std::chrono::steady_clock::now();
}

std::string random_bytes(Random& random) {
  std::string bytes;
  for (int i = 0; i < 2; i++) {
    const uint64_t word = random.next();
    bytes.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
  return bytes;
}

ApiError refusal_error(const PlaceRefused& refused, ApiKind kind) {
  switch (refused.kind) {
    case RefusalKind::no_worker:
      return unavailable("No worker can serve this request now: " + refused.detail + ".",
                         refused.retry_after_ms);
    case RefusalKind::overloaded:
      return overloaded("All workers are busy: " + refused.detail + ".", refused.retry_after_ms);
    case RefusalKind::unsupported: {
      ApiError error = bad_request("This request cannot be served: " + refused.detail + ".", "",
                                   "unsupported_parameter");
      error.param.reset();
      return error;
    }
    case RefusalKind::impossible: {
      ApiError error = bad_request("The worker refused the request: " + refused.detail + ".", "");
      error.param = refused_param(refused.detail, kind);
      return error;
    }
    case RefusalKind::failed:
      return server_error("The worker failed: " + refused.detail + ".");
  }
  return server_error(refused.detail);
}

}  // namespace

PlacementInput Generation::placement_input(const Run& run) const {
  PlacementInput input;
  input.prompt_tokens = static_cast<int64_t>(prepared_->prompts[run.prompt].ids.size());
  input.choices = prepared_->request.n;
  input.prefix = run.route->beginning();
  input.session = session();
  input.last_worker = call_.router.sessions.worker_of(input.session);
  return input;
}

void Generation::begin_placement(Run& run) {
  PlacementLimits limits = call_.router.options.placement;
  limits.max_queue = call_.core.settings.max_queue;
  run.placement.emplace(placement_input(run), limits);
}

// What ties this request to others of its conversation, as far as the client says it.
uint64_t Generation::session() const {
  const ValidRequest& request = prepared_->request;
  return session_key(request.cache_salt,
                     request.prompt_cache_key.empty() ? request.user : request.prompt_cache_key);
}

// Places as many of the waiting prompts as the window has room for.
void Generation::launch() {
  while (!closed_ && in_flight_ < window_ && !queue_.empty()) {
    Run& run = *queue_.front();
    queue_.pop_front();
    run.in_flight = true;
    in_flight_++;
    run.start = build_start(*prepared_, run.prompt, seed_, random_bytes(call_.core.random));
    place(run);
  }
}

// Those of the model's workers that a placement looks at: a shortlist where they are many, all of
// them once somebody has refused or nobody of the list could.
std::vector<Candidate> Generation::candidates(const Run& run, bool& supported) {
  const auto model = call_.core.view->models.find(prepared_->request.model);
  supported = true;
  if (model == call_.core.view->models.end()) return {};
  const std::span<const uint32_t> all = model->second->workers;
  if (run.placement->is_first()) {
    auto found = able(run, call_.core.look.shortlist(all, call_.core.random), supported);
    if (!found.empty()) return found;
  }
  return able(run, all, supported);
}

// `supported`: false when none of them has the features that the prompt needs.
std::vector<Candidate> Generation::able(const Run& run, std::span<const uint32_t> ids,
                                        bool& supported) const {
  const uint64_t needed = required_feature_bits(run.start);
  std::vector<Candidate> found;
  bool lacking = false;
  for (const uint32_t id : ids) {
    const WorkerView& worker = call_.core.view->workers[id];
    if (worker.card->card_hash() != run.start.card_hash()) continue;
    if ((worker.features & needed) != needed) {
      lacking = true;
    } else {
      found.push_back(candidate(worker));
    }
  }
  supported = !lacking || !found.empty();
  return found;
}

Candidate Generation::candidate(const WorkerView& worker) const {
  Candidate one;
  one.worker = worker.id;
  one.reading = worker.load->reading.load();
  one.sequences = worker.load->sequences(one.reading);
  one.backlog_tokens = worker.load->backlog();
  one.block_tokens = static_cast<int32_t>(worker.card->block_tokens());
  one.matched_tokens = int64_t{call_.core.look.blocks(worker.id)} * one.block_tokens;
  return one;
}

PlacementStep Generation::decide(Run& run) {
  const TimePoint begun = now_steady();
  bool supported = true;
  PrefixLook& look = call_.core.look;
  look.ask(*call_.router.kv_index, *call_.router.kv_pledged, call_.core.core->index(),
           run.route->chain());
  const auto open = candidates(run, supported);
  run.route->note_best(int64_t{look.most_blocks()} * prepared_->model->card->block_tokens());
  auto step = run.placement->next(open, supported, begun, *call_.core.policy, call_.core.random);
  call_.core.routing.decision.observe(std::chrono::duration<double>(now_steady() - begun).count());
  return step;
}

void Generation::place(Run& run) {
  while (!closed_ && run.serial == 0) {
    const auto step = decide(run);
    if (const auto* place = std::get_if<PlaceOn>(&step)) {
      start_on(run, *place);
    } else if (const auto* later = std::get_if<PlaceLater>(&step)) {
      return wait(run, later->delay);
    } else {
      return refuse(run, std::get<PlaceRefused>(step));
    }
  }
}

void Generation::start_on(Run& run, const PlaceOn& place) {
  v1::Start start = run.start;
  start.set_epoch(place.epoch);
  call_.core.stats.bounces.add(
      static_cast<uint64_t>(place.bounces - std::exchange(run.bounces, place.bounces)));
  auto* admission = start.mutable_admission();
  admission->set_must_queue(place.must_queue);
  admission->set_bounces(static_cast<uint32_t>(place.bounces));
  admission->set_max_est_ttft_us(place.max_est_ttft_us);
  const Duration left = deadline_ - now_steady();
  admission->set_remaining_ms(
      static_cast<uint32_t>(std::max<int64_t>(microseconds(left) / 1000, 1)));
  run.worker = place.worker;
  run.load = call_.core.view->workers[place.worker].load;
  run.serial = call_.core.attempts.add(std::shared_ptr<AttemptSink>(shared_from_this(), &run));
  run.load->own.fetch_add(prepared_->request.n, std::memory_order_relaxed);
  run.recorded = record_attempt(run, place);
  start.set_traceparent(call_.record->traceparent_of(run.recorded));
  run.route->claim(run.load, place, call_.core.routing);
  if (log().should_log(LogLevel::debug)) {
    log().debug("{} prompt {}: {}", answer_id_, run.prompt,
                run.route->explain(call_.core.view->workers[place.worker].address));
  }
  const AttemptKey key{static_cast<uint32_t>(call_.core.core->index()), run.serial};
  const Status status = call_.router.fleet->start(place.worker, key, std::move(start));
  if (status.ok()) return;
  const std::string why(status.message());
  call_.record->problem(run.recorded, why);
  retire(run);
  if (absl::IsResourceExhausted(status)) {
    run.placement->rejected(v1::REJECT_QUEUE_FULL, why, 0);
  } else if (absl::IsUnimplemented(status)) {
    run.placement->rejected(v1::REJECT_UNSUPPORTED, why, 0);
  } else if (absl::IsInvalidArgument(status)) {
    run.placement->rejected(v1::REJECT_TOO_LARGE, why, 0);
  } else {
    run.placement->rejected(v1::REJECT_DRAINING, why, 0);
  }
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

void Generation::wait(Run& run, Duration delay) {
  auto& waiting = call_.router.waiting;
  if (waiting.fetch_add(1, std::memory_order_relaxed) >= call_.core.settings.max_waiting) {
    waiting.fetch_sub(1, std::memory_order_relaxed);
    return refuse(run, {RefusalKind::overloaded, "as many requests wait as may", 1000});
  }
  call_.core.core->after(delay, [self = shared_from_this(), &run] {
    self->call_.router.waiting.fetch_sub(1, std::memory_order_relaxed);
    if (!self->closed_) self->place(run);
  });
}

// Where others of this request are in flight, their ends make the room that was not there now.
void Generation::refuse(Run& run, const PlaceRefused& refused) {
  const bool others = in_flight_ > 1;
  if (refused.kind == RefusalKind::overloaded && others) return put_back(run);
  fail(refusal_error(refused, prepared_->request.kind));
}

void Generation::put_back(Run& run) {
  begin_placement(run);
  run.bounces = 0;
  run.in_flight = false;
  window_ = --in_flight_;
  queue_.push_front(&run);
}

// The attempt of `run` is over, for whatever reason.
void Generation::retire(Run& run) {
  if (run.serial == 0) return;
  run.load->own.fetch_sub(prepared_->request.n, std::memory_order_relaxed);
  run.route->release();
  call_.core.attempts.remove(run.serial);
  call_.record->end_attempt(run.recorded, now_steady());
  run.serial = 0;
}

// Of the prompts' last choices, for whoever asks for them (kDecisionHeader).
std::string Generation::decisions() const {
  std::string text;
  for (const auto& run : runs_) {
    if (run->load == nullptr || text.size() > kMaxDecisionBytes) continue;
    if (!text.empty()) text += ", ";
    text += run->route->explain(call_.core.view->workers[run->worker].address);
  }
  return text;
}

// The worker has given all that is wanted of the prompt.
void Generation::complete(Run& run) {
  retire(run);
  run.start = v1::Start();
  run.in_flight = false;
  in_flight_--;
  window_ = std::min(window_ + 1, most_in_flight());
}

}  // namespace bessemer
