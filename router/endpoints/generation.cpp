#include "router/endpoints/generation.h"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

#include "common/log.h"
#include "router/endpoints/start_builder.h"

namespace bessemer {
namespace {

TimePoint now_steady() {
  return std::chrono::steady_clock::now();
}

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// Tokens that may merge for a client that lags; beyond it they become frames, and those are bounded
// by the connection.
constexpr int32_t kMaxHeldTokens = 4096;

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

void Generation::run(ApiKind kind, EndpointCall call) {
  std::make_shared<Generation>(std::move(call))->begin(kind);
}

Generation::Generation(EndpointCall call)
    : call_(std::move(call)), received_(call_.exchange->request().received) {}

// ---- in ----

void Generation::begin(ApiKind kind) {
  Exchange& exchange = *call_.exchange;
  exchange.set_deadline(received_ + call_.router.options.request_timeout);
  exchange.on_abort([weak = weak_from_this()](Abort reason) {
    if (const auto self = weak.lock()) self->on_abort(reason);
  });
  exchange.on_writable([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->pump();
  });
  answer_id_ = fmt::format("{}-{:016x}{:016x}", kind == ApiKind::chat ? "chatcmpl" : "cmpl",
                           call_.core.random.next(), call_.core.random.next());
  const ClusterViewPtr view = call_.core.view;
  if (exchange.request().body.size() > call_.router.options.pool_body_bytes)
    return prepare_in_pool(kind, view);
  PrepareResult result = bessemer::prepare(kind, exchange.request().body, *view);
  exchange.request().body = std::string();
  exchange.request().body_lease = BodyLease();
  prepared(std::move(result));
}

void Generation::prepare_in_pool(ApiKind kind, ClusterViewPtr view) {
  HttpRequest& request = call_.exchange->request();
  auto task = [self = shared_from_this(), kind, view = std::move(view),
               body = std::move(request.body), lease = std::move(request.body_lease)]() mutable {
    auto result = std::make_unique<PrepareResult>(bessemer::prepare(kind, body, *view));
    body = std::string();
    lease = BodyLease();
    // The last reference must not die here: the exchange belongs to its core.
    Core* core = self->call_.core.core;
    core->post([self = std::move(self), result = std::move(result)]() mutable {
      self->prepared(std::move(*result));
    });
  };
  if (!call_.router.pool->submit(std::move(task))) {
    fail(overloaded("Too many long prompts are being read at once.", 1000));
  }
}

void Generation::prepared(PrepareResult result) {
  if (closed_) return;
  if (const auto* error = std::get_if<ApiError>(&result)) return fail(*error);
  prepared_ = std::move(std::get<PreparedRequest>(result));
  make_runs();
  for (size_t i = 0; i < runs_.size() && !closed_; i++) place(*runs_[i]);
}

void Generation::make_runs() {
  const ValidRequest& request = prepared_->request;
  AnswerHead head;
  head.id = answer_id_;
  head.created = std::time(nullptr);
  head.model = request.model;
  head.choices = static_cast<int32_t>(prepared_->prompts.size()) * request.n;
  const uint64_t seed = request.sampling.seed.value_or(call_.core.random.next());
  for (size_t i = 0; i < prepared_->prompts.size(); i++) {
    const auto tokens = static_cast<int64_t>(prepared_->prompts[i].ids.size());
    head.prompt_tokens += tokens;
    if (request.return_token_ids) head.prompt_ids.push_back(prepared_->prompts[i].ids);
    auto run = std::make_unique<Run>(*this, i, PlacementInput{tokens, request.n},
                                     call_.router.options.placement);
    run->start = build_start(*prepared_, i, seed, random_bytes(call_.core.random));
    reset_choices(*run);
    runs_.push_back(std::move(run));
  }
  head.system_fingerprint = "fp_" + prepared_->model->card->card_hash().substr(0, 12);
  finish_sent_.assign(static_cast<size_t>(head.choices), false);
  answer_ = make_answer(request, std::move(head));
  call_.core.stats.prompt_tokens.add(static_cast<uint64_t>(usage().prompt_tokens));
}

void Generation::reset_choices(Run& run) {
  const int32_t n = prepared_->request.n;
  run.choices.clear();
  run.prompt_scores.clear();
  run.prompt_characters = 0;
  run.stopped.assign(static_cast<size_t>(n), false);
  run.scores_delivered = run.admitted = false;
  for (int32_t j = 0; j < n; j++) {
    run.choices.emplace_back(*prepared_, run.prompt, static_cast<int32_t>(run.prompt) * n + j);
  }
}

// ---- place ----

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
    found.push_back({id, reading, worker.load->sequences(reading)});
  }
  supported = !lacking || !found.empty();
  return found;
}

