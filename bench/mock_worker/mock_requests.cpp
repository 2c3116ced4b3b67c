// How requests come to a mock's engine, and how they leave it before they are done.
#include <algorithm>

#include <fmt/format.h>

#include "bench/mock_worker/mock_engine.h"
#include "bench/mock_worker/mock_events.h"
#include "proto/features.h"

namespace bessemer {
namespace {

int64_t now_us() {
  return microseconds(std::chrono::steady_clock::now().time_since_epoch());
}

v1::Rejected rejected(v1::RejectReason reason, const std::string& detail, uint32_t retry_ms = 0) {
  v1::Rejected rejected;
  rejected.set_reason(reason);
  rejected.set_detail(detail);
  rejected.set_retry_after_ms(retry_ms);
  return rejected;
}

void answer(MockSink& sink, uint64_t handle, v1::Rejected rejected) {
  v1::WorkerFrame frame;
  auto* event = frame.mutable_step()->add_before();
  event->set_attempt(handle);
  *event->mutable_rejected() = std::move(rejected);
  sink.send(std::move(frame));
}

}  // namespace

void MockEngine::start(const std::shared_ptr<MockSink>& sink, const v1::Start& start,
                       const std::vector<uint32_t>& ids) {
  started_++;
  auto made = make_mock_attempt(model_, start, ids);
  if (!made.ok()) complaints_.add(std::string(made.status().message()));
  std::lock_guard lock(mutex_);
  if (!made.ok()) {
    const std::string why(made.status().message());
    return answer(*sink, start.attempt(), rejected(v1::REJECT_BAD_INPUT, why));
  }
  made->sink = sink;
  made->id = AttemptId{++last_id_};
  auto refused = refusal(start, *made);
  if (!refused) refused = claim(*made);
  if (refused) return answer(*sink, start.attempt(), *std::move(refused));
  if (const uint32_t left = start.admission().remaining_ms(); left != 0)
    made->deadline_us = now_us() + int64_t{1000} * left;
  made->fails = take_one(faults_.fail_next);
  resumed_ += start.has_resume() ? 1 : 0;
  attempts_.push_back(*std::move(made));
  live_++;
  wake_.notify_all();
}

// What ends it before it has used up its epoch.
std::optional<v1::Rejected> MockEngine::refusal(const v1::Start& start,
                                                const MockAttempt& attempt) {
  if (take_one(faults_.reject_next) || live_ >= faults_.max_live) {
    return rejected(static_cast<v1::RejectReason>(faults_.reject_reason.load()),
                    "the mock was told to", 50);
  }
  if (draining_) return rejected(v1::REJECT_DRAINING, "this worker is draining");
  const EngineStats now = true_stats();
  if (now.waiting >= limits_.max_waiting) {
    return rejected(v1::REJECT_QUEUE_FULL, fmt::format("{} requests wait", now.waiting), 50);
  }
  const int64_t rows = int64_t{attempt.prompt_tokens} + attempt.sampling->max_tokens;
  if (!kv_.can_ever_hold(rows)) {
    return rejected(v1::REJECT_TOO_LARGE,
                    fmt::format("{} tokens do not fit {} blocks", rows, limits_.kv_blocks));
  }
  const auto estimate_us = static_cast<uint32_t>(
      std::min(1e6 * static_cast<double>(now.backlog_tokens + attempt.prompt_tokens) /
                   now.prefill_tokens_per_s,
               4e9));
  const v1::Admission& admission = start.admission();
  if (admission.max_est_ttft_us() != 0 && !admission.must_queue() &&
      estimate_us > admission.max_est_ttft_us()) {
    auto slow = rejected(v1::REJECT_TOO_SLOW, fmt::format("about {} us", estimate_us));
    slow.set_est_ttft_us(estimate_us);
    return slow;
  }
  return std::nullopt;
}

// A later epoch of a request takes the place of the one before.
std::optional<v1::Rejected> MockEngine::claim(const MockAttempt& attempt) {
  if (attempt.request_id.empty()) return std::nullopt;  // a client without epochs
  const auto claim = fence_.claim(attempt.request_id, attempt.epoch, attempt.id);
  if (claim.verdict != EpochFence::Verdict::fresh) {
    return rejected(v1::REJECT_STALE_EPOCH,
                    fmt::format("epoch {} is not the newest here", attempt.epoch));
  }
  if (!claim.replaced) return std::nullopt;
  const auto old = std::ranges::find(attempts_, *claim.replaced, &MockAttempt::id);
  if (old != attempts_.end()) cancel_choices(old, {});
  return std::nullopt;
}

MockEngine::Attempts::iterator MockEngine::find(const MockSink* sink, uint64_t handle) {
  return std::ranges::find_if(attempts_, [&](const MockAttempt& one) {
    return one.sink.get() == sink && one.handle == handle;
  });
}

MockEngine::Attempts::iterator MockEngine::erase(Attempts::iterator at) {
  live_--;
  totals_.requests_finished++;
  return attempts_.erase(at);
}

void MockEngine::cancel(const MockSink* sink, const v1::Cancel& cancel) {
  std::lock_guard lock(mutex_);
  const auto at = find(sink, cancel.attempt());
  if (at == attempts_.end()) return;
  const int64_t before = live_;
  cancel_choices(at, {cancel.choices().begin(), cancel.choices().end()});
  cancelled_ += before - live_;
}

// None: all of them.
void MockEngine::cancel_choices(Attempts::iterator at, const std::vector<uint32_t>& choices) {
  MockBatches batches(totals_.steps, now_us());
  v1::StepBatch& batch = batches.of(at->sink);
  for (uint32_t i = 0; i < at->choices.size(); i++) {
    MockChoice& choice = at->choices[i];
    const bool named = choices.empty() || std::ranges::find(choices, i) != choices.end();
    if (!named || !choice.open) continue;
    choice.open = false;
    choice.reason = v1::END_CANCELLED;
    MockKv::give_up(choice);
    if (at->admitted) add_choice_end(*at, i, batch);
  }
  if (at->finished()) {
    if (at->admitted) add_done(*at, batch);
    erase(at);
  }
  batches.send();
}

void MockEngine::credit(const MockSink* sink, const v1::Credit& credit) {
  std::lock_guard lock(mutex_);
  const auto at = find(sink, credit.attempt());
  if (at == attempts_.end() || at->send_until == 0) return;  // without a limit it means nothing
  at->send_until = std::max(at->send_until, credit.send_until());
}

void MockEngine::forget(const MockSink* sink) {
  std::lock_guard lock(mutex_);
  const int64_t until = now_us() + int64_t{1000} * limits_.orphan_ms;
  for (auto at = attempts_.begin(); at != attempts_.end();) {
    if (at->sink.get() != sink) {
      ++at;
    } else if (limits_.orphan_ms == 0 || at->request_id.empty()) {
      at = erase(at);
    } else {
      at->sink = nullptr;
      at->orphan_until_us = until;
      ++at;
    }
  }
}

// All that `from` has not heard.
void MockEngine::tell_all(const MockAttempt& attempt, const v1::Attach& from,
                          v1::StepBatch& batch) {
  for (uint32_t i = 0; i < attempt.choices.size(); i++) {
    const MockChoice& choice = attempt.choices[i];
    const auto output = attempt.output(choice);
    for (size_t at = from.next_offset(static_cast<int>(i)); at < output.size(); at++) {
      add_row(attempt, i, static_cast<uint32_t>(at), static_cast<uint32_t>(output[at]), batch);
    }
    if (!choice.open) add_choice_end(attempt, i, batch);
  }
}

void MockEngine::attach(const std::shared_ptr<MockSink>& sink, const v1::Attach& attach) {
  std::lock_guard lock(mutex_);
  const auto at = std::ranges::find_if(attempts_, [&](const MockAttempt& one) {
    return one.epoch == attach.epoch() && one.request_id == attach.request_id();
  });
  if (at == attempts_.end() ||
      static_cast<size_t>(attach.next_offset_size()) != at->choices.size()) {
    return answer(*sink, attach.attempt(),
                  rejected(v1::REJECT_NOT_FOUND, "no such attempt is alive here"));
  }
  attached_++;
  at->sink = sink;
  at->handle = attach.attempt();
  at->orphan_until_us = INT64_MAX;
  MockBatches batches(totals_.steps, now_us());
  v1::StepBatch& batch = batches.of(sink);
  auto* event = batch.add_before();
  event->set_attempt(at->handle);
  event->mutable_admitted();
  at->admitted = true;
  tell_all(*at, attach, batch);
  if (at->finished()) {
    add_done(*at, batch);
    erase(at);
  }
  batches.send();
}

void MockEngine::drain() {
  std::lock_guard lock(mutex_);
  draining_ = true;
}

}  // namespace bessemer
