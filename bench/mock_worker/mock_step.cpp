// One step of a mock's engine.
#include <algorithm>

#include "bench/mock_worker/mock_engine.h"
#include "bench/mock_worker/mock_events.h"

namespace bessemer {
namespace {

void close_choice(MockAttempt& attempt, uint32_t number, v1::EndReason reason,
                  v1::StepBatch& batch) {
  MockChoice& choice = attempt.choices[number];
  choice.open = false;
  choice.reason = reason;
  MockKv::give_up(choice);
  add_choice_end(attempt, number, batch);
}

}  // namespace

void MockEngine::step(int64_t now_us) {
  totals_.steps++;
  expire_orphans(now_us);
  place_waiting();
  MockBatches batches(totals_.steps, now_us);
  for (MockAttempt& attempt : attempts_) {
    if (attempt.admitted) continue;
    attempt.admitted = true;
    auto* event = batches.of(attempt.sink).add_before();
    event->set_attempt(attempt.handle);
    event->mutable_admitted()->set_matched_tokens(attempt.cached);
  }
  prefill(batches);
  for (auto at = attempts_.begin(); at != attempts_.end();) {
    at = advance(*at, batches.of(at->sink), now_us) ? std::next(at) : erase(at);
  }
  batches.send();
}

void MockEngine::expire_orphans(int64_t now_us) {
  for (auto at = attempts_.begin(); at != attempts_.end();) {
    at = at->orphan_until_us <= now_us ? erase(at) : std::next(at);
  }
}

// In the order of arrival; nobody small overtakes somebody large who waits for blocks.
void MockEngine::place_waiting() {
  for (MockAttempt& attempt : attempts_) {
    for (MockChoice& choice : attempt.choices) {
      if (!attempt.may_place(choice)) continue;
      if (!kv_.place(attempt, choice)) return;
      const auto rows = static_cast<int64_t>(choice.history.size());
      if (std::exchange(attempt.looked_up, true)) continue;
      attempt.cached = static_cast<uint32_t>(
          std::min<int64_t>(rows - choice.prefill_left, attempt.prompt_tokens));
      totals_.prefix_tokens_asked += attempt.prompt_tokens;
      totals_.prefix_tokens_found += attempt.cached;
    }
  }
}

// What the speed allows, oldest first.
void MockEngine::prefill(MockBatches& batches) {
  prefill_budget_ += timing_.prefill_tok_s * static_cast<double>(timing_.step_us) / 1e6;
  bool more = false;
  for (MockAttempt& attempt : attempts_) {
    bool told = false;
    for (MockChoice& choice : attempt.choices) {
      if (!choice.open || !choice.placed || choice.prefill_left == 0) continue;
      const auto rows = std::min(choice.prefill_left, static_cast<int64_t>(prefill_budget_));
      prefill_budget_ -= static_cast<double>(rows);
      choice.prefill_left -= rows;
      totals_.tokens_prefilled += static_cast<uint64_t>(rows);
      more = more || choice.prefill_left > 0;
      if (rows == 0 || choice.prefill_left == 0 || std::exchange(told, true)) continue;
      auto* event = batches.of(attempt.sink).add_before();
      event->set_attempt(attempt.handle);
      event->mutable_progress()->set_prefilled(
          static_cast<uint32_t>(static_cast<int64_t>(choice.history.size()) - choice.prefill_left));
    }
  }
  if (!more) prefill_budget_ = 0;  // an idle step is not saved up
}

// False: the attempt has ended.
bool MockEngine::advance(MockAttempt& attempt, v1::StepBatch& batch, int64_t now_us) {
  if (attempt.sink != nullptr && now_us >= attempt.deadline_us) {
    add_failed(attempt, 4, "the deadline passed", batch);
    return false;
  }
  const MockChoice* leader = attempt.leader();
  if (attempt.prompt_logprobs && leader != nullptr && leader->writes()) {
    add_prompt_scores(attempt, batch);
    attempt.prompt_logprobs.reset();
  }
  bool wrote = false;
  for (uint32_t i = 0; i < attempt.choices.size(); i++) {
    if (!attempt.may_write(attempt.choices[i])) continue;
    write(attempt, i, batch, now_us);
    wrote = true;
  }
  if (attempt.fails && wrote) {
    add_failed(attempt, faults_.fail_code, "the mock was told to", batch);
    return false;
  }
  if (!attempt.finished() || attempt.sink == nullptr) return true;  // orphans may be attached yet
  add_done(attempt, batch);
  return false;
}

void MockEngine::write(MockAttempt& attempt, uint32_t number, v1::StepBatch& batch,
                       int64_t now_us) {
  MockChoice& choice = attempt.choices[number];
  if (choice.writer.is_full()) {  // a resume of all tokens whose end was not heard of
    return close_choice(attempt, number, v1::END_LENGTH, batch);
  }
  kv_.enter(attempt, choice);
  const uint32_t id = choice.writer.next(now_us);
  if (choice.writer.ends_with(id)) {
    choice.stop_id = id;
    return close_choice(attempt, number, v1::END_STOP, batch);
  }
  if (!make_room(choice)) return;  // it has lost its place to older ones
  const uint32_t skipped = take_one(faults_.skip_offsets) ? 7 : 0;
  for (int copy = 0; copy < (faults_.repeat_rows ? 2 : 1); copy++) {
    add_row(attempt, number, choice.writer.length() + skipped, id, batch);
  }
  choice.writer.append(id);
  choice.history.push_back(static_cast<int32_t>(id));
  emitted_++;
  totals_.tokens_generated++;
  if (choice.writer.is_full()) close_choice(attempt, number, v1::END_LENGTH, batch);
}

// A block for the next row, if need be that of the youngest that has any. False: that is this one.
bool MockEngine::make_room(MockChoice& choice) {
  while (!kv_.grow(choice)) {
    MockChoice* youngest = nullptr;
    for (MockAttempt& attempt : attempts_) {
      for (MockChoice& one : attempt.choices) {
        if (one.open && one.placed) youngest = &one;
      }
    }
    MockKv::give_up(*youngest);
    totals_.preemptions++;
    if (youngest == &choice) return false;
  }
  return true;
}

}  // namespace bessemer
