#include "bench/mock_worker/mock_engine.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace bessemer {
namespace {

using Clock = std::chrono::steady_clock;

int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch())
      .count();
}

bool take_one(std::atomic<int32_t>& budget) {
  int32_t left = budget.load();
  while (left > 0 && !budget.compare_exchange_weak(left, left - 1)) {
  }
  return left > 0;
}

// A plausible distribution: the chosen token at -0.5, each alternative a nat below the one before.
void fill_logprobs(v1::Logprobs& out, uint32_t chosen, uint32_t alternatives) {
  out.add_ids(chosen);
  out.add_values(-0.5f);
  out.set_rank(1);
  for (uint32_t i = 0; i < alternatives; i++) {
    out.add_ids(MockModel::kFirstByte + 'a' + i);
    out.add_values(-0.5f - static_cast<float>(i));
  }
}

}  // namespace

MockEngine::~MockEngine() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void MockEngine::add_lane(const std::shared_ptr<MockSink>& sink) {
  std::lock_guard lock(mutex_);
  std::erase_if(lanes_, [](const auto& lane) { return lane.expired(); });
  lanes_.push_back(sink);
}

void MockEngine::start(const std::shared_ptr<MockSink>& sink, const v1::Start& start,
                       std::vector<uint32_t> ids) {
  started_++;
  if (take_one(faults_.reject_next) || live_ >= faults_.max_live) {
    v1::WorkerFrame frame;
    auto* event = frame.mutable_step()->add_before();
    event->set_attempt(start.attempt());
    event->mutable_rejected()->set_reason(
        static_cast<v1::RejectReason>(faults_.reject_reason.load()));
    event->mutable_rejected()->set_detail("the mock was told to");
    event->mutable_rejected()->set_retry_after_ms(50);
    return sink->send(std::move(frame));
  }
  const v1::Generate& generate = start.generate();
  Sequence sequence;
  sequence.sink = sink;
  sequence.attempt = start.attempt();
  sequence.seed = generate.seed();
  sequence.prompt_hash = MockModel::hash_prompt(ids);
  sequence.prompt_tokens = static_cast<uint32_t>(ids.size());
  sequence.max_tokens = generate.max_tokens();
  sequence.ignore_eos = generate.ignore_eos();
  sequence.fails = take_one(faults_.fail_next);
  sequence.stop_ids.assign(generate.stop_ids().begin(), generate.stop_ids().end());
  if (generate.has_logprobs()) sequence.logprobs = generate.logprobs();
  if (generate.has_prompt_logprobs()) {
    sequence.prompt_logprobs = generate.prompt_logprobs();
    sequence.prompt = ids;
  }
  sequence.open.assign(std::max(generate.n(), 1u), true);
  sequence.counts.assign(sequence.open.size(), 0);
  if (const uint32_t left = start.admission().remaining_ms(); left != 0)
    sequence.deadline_us = now_us() + int64_t{1000} * left;
  sequence.ready_us = now_us() + static_cast<int64_t>(1e6 * static_cast<double>(ids.size()) /
                                                      timing_.prefill_tok_s);
  std::lock_guard lock(mutex_);
  sequences_.push_back(std::move(sequence));
  live_++;
  wake_.notify_all();
}

void MockEngine::cancel(const MockSink* sink, const v1::Cancel& cancel) {
  std::lock_guard lock(mutex_);
  for (auto it = sequences_.begin(); it != sequences_.end(); ++it) {
    if (it->sink.get() != sink || it->attempt != cancel.attempt()) continue;
    for (const uint32_t choice : cancel.choices()) {
      if (choice < it->open.size()) it->open[choice] = false;
    }
    const bool all = cancel.choices().empty() ||
                     std::find(it->open.begin(), it->open.end(), true) == it->open.end();
    if (!all) return;
    cancelled_++;
    live_--;
    sequences_.erase(it);
    return;
  }
}

void MockEngine::forget(const MockSink* sink) {
  std::lock_guard lock(mutex_);
  live_ -= static_cast<int64_t>(
      sequences_.remove_if([&](const Sequence& one) { return one.sink.get() == sink; }));
}

v1::Load MockEngine::load() const {
  std::lock_guard lock(mutex_);
  v1::Load load;
  load.set_running(static_cast<uint32_t>(sequences_.size()));
  load.set_backlog_tokens(faults_.backlog_tokens);
  load.set_prefill_tok_s(static_cast<float>(timing_.prefill_tok_s));
  load.set_step_us(static_cast<uint32_t>(timing_.step_us));
  load.set_kv_total(1000);
  load.set_kv_free(1000);
  load.set_engine_steps(steps_);
  load.set_work_pending(!sequences_.empty());
  return load;
}

void MockEngine::run() {
  auto next = Clock::now();
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (sequences_.empty()) {
      wake_.wait(lock, [&] { return stopping_ || !sequences_.empty(); });
      next = Clock::now();
    }
    next += std::chrono::microseconds(timing_.step_us);
    if (wake_.wait_until(lock, next, [&] { return stopping_; })) return;
    if (faults_.hang) continue;
    std::vector<Batch> batches;
    step(batches, now_us());
    const int64_t limit = faults_.sever_after_tokens.load();
    const bool sever = limit >= 0 && emitted_ >= limit;
    lock.unlock();
    for (auto& batch : batches) batch.sink->send(std::move(batch.frame));
    if (sever) sever_all();
    lock.lock();
    next = std::max(
        next, Clock::now() - std::chrono::microseconds(timing_.step_us));  // no burst after a stall
  }
}