void Generation::place(Run& run) {
  bool supported = true;
  while (!closed_ && run.serial == 0) {
    const auto open = candidates(run, supported);
    const auto step =
        run.placement.next(open, supported, now_steady(), *call_.core.policy, call_.core.random);
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
    run.placement.rejected(v1::REJECT_QUEUE_FULL, why, 0);
  } else if (absl::IsUnimplemented(status)) {
    run.placement.rejected(v1::REJECT_UNSUPPORTED, why, 0);
  } else if (absl::IsInvalidArgument(status)) {
    run.placement.rejected(v1::REJECT_TOO_LARGE, why, 0);
  } else {
    run.placement.rejected(v1::REJECT_DRAINING, why, 0);
  }
}

void Generation::wait(Run& run, Duration delay) {
  auto& waiting = call_.router.waiting;
  if (waiting.fetch_add(1, std::memory_order_relaxed) >= call_.router.options.max_waiting) {
    waiting.fetch_sub(1, std::memory_order_relaxed);
    return fail(overloaded("All workers are busy, and as many requests wait as may.", 1000));
  }
  call_.core.core->after(delay, [self = shared_from_this(), &run] {
    self->call_.router.waiting.fetch_sub(1, std::memory_order_relaxed);
    if (!self->closed_) self->place(run);
  });
}

void Generation::refuse(const Run&, const PlaceRefused& refused) {
  fail(refusal_error(refused));
}

// The attempt of `run` is over, for whatever reason.
void Generation::retire(Run& run) {
  if (run.serial == 0) return;
  run.load->own.fetch_sub(prepared_->request.n, std::memory_order_relaxed);
  call_.core.attempts.remove(run.serial);
  run.serial = 0;
}

// ---- back ----

void Generation::admit(Run& run) {
  run.admitted = true;
}

bool Generation::all_admitted() const {
  return std::all_of(runs_.begin(), runs_.end(), [](const auto& run) { return run->admitted; });
}

void Generation::begin_stream() {
  streaming_ = true;
  StreamHead head;
  head.headers = {{"cache-control", "no-cache"}, {"x-accel-buffering", "no"}};
  call_.exchange->begin_stream(std::move(head));
  call_.exchange->write(answer_->begin());
}

void Generation::on_row(Run& run, const TokenRow& row, TimePoint now) {
  if (closed_) return;
  if (!run.admitted) admit(run);
  deliver_scores(run);
  CoreStats& stats = call_.core.stats;
  if (!first_token_seen_) {
    first_token_seen_ = true;
    stats.ttft.observe(seconds(now - received_));
  } else if (run.last_row != TimePoint{}) {
    stats.inter_token.observe(seconds(now - run.last_row));
  }
  run.last_row = now;
  ChoiceStream& choice = run.choices[static_cast<size_t>(row.choice)];
  const int64_t before = choice.generated();
  choice.push(row.ids, row.logprobs);
  const int64_t kept = choice.generated() - before;
  stats.generated_tokens.add(static_cast<uint64_t>(kept));
  if (choice.finished()) {
    stats.discarded_tokens.add(row.ids.size() -
                               std::min(static_cast<size_t>(kept), row.ids.size()));
    stop_finished(run);
  }
}

// A stop string ended a choice that the worker still works on.
void Generation::stop_finished(Run& run) {
  if (run.serial == 0) return;
  const AttemptKey key{static_cast<uint32_t>(call_.core.core->index()), run.serial};
  const bool all = std::all_of(run.choices.begin(), run.choices.end(),
                               [](const auto& one) { return one.finished(); });
  if (all) {
    call_.router.fleet->cancel(run.worker, key, {});
    run.done = true;
    return retire(run);
  }
  std::vector<uint32_t> finished;
  for (uint32_t j = 0; j < run.choices.size(); j++) {
    if (run.choices[j].finished() && !run.stopped[j]) {
      finished.push_back(j);
      run.stopped[j] = true;
    }
  }
  if (!finished.empty()) call_.router.fleet->cancel(run.worker, key, finished);
}

