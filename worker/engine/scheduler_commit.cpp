// Scheduler::commit: what a step's result means for those who were in it.
#include <algorithm>

#include "common/check.h"
#include "worker/engine/running_mean.h"
#include "worker/engine/scheduler.h"

namespace bessemer {
namespace {

// Weight of the newest step in the means of EngineStats.
constexpr double kMeanWeight = 0.1;
constexpr double kWidestDecay = 0.98;  // halves over some thirty steps with prompts

bool draws(Want want) {
  return want == Want::sample || want == Want::score_and_sample;
}
bool scores(Want want) {
  return want == Want::score || want == Want::score_and_sample;
}

// Launched before its choice's end was known. The prompt's rows and scores are the whole request's,
// whoever computed them: what befell them matters to those who go on.
bool is_surplus(const LaunchedWork& work) {
  const ActiveRequest& request = *work.sequence->request;
  if (work.sequence->phase != Phase::ended) return false;
  return request.live == 0 || !request.prompt_done || work.begin >= request.prompt_len();
}

const char* describe(Fault fault) {
  switch (fault) {
    case Fault::bad_request:
      return "bias, bans and allowed tokens left nothing to draw from";
    case Fault::numeric:
      return "the model's logits are not numbers (NaN or infinity)";
    case Fault::device:
      return "the step failed on the device";
    case Fault::group_lost:
      return "a rank of the model was lost";
    default:
      return "the step failed";
  }
}

}  // namespace

void Scheduler::commit(const StepResult& result, TimePoint now) {
  CHECK(!in_flight_.empty() && in_flight_.front().id == result.id);
  const LaunchedStep step = std::move(in_flight_.front());
  in_flight_.erase(in_flight_.begin());
  kv_.completed(result.id);
  if (step.is_void) return;
  for (const LaunchedWork& work : step.works) {
    --work.sequence->in_flight;
    work.sequence->drawing -= draws(work.want) ? 1 : 0;
  }
  if (result.fault == Fault::group_lost) return lose_group();
  CHECK(result.fault != Fault::ok || result.outcomes.size() == step.works.size());
  for (size_t i = 0; i < step.works.size(); ++i) {
    if (result.fault == Fault::ok && result.outcomes[i].fault == Fault::ok) {
      enter_blocks(step.works[i]);
    }
    if (is_surplus(step.works[i])) continue;
    if (result.fault != Fault::ok) {
      fail(*step.works[i].sequence->request, result.fault, describe(result.fault));
    } else {
      settle(step.works[i], result, result.outcomes[i], now);
    }
  }
  measure(step, now);
  retire_ended();
  if (requests_.empty() && in_flight_.empty())
    kv_.check();  // E2, block by block; the sums hold in every step (K1)
}

void Scheduler::settle(const LaunchedWork& work, const StepResult& result, const Outcome& outcome,
                       TimePoint now) {
  Sequence& s = *work.sequence;
  ActiveRequest& request = *s.request;
  if (outcome.fault != Fault::ok) return fail(request, outcome.fault, describe(outcome.fault));
  if (scores(work.want)) deliver_scores(work, result, outcome);
  if (s.phase == Phase::ended) return;
  if (!draws(work.want)) return report_progress(work, result.id);
  CHECK(outcome.tokens.count == 1);  // no drafts
  accept_token(s, slice(result.tokens, outcome.tokens)[0], slice(result.logprobs, outcome.logprobs),
               now);
}

void Scheduler::report_progress(const LaunchedWork& work, StepId step) {
  ActiveRequest& request = *work.sequence->request;
  if (request.progress_step == step) return;
  request.progress_step = step;
  emit(request, Progress{work.begin + work.count});
}

void Scheduler::deliver_scores(const LaunchedWork& work, const StepResult& result,
                               const Outcome& outcome) {
  ActiveRequest& request = *work.sequence->request;
  const int32_t rows = std::min(work.begin + work.count, request.prompt_len() - 1) - work.begin;
  int32_t per_token = 1 + request.request.prompt_logprobs;
  if (limits_.vocab_size > 0) per_token = std::min(per_token, 1 + limits_.vocab_size);
  if (outcome.scores.count != rows * per_token) {  // a row that is no distribution has no scores
    return fail(request, Fault::numeric, describe(Fault::numeric));
  }
  const auto values = slice(result.logprobs, outcome.scores);
  request.scored = work.begin + rows;
  emit(request, PromptScores{work.begin + 1, per_token, {values.begin(), values.end()}});
}

// Finish is decided here: a stop id ends the choice and is not part of its output.
void Scheduler::accept_token(Sequence& s, int32_t token, std::span<const Logprob> logprobs,
                             TimePoint now) {
  ActiveRequest& request = *s.request;
  request.first_token = std::min(request.first_token, now);
  ++stats_.tokens_generated;
  const auto stops = slice(request.request.tokens, request.request.sampling.stop_ids);
  if (std::ranges::find(stops, token) != stops.end()) {
    return end_choice(s, EndReason::stop, token, now);
  }
  const int32_t offset = s.generated();
  s.output.push_back(token);
  emit(request, Tokens{s.choice, offset, {token}, {logprobs.begin(), logprobs.end()}});
  if (s.is_full()) return end_choice(s, EndReason::length, -1, now);
  if (!s.has_credit()) park(s);
}

// Every launched step is void and every slot is gone: whoever is here fails.
void Scheduler::lose_group() {
  for (LaunchedStep& step : in_flight_) {
    for (const LaunchedWork& work : step.works) --work.sequence->in_flight;
    step.works.clear();
    step.is_void = true;
  }
  fail_all(Fault::group_lost, describe(Fault::group_lost));
  kv_.clear_cache();
  closing_slots_.clear();
}

void Scheduler::measure(const LaunchedStep& step, TimePoint now) {
  // Steps queue up behind each other: this one began when the one before it ended.
  const Duration time = now - std::max(step.at, last_commit_);
  const int64_t us = std::max<int64_t>(1, microseconds(time));
  last_commit_ = now;
  pace_.measure(step.streams, step.rows - step.streams, time);
  ++stats_.steps;
  stats_.step_us = static_cast<int64_t>(
      take_into_mean(static_cast<double>(stats_.step_us), static_cast<double>(us), kMeanWeight));
  stats_.tokens_prefilled += static_cast<uint64_t>(step.prefill_rows);
  if (step.prefill_rows == 0) {
    stats_.decode_rows = step.rows;
    stats_.decode_us = us;
    return;
  }
  // The last few rows of prompts that were found in the cache take a step of their own, and say
  // nothing of how fast a backlog goes: a step counts by the square of its share of the widest of
  // late. Not of the budget, which short prompts never fill: what the first of them measured, with
  // cold weights, would stay for hundreds of them.
  widest_rows_ = std::max<double>(step.prefill_rows, kWidestDecay * widest_rows_);
  const double share = step.prefill_rows / widest_rows_;
  stats_.prefill_tokens_per_s =
      take_into_mean(stats_.prefill_tokens_per_s, step.prefill_rows * 1e6 / static_cast<double>(us),
                     kMeanWeight * share * share);
}

}  // namespace bessemer