void MockEngine::sever_all() {
  faults_.sever_after_tokens = -1;
  std::vector<std::weak_ptr<MockSink>> lanes;
  {
    std::lock_guard lock(mutex_);
    lanes.swap(lanes_);
  }
  for (const auto& weak : lanes) {
    if (const auto lane = weak.lock()) lane->sever();
  }
}

MockEngine::Batch& MockEngine::batch_of(std::vector<Batch>& batches,
                                        const std::shared_ptr<MockSink>& sink) {
  for (auto& batch : batches) {
    if (batch.sink == sink) return batch;
  }
  batches.push_back({sink, {}});
  return batches.back();
}

void MockEngine::step(std::vector<Batch>& batches, int64_t now) {
  steps_++;
  for (auto it = sequences_.begin(); it != sequences_.end();) {
    auto& batch = *batch_of(batches, it->sink).frame.mutable_step();
    batch.set_step(steps_);
    batch.set_mono_us(static_cast<uint64_t>(now));
    const bool live = advance(*it, batch, now);
    live_ -= live ? 0 : 1;
    it = live ? std::next(it) : sequences_.erase(it);
  }
}

// False: the attempt has ended.
bool MockEngine::advance(Sequence& sequence, v1::StepBatch& batch, int64_t now) {
  if (!sequence.admitted) {
    sequence.admitted = true;
    auto* event = batch.add_before();
    event->set_attempt(sequence.attempt);
    event->mutable_admitted();
  }
  if (now >= sequence.deadline_us) {
    fail(sequence, 4, "the deadline passed", batch);
    return false;
  }
  if (now < sequence.ready_us) return true;
  if (sequence.prompt_logprobs) {
    add_prompt_logprobs(sequence, batch);
    sequence.prompt_logprobs.reset();
  }
  for (uint32_t choice = 0; choice < sequence.open.size(); choice++) {
    if (sequence.open[choice]) emit(sequence, choice, batch, now);
  }
  if (sequence.fails) {
    fail(sequence, faults_.fail_code, "the mock was told to", batch);
    return false;
  }
  if (std::find(sequence.open.begin(), sequence.open.end(), true) != sequence.open.end())
    return true;
  finish(sequence, batch);
  return false;
}

void MockEngine::fail(const Sequence& sequence, uint32_t code, const std::string& detail,
                      v1::StepBatch& batch) {
  auto* event = batch.add_after();
  event->set_attempt(sequence.attempt);
  event->mutable_failed()->set_code(code);
  event->mutable_failed()->set_detail(detail);
}

void MockEngine::add_prompt_logprobs(const Sequence& sequence, v1::StepBatch& batch) const {
  auto* event = batch.add_before();
  event->set_attempt(sequence.attempt);
  event->mutable_prompt_logprobs()->set_first(1);
  for (size_t i = 1; i < sequence.prompt.size(); i++) {
    fill_logprobs(*event->mutable_prompt_logprobs()->add_tokens(), sequence.prompt[i],
                  *sequence.prompt_logprobs);
  }
}

void MockEngine::emit(Sequence& sequence, uint32_t choice, v1::StepBatch& batch, int64_t now) {
  uint32_t& count = sequence.counts[choice];
  const auto id =
      static_cast<uint32_t>(model_.token(sequence.seed, choice, count, sequence.prompt_hash, now));
  const bool asked =
      std::find(sequence.stop_ids.begin(), sequence.stop_ids.end(), id) != sequence.stop_ids.end();
  const bool end = !sequence.ignore_eos && (id == MockModel::kEnd || id == MockModel::kTurnEnd);
  if (asked || end) return end_choice(sequence, choice, v1::END_STOP, id, batch);
  const uint32_t skipped = take_one(faults_.skip_offsets) ? 7 : 0;
  for (int copy = 0; copy < (faults_.repeat_rows ? 2 : 1); copy++) {
    if (sequence.logprobs) {
      auto* logprobs = batch.add_logprobs();
      logprobs->set_row(static_cast<uint32_t>(batch.attempt_size()));
      fill_logprobs(*logprobs, id, *sequence.logprobs);
    }
    batch.add_attempt(sequence.attempt);
    batch.add_choice(choice);
    batch.add_offset(count + skipped);
    batch.add_count(1);
    batch.add_ids(id);
  }
  count++;
  emitted_++;
  if (count >= sequence.max_tokens) {
    end_choice(sequence, choice, v1::END_LENGTH, std::nullopt, batch);
  }
}

void MockEngine::end_choice(Sequence& sequence, uint32_t choice, v1::EndReason reason,
                            std::optional<uint32_t> stop_id, v1::StepBatch& batch) {
  sequence.open[choice] = false;
  auto* event = batch.add_after();
  event->set_attempt(sequence.attempt);
  auto* end = event->mutable_choice_end();
  end->set_choice(choice);
  end->set_reason(reason);
  end->set_end_offset(sequence.counts[choice]);
  if (stop_id) end->set_stop_id(*stop_id);
}

void MockEngine::finish(Sequence& sequence, v1::StepBatch& batch) {
  auto* event = batch.add_after();
  event->set_attempt(sequence.attempt);
  auto* usage = event->mutable_done()->mutable_usage();
  usage->set_prompt(sequence.prompt_tokens);
  for (const uint32_t count : sequence.counts) usage->add_generated(count);
}

}  // namespace bessemer
