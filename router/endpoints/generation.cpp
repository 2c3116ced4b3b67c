#include "router/endpoints/generation.h"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <xxhash.h>

#include "common/log.h"

namespace bessemer {

void Generation::run(const Dialect& dialect, EndpointCall call) {
  std::make_shared<Generation>(dialect, std::move(call))->begin();
}

Generation::Generation(const Dialect& dialect, EndpointCall call)
    : dialect_(dialect),
      call_(std::move(call)),
      received_(call_.exchange->request().received),
      deadline_(std::min(received_ + call_.core.settings.request_timeout,
                         call_.exchange->request().deadline)) {}

void Generation::begin() {
  Exchange& exchange = *call_.exchange;
  exchange.set_deadline(deadline_);
  exchange.on_abort([weak = weak_from_this()](Abort reason) {
    if (const auto self = weak.lock()) self->on_abort(reason);
  });
  exchange.on_writable([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->pump();
  });
  answer_id_ = fmt::format("{}-{:016x}{:016x}", dialect_.id_prefix(), call_.core.random.next(),
                           call_.core.random.next());
  const ClusterViewPtr view = call_.core.view;
  if (exchange.request().body.size() > call_.router.options.pool_body_bytes)
    return prepare_in_pool(view);
  PrepareResult result = read(exchange.request().body, *view);
  exchange.request().body = std::string();
  exchange.request().body_lease = BodyLease();
  prepared(std::move(result));
}

// What costs time with the body's length; on the core or in the pool.
PrepareResult Generation::read(std::string_view body, const ClusterView& view) {
  content_ = XXH3_64bits_withSeed(body.data(), body.size(), call_.tenant->id);
  return dialect_.prepare(body, view, *call_.tenant);
}

void Generation::prepare_in_pool(ClusterViewPtr view) {
  HttpRequest& request = call_.exchange->request();
  auto task = [self = shared_from_this(), view = std::move(view), body = std::move(request.body),
               lease = std::move(request.body_lease)]() mutable {
    std::unique_ptr<PrepareResult> result;
    // The client may have hung up, or its time have passed, while the body waited for its turn.
    if (!self->closed_) result = std::make_unique<PrepareResult>(self->read(body, *view));
    body = std::string();
    lease = BodyLease();
    // The last reference must not die here: the exchange belongs to its core.
    Core* core = self->call_.core.core;
    core->post([self = std::move(self), result = std::move(result)]() mutable {
      if (result != nullptr) self->prepared(std::move(*result));
    });
  };
  if (!call_.router.pool->submit(std::move(task))) {
    fail(overloaded("Too many long prompts are being read at once.", 1000));
  }
}

void Generation::prepared(PrepareResult result) {
  if (closed_) return;
  if (const auto* refused = std::get_if<RefusedRequest>(&result)) {
    call_.record->named(refused->model, refused->user);
    return fail(refused->error);
  }
  prepared_ = std::move(std::get<PreparedRequest>(result));
  call_.record->prepared(prepared_->request.model, prepared_->request.user, prepared_->request.n,
                         std::chrono::steady_clock::now());
  if (!take_from_limits()) return;
  make_runs();
  launch();
}

void Generation::make_runs() {
  const ValidRequest& request = prepared_->request;
  AnswerHead head;
  head.id = answer_id_;
  head.created = std::time(nullptr);
  head.model = request.model;
  head.choices = static_cast<int32_t>(prepared_->prompts.size()) * request.n;
  seed_ = request.sampling.seed.value_or(call_.core.random.next());
  window_ = most_in_flight();
  for (size_t i = 0; i < prepared_->prompts.size(); i++) {
    head.prompt_tokens += static_cast<int64_t>(prepared_->prompts[i].ids.size());
    if (request.return_token_ids) head.prompt_ids.push_back(prepared_->prompts[i].ids);
    auto run = std::make_unique<Run>(*this, i);
    const PreparedPrompt& prompt = prepared_->prompts[i];
    run->route.emplace(prompt.chain, static_cast<int64_t>(prompt.ids.size()),
                       call_.router.fleet->pledges());
    run->placement.emplace(placement_input(*run), call_.router.options.placement);
    reset_choices(*run);
    queue_.push_back(run.get());
    runs_.push_back(std::move(run));
  }
  head.system_fingerprint = "fp_" + prepared_->model->card->card_hash().substr(0, 12);
  finish_sent_.assign(static_cast<size_t>(head.choices), false);
  answer_ = dialect_.answer(request, std::move(head));
}

int32_t Generation::most_in_flight() const {
  return std::max(kMaxChoicesInFlight / prepared_->request.n, 1);
}

void Generation::reset_choices(Run& run) {
  const int32_t n = prepared_->request.n;
  run.choices.clear();
  run.prompt_scores.clear();
  run.prompt_characters = 0;
  run.stopped.assign(static_cast<size_t>(n), false);
  run.last_row.assign(static_cast<size_t>(n), TimePoint{});
  run.scores_delivered = run.admitted = false;
  for (int32_t j = 0; j < n; j++) {
    run.choices.emplace_back(*prepared_, run.prompt, static_cast<int32_t>(run.prompt) * n + j);
  }
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

void Generation::fail(const ApiError& error) {
  if (closed_) return;
  const auto self = shared_from_this();
  cancel_all();
  record_error(call_, error);
  if (streaming_) {
    call_.core.stats.failed_streams.add();
    StreamFailure failure = dialect_.stream_failure(error);
    call_.exchange->write(failure.frames);
    call_.exchange->end(std::move(failure.trailers));
  } else {
    call_.exchange->respond(call_.render_error(error));
  }
  close(error.status);
}

void Generation::cancel_all() {
  for (auto& run : runs_) {
    leave_line(*run);
    leave_pacer(*run);
    end_move(*run);
    if (run->serial == 0) continue;
    call_.router.fleet->cancel(run->worker, key_of(run->serial), {});
    retire(*run);
  }
}

void Generation::close(int status) {
  if (closed_) return;  // the last write found that the client had gone
  closed_ = true;
  for (auto& run : runs_) run->journal.reset();  // timers may hold this object for a while
  if (taken_tokens_ > 0 && !was_admitted_)
    call_.router.gate.give_back(*call_.tenant, taken_tokens_);
  const UsageReport total = prepared_ ? usage() : UsageReport();
  finish_request(call_, status,
                 {total.prompt_tokens, total.cached_tokens, total.completion_tokens});
  if (log().should_log(LogLevel::debug)) log_request(status);
}

// What the client wrote is quoted: it must not forge lines of the log.
void Generation::log_request(int status) const {
  const std::string& id = call_.exchange->request().id;
  const auto ms = microseconds(std::chrono::steady_clock::now() - received_) / 1000;
  if (!prepared_) return log().debug("request {} refused: status {}, {} ms", id, status, ms);
  const ValidRequest& request = prepared_->request;
  const UsageReport total = usage();
  int32_t resumes = 0;
  for (const auto& run : runs_) resumes += run->resumes;
  log().debug(
      "request {} ended: status {}, model {:?}, user {:?}, metadata {}, {} prompt tokens, {} "
      "generated, {} resumes, {} ms",
      id, status, request.model, request.user, request.metadata, total.prompt_tokens,
      total.completion_tokens, resumes, ms);
}

void Generation::on_abort(Abort reason) {
  if (closed_) return;
  switch (reason) {
    case Abort::disconnected:
      call_.core.stats.cancelled.add();
      cancel_all();
      return close(499);
    case Abort::deadline:
      return fail(deadline_exceeded());
    case Abort::shutdown:
      return fail(unavailable("The server is shutting down.", 1000));
  }
}

}  // namespace bessemer