void Generation::on_event(Run& run, const v1::Event& event, TimePoint) {
  if (closed_) return;
  switch (event.what_case()) {
    case v1::Event::kAdmitted:
      run.cached_tokens = event.admitted().matched_tokens();
      return admit(run);
    case v1::Event::kRejected:
      return on_rejected(run, event.rejected());
    case v1::Event::kPromptLogprobs:
      return on_prompt_logprobs(run, event.prompt_logprobs());
    case v1::Event::kChoiceEnd:
      return on_choice_end(run, event.choice_end());
    case v1::Event::kDone:
      run.cached_tokens = event.done().usage().cached();
      run.done = true;
      return retire(run);
    case v1::Event::kFailed:
      return on_failed(run, event.failed());
    default:
      return;  // progress; a kind of event that is newer than this router
  }
}

void Generation::on_choice_end(Run& run, const v1::ChoiceEnd& end) {
  ChoiceStream& choice = run.choices[end.choice()];
  if (choice.finished()) return;
  if (!run.admitted) admit(run);
  if (end.reason() == v1::END_CANCELLED)
    return fail(server_error("The worker cancelled the request."));
  deliver_scores(run);
  const int64_t before = choice.generated();
  choice.end(end);
  call_.core.stats.generated_tokens.add(static_cast<uint64_t>(choice.generated() - before));
}

void Generation::on_prompt_logprobs(Run& run, const v1::PromptLogprobs& scores) {
  const ValidRequest& request = prepared_->request;
  const Tokenizer& tokenizer = *prepared_->model->text->tokenizer;
  const auto& ids = prepared_->prompts[run.prompt].ids;
  const int32_t top = std::max(request.prompt_logprobs, request.echo ? request.top_logprobs : -1);
  const auto add = [&](TokenReport report) {
    const auto length = characters(report.chosen.bytes);
    run.prompt_scores.push_back(std::move(report));
    run.prompt_characters += length;
  };
  while (run.prompt_scores.size() < scores.first() && run.prompt_scores.size() < ids.size()) {
    add(bare_report(ids[run.prompt_scores.size()], tokenizer, run.prompt_characters));
  }
  for (const auto& token : scores.tokens()) {
    if (token.ids_size() == 0 || token.ids_size() != token.values_size() ||
        run.prompt_scores.size() >= ids.size())
      break;
    add(make_report(token, tokenizer, top, run.prompt_characters));
  }
}

// Once, in front of the first output of the prompt's choices.
void Generation::deliver_scores(Run& run) {
  if (run.scores_delivered) return;
  run.scores_delivered = true;
  const ValidRequest& request = prepared_->request;
  if (run.prompt_scores.empty()) return;
  if (request.prompt_logprobs >= 0) {
    answer_->prompt_logprobs(static_cast<int32_t>(run.prompt), run.prompt_scores);
  }
  if (!request.echo || request.top_logprobs < 0) return;
  for (auto& report : run.prompt_scores) {
    if (report.top.size() > static_cast<size_t>(request.top_logprobs))
      report.top.resize(static_cast<size_t>(request.top_logprobs));
  }
  for (auto& choice : run.choices) choice.echo(run.prompt_scores);
}

void Generation::on_rejected(Run& run, const v1::Rejected& rejected) {
  retire(run);
  call_.core.stats.bounces.add();
  log().debug("worker {} refused {}: {}", run.worker, answer_id_, rejected.detail());
  run.placement.rejected(rejected.reason(), rejected.detail(), rejected.retry_after_ms());
  place(run);
}

void Generation::on_failed(Run& run, const v1::Failed& failed) {
  retire(run);
  if (failed.elsewhere() && !run.delivered) {
    call_.core.stats.replaced.add();
    run.placement.lost(failed.detail());
    reset_choices(run);
    return place(run);
  }
  fail(server_error("The worker failed: " + failed.detail() + "."));
}

