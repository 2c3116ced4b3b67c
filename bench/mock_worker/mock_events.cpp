#include "bench/mock_worker/mock_events.h"

namespace bessemer {

void fill_mock_logprobs(v1::Logprobs& out, uint32_t chosen, uint32_t alternatives) {
  out.add_ids(chosen);
  out.add_values(-0.5f);
  out.set_rank(1);
  for (uint32_t i = 0; i < alternatives; i++) {
    out.add_ids(MockModel::kFirstByte + 'a' + i);
    out.add_values(-0.5f - static_cast<float>(i));
  }
}

void add_row(const MockAttempt& attempt, uint32_t choice, uint32_t offset, uint32_t id,
             v1::StepBatch& batch) {
  if (attempt.logprobs) {
    auto* logprobs = batch.add_logprobs();
    logprobs->set_row(static_cast<uint32_t>(batch.attempt_size()));
    fill_mock_logprobs(*logprobs, id, *attempt.logprobs);
  }
  batch.add_attempt(attempt.handle);
  batch.add_choice(choice);
  batch.add_offset(offset);
  batch.add_count(1);
  batch.add_ids(id);
}

void add_prompt_scores(const MockAttempt& attempt, v1::StepBatch& batch) {
  auto* event = batch.add_before();
  event->set_attempt(attempt.handle);
  event->mutable_prompt_logprobs()->set_first(1);
  const auto& history = attempt.choices.front().history;
  for (size_t i = 1; i < attempt.prompt_tokens; i++) {
    fill_mock_logprobs(*event->mutable_prompt_logprobs()->add_tokens(),
                       static_cast<uint32_t>(history[i]), *attempt.prompt_logprobs);
  }
}

void add_choice_end(const MockAttempt& attempt, uint32_t choice, v1::StepBatch& batch) {
  const MockChoice& one = attempt.choices[choice];
  auto* event = batch.add_after();
  event->set_attempt(attempt.handle);
  auto* end = event->mutable_choice_end();
  end->set_choice(choice);
  end->set_reason(one.reason);
  end->set_end_offset(one.writer.length());
  if (one.stop_id) end->set_stop_id(*one.stop_id);
}

void add_done(const MockAttempt& attempt, v1::StepBatch& batch) {
  auto* event = batch.add_after();
  event->set_attempt(attempt.handle);
  auto* usage = event->mutable_done()->mutable_usage();
  usage->set_prompt(attempt.prompt_tokens);
  usage->set_cached(attempt.cached);
  for (const MockChoice& choice : attempt.choices) usage->add_generated(choice.writer.length());
}

void add_failed(const MockAttempt& attempt, uint32_t code, const char* detail,
                v1::StepBatch& batch) {
  auto* event = batch.add_after();
  event->set_attempt(attempt.handle);
  event->mutable_failed()->set_code(code);
  event->mutable_failed()->set_detail(detail);
}

}  // namespace bessemer
