#include "worker/service/frame_queue.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <absl/status/status.h>

#include "common/check.h"

namespace bessemer {
namespace {

// Varints: handles, offsets and ids take up to five bytes, most take three or fewer.
constexpr size_t kRowBytes = 12, kIdBytes = 3, kLogprobsBytes = 12, kLogprobBytes = 7;

}  // namespace

v1::RejectReason reject_reason(RejectReason reason) {
  switch (reason) {
    case RejectReason::too_slow:
      return v1::REJECT_TOO_SLOW;
    case RejectReason::queue_full:
      return v1::REJECT_QUEUE_FULL;
    case RejectReason::draining:
      return v1::REJECT_DRAINING;
    case RejectReason::too_large:
      return v1::REJECT_TOO_LARGE;
    case RejectReason::bad_input:
      return v1::REJECT_BAD_INPUT;
  }
  return v1::REJECT_UNSPECIFIED;
}

namespace {

v1::EndReason end_reason(EndReason reason) {
  switch (reason) {
    case EndReason::stop:
      return v1::END_STOP;
    case EndReason::length:
      return v1::END_LENGTH;
    case EndReason::cancelled:
      return v1::END_CANCELLED;
  }
  return v1::END_UNSPECIFIED;
}

// Failed.code is a gRPC status code.
absl::StatusCode code_of(Fault fault) {
  switch (fault) {
    case Fault::bad_request:
      return absl::StatusCode::kInvalidArgument;
    case Fault::deadline:
      return absl::StatusCode::kDeadlineExceeded;
    case Fault::no_room:
      return absl::StatusCode::kResourceExhausted;
    case Fault::group_lost:
    case Fault::shutdown:
      return absl::StatusCode::kUnavailable;
    case Fault::ok:
    case Fault::numeric:
    case Fault::device:
      break;
  }
  return absl::StatusCode::kInternal;
}

// Another worker may succeed unless the fault lies in the request or in the weights, which are the
// same there.
bool may_succeed_elsewhere(Fault fault) {
  return fault != Fault::bad_request && fault != Fault::numeric && fault != Fault::deadline;
}

void set_logprobs(std::span<const Logprob> entries, v1::Logprobs& out) {
  for (const Logprob& entry : entries) {
    out.add_ids(static_cast<uint32_t>(entry.token));
    out.add_values(entry.value);
  }
  if (!entries.empty()) out.set_rank(static_cast<uint32_t>(entries.front().rank));
}

void set_prompt_scores(const PromptScores& scores, v1::PromptLogprobs& out) {
  out.set_first(static_cast<uint32_t>(scores.first));
  CHECK(scores.per_token > 0);
  const auto width = static_cast<size_t>(scores.per_token);
  for (size_t at = 0; at + width <= scores.logprobs.size(); at += width) {
    set_logprobs(std::span(scores.logprobs).subspan(at, width), *out.add_tokens());
  }
}

void set_done(const Done& done, v1::Done& out) {
  v1::Usage& usage = *out.mutable_usage();
  usage.set_prompt(static_cast<uint32_t>(done.usage.prompt));
  usage.set_cached(static_cast<uint32_t>(done.usage.cached));
  usage.set_recomputed(static_cast<uint32_t>(done.usage.recomputed));
  for (const int32_t count : done.usage.generated)
    usage.add_generated(static_cast<uint32_t>(count));
  v1::Timing& timing = *out.mutable_timing();
  timing.set_queued_us(static_cast<uint64_t>(done.timing.queued_us));
  timing.set_prefill_us(static_cast<uint64_t>(done.timing.prefill_us));
  timing.set_first_token_us(static_cast<uint64_t>(done.timing.first_token_us));
  timing.set_total_us(static_cast<uint64_t>(done.timing.total_us));
  timing.set_preemptions(static_cast<uint32_t>(done.timing.preemptions));
}

uint32_t saturated(int64_t value) {
  return static_cast<uint32_t>(std::clamp<int64_t>(value, 0, std::numeric_limits<uint32_t>::max()));
}

struct Spell {
  v1::Event& out;
  void operator()(const Admitted& e) const {
    out.mutable_admitted()->set_queue_pos(static_cast<uint32_t>(e.queue_position));
    out.mutable_admitted()->set_backlog_tokens(static_cast<uint64_t>(e.backlog_tokens));
    out.mutable_admitted()->set_matched_tokens(static_cast<uint32_t>(e.matched_tokens));
    out.mutable_admitted()->set_est_ttft_us(saturated(e.est_ttft_us));
  }
  void operator()(const Rejected& e) const {
    out.mutable_rejected()->set_reason(reject_reason(e.reason));
    out.mutable_rejected()->set_detail(e.detail);
    out.mutable_rejected()->set_matched_tokens(static_cast<uint32_t>(e.matched_tokens));
    out.mutable_rejected()->set_est_ttft_us(saturated(e.est_ttft_us));
  }
  void operator()(const Progress& e) const {
    out.mutable_progress()->set_prefilled(static_cast<uint32_t>(e.prefilled));
  }
  void operator()(const PromptScores& e) const {
    set_prompt_scores(e, *out.mutable_prompt_logprobs());
  }
  void operator()(const Tokens&) const { CHECK(false); }
  void operator()(const ChoiceEnd& e) const {
    v1::ChoiceEnd& end = *out.mutable_choice_end();
    end.set_choice(static_cast<uint32_t>(e.choice));
    end.set_reason(end_reason(e.reason));
    if (e.stop_id >= 0) end.set_stop_id(static_cast<uint32_t>(e.stop_id));
    end.set_end_offset(static_cast<uint32_t>(e.end_offset));
  }
  void operator()(const Done& e) const { set_done(e, *out.mutable_done()); }
  void operator()(const Failed& e) const {
    v1::Failed& failed = *out.mutable_failed();
    failed.set_code(static_cast<uint32_t>(code_of(e.fault)));
    failed.set_detail(e.detail);
    failed.set_elsewhere(may_succeed_elsewhere(e.fault));
  }
};

bool is_end(const v1::Event& event) {
  return event.has_choice_end() || event.has_done() || event.has_failed() || event.has_handoff();
}

}  // namespace

v1::Event to_event(uint64_t attempt, const EngineEvent& event) {
  v1::Event out;
  out.set_attempt(attempt);
  std::visit(Spell{out}, event.what);
  return out;
}

void FrameQueue::put_event(uint64_t attempt, const EngineEvent& event, uint64_t step,
                           uint64_t mono_us) {
  if (const auto* tokens = std::get_if<Tokens>(&event.what))
    return put_tokens(attempt, *tokens, step, mono_us);
  put_event(to_event(attempt, event), step, mono_us);
}

void FrameQueue::put_event(v1::Event event, uint64_t step, uint64_t mono_us) {
  v1::StepBatch& batch = open_batch(event.ByteSizeLong() + 4, step, mono_us);
  *(is_end(event) ? batch.add_after() : batch.add_before()) = std::move(event);
}

void FrameQueue::put_tokens(uint64_t attempt, const Tokens& tokens, uint64_t step,
                            uint64_t mono_us) {
  if (tokens.ids.empty()) return;
  const size_t per_id = tokens.logprobs.size() / tokens.ids.size();
  const size_t logprob_bytes =
      per_id == 0 ? 0 : tokens.ids.size() * (kLogprobsBytes + per_id * kLogprobBytes);
  v1::StepBatch& batch =
      open_batch(kRowBytes + tokens.ids.size() * kIdBytes + logprob_bytes, step, mono_us);
  const auto row = static_cast<uint32_t>(batch.attempt_size());
  batch.add_attempt(attempt);
  batch.add_choice(static_cast<uint32_t>(tokens.choice));
  batch.add_offset(static_cast<uint32_t>(tokens.offset));
  batch.add_count(static_cast<uint32_t>(tokens.ids.size()));
  for (size_t i = 0; i < tokens.ids.size(); ++i) {
    batch.add_ids(static_cast<uint32_t>(tokens.ids[i]));
    if (per_id == 0) continue;
    v1::Logprobs& logprobs = *batch.add_logprobs();
    logprobs.set_row(row);
    logprobs.set_index(static_cast<uint32_t>(i));
    set_logprobs(std::span(tokens.logprobs).subspan(i * per_id, per_id), logprobs);
  }
}

// The batch that takes `bytes` more: the newest one, or another where it would grow beyond the
// frame limit.
v1::StepBatch& FrameQueue::open_batch(size_t bytes, uint64_t step, uint64_t mono_us) {
  if (batches_.empty() || batches_.back().bytes + bytes > max_frame_bytes_) batches_.emplace_back();
  Batch& batch = batches_.back();
  batch.bytes += bytes;
  pending_bytes_ += bytes;
  batch.frame.set_step(step);
  batch.frame.set_mono_us(mono_us);
  return batch.frame;
}

bool FrameQueue::pop(v1::WorkerFrame& frame) {
  frame.Clear();
  if (hello_) {
    *frame.mutable_hello() = std::move(*std::exchange(hello_, std::nullopt));
  } else if (reply_) {
    *frame.mutable_ping() = *std::exchange(reply_, std::nullopt);
  } else if (ping_) {
    *frame.mutable_ping() = *std::exchange(ping_, std::nullopt);
  } else if (drain_) {
    *frame.mutable_drain() = std::move(*std::exchange(drain_, std::nullopt));
  } else if (grant_) {
    *frame.mutable_grant() = *std::exchange(grant_, std::nullopt);
  } else if (!batches_.empty()) {
    pending_bytes_ -= batches_.front().bytes;
    *frame.mutable_step() = std::move(batches_.front().frame);
    batches_.pop_front();
  } else {
    return false;
  }
  return true;
}

}  // namespace bessemer