void Generation::on_lost(Run& run, const std::string& reason) {
  if (closed_) return;
  log().warn("{} lost worker {}: {}", answer_id_, run.worker, reason);
  retire(run);
  if (!run.delivered) {  // G3
    call_.core.stats.replaced.add();
    run.placement.lost(reason);
    reset_choices(run);
    return place(run);
  }
  fail(server_error("The worker was lost in the middle of the answer: " + reason + "."));
}

void Generation::on_batch_end(TimePoint now) {
  if (closed_) return;
  pump();
  if (!closed_ && all_finished()) {
    call_.core.stats.request.observe(seconds(now - received_));
    finish();
  }
}

bool Generation::all_finished() const {
  return std::all_of(runs_.begin(), runs_.end(), [](const auto& run) { return run->done; });
}

// ---- out ----

// Hands what has come to the answer, as far as the client keeps up (G4).
void Generation::pump() {
  if (closed_ || !prepared_ || !prepared_->request.stream) return;
  // Before the head: it waits here to leave with the first text, not because the client lags.
  const bool writable = call_.exchange->writable();
  if (!streaming_) {
    if (!all_admitted()) return;
    begin_stream();
  }
  for (auto& run : runs_) {
    for (auto& choice : run->choices) {
      if (writable || choice.held_tokens() > kMaxHeldTokens) pump_choice(*run, choice);
    }
  }
  call_.exchange->flush();
}

void Generation::pump_choice(Run& run, ChoiceStream& choice) {
  if (const auto delta = choice.take()) {
    run.delivered = true;
    call_.exchange->write(answer_->text(*delta));
  }
  if (!choice.finished()) return;
  const auto index = static_cast<size_t>(choice.finish().choice);
  if (finish_sent_[index]) return;
  finish_sent_[index] = true;
  run.delivered = true;
  call_.exchange->write(answer_->finish(choice.finish()));
}

UsageReport Generation::usage() const {
  UsageReport usage;
  for (const auto& run : runs_) {
    usage.prompt_tokens += static_cast<int64_t>(prepared_->prompts[run->prompt].ids.size());
    usage.cached_tokens += run->cached_tokens;
    for (const auto& choice : run->choices) usage.completion_tokens += choice.generated();
  }
  return usage;
}

void Generation::finish() {
  for (auto& run : runs_) {
    for (auto& choice : run->choices) {
      if (!choice.finished())
        return fail(server_error("The worker ended the request without ending every choice."));
    }
  }
  const UsageReport total = usage();
  call_.core.stats.cached_tokens.add(static_cast<uint64_t>(total.cached_tokens));
  for (auto& run : runs_) {
    for (auto& choice : run->choices) pump_choice(*run, choice);
  }
  const std::string last = answer_->end(total);
  if (streaming_) {
    call_.exchange->write(last);
    call_.exchange->end();
    return close(200);
  }
  HttpResponse response;
  response.body = last;
  call_.exchange->respond(std::move(response));
  close(200);
}

void Generation::fail(const ApiError& error) {
  if (closed_) return;
  const auto self = shared_from_this();
  cancel_all();
  if (streaming_) {
    call_.core.stats.failed_streams.add();
    call_.exchange->write(render_stream_error(error));
    call_.exchange->end();
  } else {
    call_.exchange->respond(error_response(error));
  }
  close(error.status);
}

void Generation::cancel_all() {
  for (auto& run : runs_) {
    if (run->serial == 0) continue;
    const AttemptKey key{static_cast<uint32_t>(call_.core.core->index()), run->serial};
    call_.router.fleet->cancel(run->worker, key, {});
    retire(*run);
  }
}

void Generation::close(int status) {
  if (closed_) return;  // the last write found that the client had gone
  closed_ = true;
  call_.core.stats.count_request(call_.endpoint, status);
}

void Generation::on_abort(Abort reason) {
  if (closed_) return;
  switch (reason) {
    case Abort::disconnected:
      call_.core.stats.cancelled.add();
      cancel_all();
      return close(499);
    case Abort::deadline:
      return fail(deadline_exceeded("The request took longer than this server allows."));
    case Abort::shutdown:
      return fail(unavailable("The server is shutting down.", 1000));
  }
}

}  // namespace bessemer
