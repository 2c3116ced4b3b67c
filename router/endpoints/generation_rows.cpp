// What comes back from the workers.
#include <algorithm>

#include "common/log.h"
#include "router/endpoints/generation.h"

namespace bessemer {
namespace {

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

WorkerTiming timing_of(const v1::Timing& timing) {
  WorkerTiming out;
  out.queued_us = static_cast<int64_t>(timing.queued_us());
  out.prefill_us = static_cast<int64_t>(timing.prefill_us());
  out.first_token_us = static_cast<int64_t>(timing.first_token_us());
  out.total_us = static_cast<int64_t>(timing.total_us());
  out.preemptions = static_cast<int32_t>(timing.preemptions());
  return out;
}

// Every token has been ruled out. Most of a vocabulary can only be by the list of those that are
// allowed.
ApiError cannot_be_drawn(const std::string& detail, const SamplingSpec& sampling) {
  ApiError error = impossible_request("The request cannot be carried out: " + detail + ".");
  if (!sampling.allowed_token_ids.empty()) error.param = "allowed_token_ids";
  return error;
}

// What a worker's Failed means to the client.
ApiError error_of(const v1::Failed& failed, const SamplingSpec& sampling) {
  switch (static_cast<absl::StatusCode>(failed.code())) {
    case absl::StatusCode::kDeadlineExceeded:
      return deadline_exceeded();
    case absl::StatusCode::kInvalidArgument:
      return cannot_be_drawn(failed.detail(), sampling);
    default:
      return server_error("The worker failed: " + failed.detail() + ".", failed.elsewhere());
  }
}

}  // namespace

void Generation::admit(Run& run) {
  run.admitted = true;
  if (std::exchange(run.counted, true)) return;  // placed again after a loss
  call_.core.stats.prompt_tokens.add(prepared_->prompts[run.prompt].ids.size());
}

void Generation::on_row(Run& run, const TokenRow& row, TimePoint now) {
  if (closed_) return;
  news_ = true;
  if (!run.admitted) admit(run);
  deliver_scores(run);
  run.route->computed();
  CoreStats& stats = call_.core.stats;
  TimePoint& last_row = run.last_row[static_cast<size_t>(row.choice)];
  if (!first_token_seen_) {
    first_token_seen_ = true;
    call_.record->first_token(now);
    stats.ttft.observe(seconds(now - received_));
  } else if (last_row != TimePoint{}) {
    stats.inter_token.observe(seconds(now - last_row));
  }
  last_row = now;
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
    return complete(run);
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
  news_ = true;
  switch (event.what_case()) {
    case v1::Event::kAdmitted:
      run.cached_tokens = event.admitted().matched_tokens();
      call_.record->matched(run.recorded, run.cached_tokens);
      run.route->admitted(event.admitted());
      call_.router.sessions.note(session(), run.worker);
      return admit(run);
    case v1::Event::kRejected:
      return on_rejected(run, event.rejected());
    case v1::Event::kPromptLogprobs:
      return on_prompt_logprobs(run, event.prompt_logprobs());
    case v1::Event::kChoiceEnd:
      return on_choice_end(run, event.choice_end());
    case v1::Event::kDone:
      run.cached_tokens = event.done().usage().cached();
      run.route->finished(run.cached_tokens, call_.core.routing);
      if (event.done().has_timing())
        call_.record->timing(run.recorded, timing_of(event.done().timing()));
      return complete(run);
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

void Generation::add_score(Run& run, TokenReport report) {
  const auto length = characters(report.chosen.bytes);
  run.prompt_scores.push_back(std::move(report));
  run.prompt_characters += length;
}

void Generation::on_prompt_logprobs(Run& run, const v1::PromptLogprobs& scores) {
  const ValidRequest& request = prepared_->request;
  const Tokenizer& tokenizer = *prepared_->model->text->tokenizer;
  const auto& ids = prepared_->prompts[run.prompt].ids;
  const int32_t top = std::max(request.prompt_logprobs, request.echo ? request.top_logprobs : -1);
  while (run.prompt_scores.size() < scores.first() && run.prompt_scores.size() < ids.size()) {
    add_score(run, bare_report(ids[run.prompt_scores.size()], tokenizer, run.prompt_characters));
  }
  for (const auto& token : scores.tokens()) {
    if (token.ids_size() == 0 || token.ids_size() != token.values_size() ||
        run.prompt_scores.size() >= ids.size())
      break;
    add_score(run, make_report(token, tokenizer, top, run.prompt_characters));
  }
}

// Once, in front of the first output of the prompt's choices.
void Generation::deliver_scores(Run& run) {
  if (run.scores_delivered) return;
  run.scores_delivered = true;
  const ValidRequest& request = prepared_->request;
  const bool echoes = request.echo && request.top_logprobs >= 0;
  if (!echoes && request.prompt_logprobs < 0) return;
  const auto& ids = prepared_->prompts[run.prompt].ids;
  if (run.prompt_scores.empty()) {  // a single token has none, and no event comes
    add_score(run, bare_report(ids.front(), *prepared_->model->text->tokenizer, 0));
  }
  if (request.prompt_logprobs >= 0) {
    answer_->prompt_logprobs(static_cast<int32_t>(run.prompt), run.prompt_scores);
  }
  if (!echoes) return;
  for (auto& report : run.prompt_scores) {
    if (report.top.size() > static_cast<size_t>(request.top_logprobs))
      report.top.resize(static_cast<size_t>(request.top_logprobs));
  }
  for (auto& choice : run.choices) choice.echo(run.prompt_scores);
}

void Generation::on_rejected(Run& run, const v1::Rejected& rejected) {
  call_.record->problem(run.recorded, rejected.detail());
  call_.record->bounced();
  retire(run);
  log().debug("worker {} refused {}: {}", run.worker, answer_id_, rejected.detail());
  run.placement->rejected(rejected.reason(), rejected.detail(), rejected.retry_after_ms());
  place(run);
}

void Generation::on_failed(Run& run, const v1::Failed& failed) {
  call_.record->problem(run.recorded, failed.detail());
  retire(run);
  if (failed.elsewhere() && !run.delivered) {
    call_.core.stats.replaced.add();
    call_.record->resumed();
    run.placement->lost(failed.detail());
    reset_choices(run);
    return place(run);
  }
  fail(error_of(failed, prepared_->request.sampling));
}

void Generation::on_lost(Run& run, const std::string& reason) {
  if (closed_) return;
  news_ = true;
  log().warn("{} lost worker {}: {}", answer_id_, run.worker, reason);
  call_.record->problem(run.recorded, reason);
  retire(run);
  if (!run.delivered) {  // G3
    call_.core.stats.replaced.add();
    call_.record->resumed();
    run.placement->lost(reason);
    reset_choices(run);
    return place(run);
  }
  fail(server_error("The worker was lost in the middle of the answer: " + reason + "."));
}

void Generation::on_batch_end(TimePoint now) {
  // Each prompt that the batch touched calls; the first call finds the rows of all.
  if (closed_ || !std::exchange(news_, false)) return;
  pump();
  launch();
  if (closed_ || !all_finished()) return;
  call_.core.stats.request.observe(seconds(now - received_));
  finish();
}

}  // namespace bessemer
