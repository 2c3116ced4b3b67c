// Which worker gets each prompt, and when.
#include <algorithm>
#include <utility>

#include "router/endpoints/generation.h"
#include "router/endpoints/refused_param.h"
#include "router/endpoints/start_builder.h"

namespace bessemer {
namespace {

// Of the header that explains them: some twenty prompts, well within what clients take.
constexpr size_t kMaxDecisionBytes = 4096;

// New work lets resumes go first for five seconds at most.
constexpr Duration kYield = std::chrono::milliseconds(20);
constexpr int32_t kMaxYields = 250;

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
    case RefusalKind::poison:
      return server_error(
          "Workers crashed while they computed this request, which is not tried "
          "again: " +
              refused.detail + ".",
          false);
  }
  return server_error(refused.detail);
}

}  // namespace

PlacementInput Generation::placement_input(const Run& run) const {
  PlacementInput input;
  input.prompt_tokens = static_cast<int64_t>(prepared_->prompts[run.prompt].ids.size());
  input.choices = prepared_->request.n;
  input.max_tokens = prepared_->prompts[run.prompt].max_tokens;
  input.prefix = run.route->beginning();
  input.session = session();
  input.last_worker = call_.router.sessions.worker_of(input.session);
  return input;
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
    run.journal.emplace(call_.router.journals, run.choices.size(),
                        prepared_->prompts[run.prompt].ids.size());
    if (!run.journal->kept()) call_.core.stats.journals_given_up.add();
    place(run);
  }
}

// Those of the model's workers that a placement looks at: a shortlist where they are many, all of
// them once somebody has refused or nobody of the list could. A resumed prompt is tied to its card,
// not to the one that most workers of the name have by now.
std::vector<Candidate> Generation::candidates(const Run& run, bool resumes, bool& supported) {
  supported = true;
  if (resumes) return able(run, resumes, workers_of_card(run), supported);
  const auto model = call_.core.view->models.find(prepared_->request.model);
  if (model == call_.core.view->models.end()) return {};
  const std::span<const uint32_t> all = model->second->workers;
  if (run.placement->is_first()) {
    auto found = able(run, resumes, call_.core.look.shortlist(all, call_.core.random), supported);
    if (!found.empty()) return found;
  }
  return able(run, resumes, all, supported);
}

std::vector<uint32_t> Generation::workers_of_card(const Run& run) const {
  std::vector<uint32_t> ids;
  for (const WorkerView& worker : call_.core.view->workers) {
    if (worker.state == WorkerState::ready && worker.card->card_hash() == run.start.card_hash())
      ids.push_back(worker.id);
  }
  return ids;
}

// `supported`: false when none of them has the features that the prompt needs.
std::vector<Candidate> Generation::able(const Run& run, bool resumes, std::span<const uint32_t> ids,
                                        bool& supported) const {
  uint64_t needed = required_feature_bits(run.start);
  if (resumes) needed |= feature_bit(Feature::resume);
  std::vector<Candidate> found;
  bool lacking = false;
  for (const uint32_t id : ids) {
    const WorkerView& worker = call_.core.view->workers[id];
    if (worker.card->card_hash() != run.start.card_hash()) continue;
    if ((worker.features & needed) != needed) {
      lacking = true;
    } else if (worker.load->exclusive.load(std::memory_order_relaxed) == 0) {
      found.push_back(candidate(run, resumes, worker));
    }
  }
  supported = !lacking || !found.empty();
  return found;
}

Candidate Generation::candidate(const Run& run, bool resumes, const WorkerView& worker) const {
  Candidate one;
  one.worker = worker.id;
  one.reading = worker.load->reading.load();
  one.sequences = worker.load->sequences(one.reading);
  one.backlog_tokens = worker.load->backlog();
  one.block_tokens = static_cast<int32_t>(worker.card->block_tokens());
  one.matched_tokens = int64_t{call_.core.look.blocks(worker.id)} * one.block_tokens;
  one.incarnation = worker.incarnation;
  one.has_room = worker.load->has_room.load(std::memory_order_relaxed);
  one.same_numerics = !resumes || worker.card->numerics() == run.numerics;
  return one;
}

