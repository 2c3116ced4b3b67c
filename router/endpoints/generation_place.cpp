// Which worker gets each prompt, and when.
#include <algorithm>

#include "router/endpoints/generation.h"
#include "router/endpoints/start_builder.h"

namespace bessemer {
namespace {

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

ApiError refusal_error(const PlaceRefused& refused) {
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
      error.param.reset();
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
  return input;
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

std::vector<Candidate> Generation::candidates(const Run& run, bool& supported) const {
  const ClusterView& view = *call_.core.view;
  std::vector<Candidate> found;
  supported = true;
  const auto model = view.models.find(prepared_->request.model);
  if (model == view.models.end()) return found;
  const uint64_t needed = required_feature_bits(run.start);
  bool lacking = false;
  for (const uint32_t id : model->second->workers) {
    const WorkerView& worker = view.workers[id];
    if (worker.card->card_hash() != run.start.card_hash()) continue;
    if ((worker.features & needed) != needed) {
      lacking = true;
      continue;
    }
    const LoadReading reading = worker.load->reading.load();
    Candidate one;
    one.worker = id;
    one.reading = reading;
    one.sequences = worker.load->sequences(reading);
    one.backlog_tokens = worker.load->backlog();
    one.block_tokens = static_cast<int32_t>(worker.card->block_tokens());
    found.push_back(one);
  }
  supported = !lacking || !found.empty();
  return found;
}

void Generation::place(Run& run) {
  bool supported = true;
  while (!closed_ && run.serial == 0) {
    const auto open = candidates(run, supported);
    const auto step =
        run.placement->next(open, supported, now_steady(), *call_.core.policy, call_.core.random);
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
  const Duration left = received_ + call_.router.options.request_timeout - now_steady();
  admission->set_remaining_ms(
      static_cast<uint32_t>(std::max<int64_t>(microseconds(left) / 1000, 1)));
  run.worker = place.worker;
  run.load = call_.core.view->workers[place.worker].load;
  run.serial = call_.core.attempts.add(std::shared_ptr<AttemptSink>(shared_from_this(), &run));
  run.load->own.fetch_add(prepared_->request.n, std::memory_order_relaxed);
  const AttemptKey key{static_cast<uint32_t>(call_.core.core->index()), run.serial};
  const Status status = call_.router.fleet->start(place.worker, key, std::move(start));
  if (status.ok()) return;
  retire(run);
  const std::string why(status.message());
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

void Generation::wait(Run& run, Duration delay) {
  auto& waiting = call_.router.waiting;
  if (waiting.fetch_add(1, std::memory_order_relaxed) >= call_.router.options.max_waiting) {
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
  fail(refusal_error(refused));
}

void Generation::put_back(Run& run) {
  run.placement.emplace(placement_input(run), call_.router.options.placement);
  run.bounces = 0;
  run.in_flight = false;
  window_ = --in_flight_;
  queue_.push_front(&run);
}

// The attempt of `run` is over, for whatever reason.
void Generation::retire(Run& run) {
  if (run.serial == 0) return;
  run.load->own.fetch_sub(prepared_->request.n, std::memory_order_relaxed);
  call_.core.attempts.remove(run.serial);
  run.serial = 0;
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