PlacementStep Generation::decide(Run& run, Placement& placement, bool resumes) {
  const TimePoint begun = now_steady();
  bool supported = true;
  PrefixLook& look = call_.core.look;
  look.ask(*call_.router.kv_index, *call_.router.kv_pledged, call_.core.core->index(),
           run.route->chain());
  const auto open = candidates(run, resumes, supported);
  auto step = placement.next(open, supported, begun, *call_.core.policy, call_.core.random);
  call_.core.routing.decision.observe(std::chrono::duration<double>(now_steady() - begun).count());
  return step;
}

void Generation::place(Run& run) {
  // Who has been waiting for a place before goes first; not for ever, or new work would starve.
  if (!run.resuming && call_.core.pacer.anyone_waits() && run.yields++ < kMaxYields)
    return wait(run, kYield);
  if (!may_pass(run)) return;
  while (!closed_ && run.serial == 0) {
    const auto step = decide(run, *run.placement, run.resuming);
    run.route->note_best(int64_t{call_.core.look.most_blocks()} *
                         prepared_->model->card->block_tokens());
    if (const auto* place = std::get_if<PlaceOn>(&step)) {
      start_on(run, *place);
      if (run.serial != 0) note_placed(run);
    } else if (const auto* later = std::get_if<PlaceLater>(&step)) {
      if (run.resuming) return wait(run, later->delay);
      if (!stand_in_line(run, true)) return;
    } else {
      return refuse(run, std::get<PlaceRefused>(step));
    }
  }
}

// A resume is never refused for want of room: there are no more of them than live requests.
void Generation::wait(Run& run, Duration delay) {
  if (run.placement->suspect()) leave_pacer(run);  // others need not wait for an idle worker
  call_.router.resumes_waiting.fetch_add(1, std::memory_order_relaxed);
  call_.core.core->after(delay, [self = shared_from_this(), &run] {
    self->call_.router.resumes_waiting.fetch_sub(1, std::memory_order_relaxed);
    if (!self->closed_) self->place(run);
  });
}

// Where others of this request are in flight, their ends make the room that was not there now.
void Generation::refuse(Run& run, const PlaceRefused& refused) {
  if (refused.kind == RefusalKind::poison) call_.core.stats.poisoned.add();
  if (run.resuming) {
    return fail(
        server_error("The worker was lost in the middle of the answer, and no other could "
                     "take over: " +
                         refused.detail + ".",
                     refused.kind != RefusalKind::poison));
  }
  const bool others = in_flight_ > 1;
  if (refused.kind == RefusalKind::overloaded && others) return put_back(run);
  fail(refusal_error(refused, prepared_->request.kind));
}

void Generation::put_back(Run& run) {
  leave_line(run);
  run.placement.emplace(placement_input(run), call_.router.options.placement);
  run.bounces = 0;
  run.journal.reset();
  run.in_flight = false;
  window_ = --in_flight_;
  queue_.push_front(&run);
}

// The attempt of `run` is over, for whatever reason.
void Generation::retire(Run& run) {
  if (run.serial == 0) return;
  run.load->own.fetch_sub(prepared_->request.n, std::memory_order_relaxed);
  if (std::exchange(run.alone, false)) run.load->exclusive.fetch_sub(1, std::memory_order_relaxed);
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
  leave_pacer(run);
  end_move(run);
  run.start = v1::Start();
  run.journal.reset();
  run.in_flight = false;
  in_flight_--;
  window_ = std::min(window_ + 1, most_in_flight());
  // Room in a worker that does not say so by itself.
  call_.router.gate.wake(now_steady());
}

}  // namespace bessemer
