// Frames of the worker.
#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "router/upstream/lane_protocol.h"

namespace bessemer {
namespace {

// Events may be a little behind the word that there is no work; they are not a ping interval behind.
constexpr int32_t kIdleWords = 2;

// The choice has tokens that did not come. A cancelled one may: they were not sent any more.
bool is_behind(const v1::ChoiceEnd& end, uint32_t next) {
  return end.reason() != v1::END_CANCELLED && end.end_offset() > next;
}

Status broken(const std::string& what) {
  return absl::InternalError("the worker broke the session's protocol: " + what);
}

// Columns 4-7 have one entry a row, and the counts add up to the ids.
Status check_columns(const v1::StepBatch& step) {
  const int rows = step.attempt_size();
  if (step.choice_size() != rows || step.offset_size() != rows || step.count_size() != rows) {
    return broken(fmt::format("columns of {}, {}, {} and {} rows", rows, step.choice_size(),
                              step.offset_size(), step.count_size()));
  }
  uint64_t ids = 0;
  for (const uint32_t count : step.count()) {
    if (count == 0) return broken("a row without ids");
    ids += count;
  }
  if (ids != static_cast<uint64_t>(step.ids_size())) {
    return broken(fmt::format("rows of {} ids with {} ids", ids, step.ids_size()));
  }
  return absl::OkStatus();
}

// Sorted by (row, index), each naming an id of its row, with as many ids as values.
Status check_logprobs(const v1::StepBatch& step) {
  std::pair<uint32_t, uint32_t> last{0, 0};
  bool first = true;
  for (const auto& entry : step.logprobs()) {
    const std::pair<uint32_t, uint32_t> at{entry.row(), entry.index()};
    const bool in_range = entry.row() < static_cast<uint32_t>(step.attempt_size()) &&
                          entry.index() < step.count(static_cast<int>(entry.row()));
    if (!in_range || entry.ids_size() == 0 || entry.ids_size() != entry.values_size()) {
      return broken(fmt::format("logprobs of row {}, index {}", entry.row(), entry.index()));
    }
    if (!first && at <= last) return broken("logprobs out of order");
    first = false;
    last = at;
  }
  return absl::OkStatus();
}

}  // namespace

Status LaneProtocol::receive(const std::shared_ptr<const v1::WorkerFrame>& frame, TimePoint now,
                             Deliveries& out) {
  last_received_ = now;
  if (frame->has_hello()) return receive_hello(frame->hello());
  if (!hello_received_) return broken("a frame before Hello");
  switch (frame->body_case()) {
    case v1::WorkerFrame::kStep:
      return receive_step(frame, out);
    case v1::WorkerFrame::kPing:
      receive_ping(frame->ping(), out);
      return absl::OkStatus();
    case v1::WorkerFrame::kDrain:
      receive_drain(frame->drain(), out);
      return absl::OkStatus();
    case v1::WorkerFrame::kGrant:
      granted_ = frame->grant();
      return absl::OkStatus();
    case v1::WorkerFrame::kChunk:
      return broken("a Chunk, although no task here has chunked output");
    default:
      return absl::OkStatus();  // a kind of frame that is newer than this router
  }
}

Status LaneProtocol::receive_hello(const v1::Hello& hello) {
  if (hello_received_) return broken("a second Hello");
  if (hello.protocol_min() > kProtocol || hello.protocol_max() < kProtocol) {
    return absl::FailedPreconditionError(
        fmt::format("the worker speaks protocol {} to {}, this router {}; upgrade the older one",
                    hello.protocol_min(), hello.protocol_max(), kProtocol));
  }
  peer_ = hello;
  hello_received_ = true;
  // The smaller of the two holds for both; no frame is so small that nothing fits.
  if (hello.lease_ms() != 0)
    lease_ = std::min<Duration>(lease_, std::chrono::milliseconds(hello.lease_ms()));
  if (hello.max_frame_bytes() != 0) {
    frame_bytes_ = std::clamp<size_t>(hello.max_frame_bytes(), kMinFrameBytes, frame_bytes_);
  }
  return absl::OkStatus();
}

bool LaneProtocol::waits_for_credit(const LaneAttempt& attempt) {
  return attempt.send_until != 0 &&
         std::all_of(attempt.choices.begin(), attempt.choices.end(), [&](const auto& choice) {
           return choice.ended || choice.cancelled || choice.next >= attempt.send_until;
         });
}

void LaneProtocol::receive_drain(const v1::Drain& drain, Deliveries& out) {
  if (std::exchange(draining_, true)) return;
  const WorkerDrains drains{std::chrono::milliseconds(drain.deadline_ms())};
  for (const auto& [handle, attempt] : attempts_) out.add(attempt.key, drains);
}

void LaneProtocol::receive_ping(const v1::Ping& ping, Deliveries& out) {
  if (!ping.reply()) {
    if (urgent_.size() >= options_.max_attempts) return;
    auto* answer = urgent_.emplace_back().mutable_ping();
    answer->set_nonce(ping.nonce());
    answer->set_mono_us(ping.mono_us());
    answer->set_reply(true);
    return;
  }
  // L6 and L8. A worker that says no number of steps does not say whether it has work either.
  const bool idle = !ping.work_pending() && ping.engine_steps() != 0;
  std::vector<uint64_t> owed;
  for (auto& [handle, attempt] : attempts_) {
    const bool owes = attempt.sent && ping.nonce() > attempt.ping && !waits_for_credit(attempt);
    attempt.idle_words = idle && owes ? attempt.idle_words + 1 : 0;
    if (!owes) attempt.quiet_words = 0;
    if (owes && is_overdue(attempt, ping.engine_steps())) asks_.insert(handle);
    if (attempt.idle_words >= kIdleWords) owed.push_back(handle);
  }
  for (const uint64_t handle : owed)
    lose(handle, LossCause::protocol, "the worker has no work and has not ended it", out);
}

Status LaneProtocol::receive_step(const std::shared_ptr<const v1::WorkerFrame>& frame,
                                  Deliveries& out) {
  const v1::StepBatch& step = frame->step();
  RETURN_IF_ERROR(check_columns(step));
  RETURN_IF_ERROR(check_logprobs(step));
  for (const auto& event : step.before()) RETURN_IF_ERROR(receive_event(event, out));
  const uint32_t* ids = step.ids().data();
  const v1::Logprobs* const* logprobs = step.logprobs().data();
  const v1::Logprobs* const* logprobs_end = logprobs + step.logprobs_size();
  for (int row = 0; row < step.attempt_size(); row++) {
    const auto* const* begin = logprobs;
    while (logprobs != logprobs_end && (*logprobs)->row() == static_cast<uint32_t>(row)) logprobs++;
    const uint32_t count = step.count(row);
    const bool representable = step.choice(row) <= std::numeric_limits<int32_t>::max() &&
                               step.offset(row) <= std::numeric_limits<int32_t>::max();
    if (!representable) return broken("a row beyond all limits");
    receive_row(step.attempt(row),
                {static_cast<int32_t>(step.choice(row)),
                 static_cast<int32_t>(step.offset(row)),
                 {ids, count},
                 {begin, logprobs}},
                out);
    ids += count;
  }
  for (const auto& event : step.after()) RETURN_IF_ERROR(receive_event(event, out));
  return absl::OkStatus();
}

// L3.
void LaneProtocol::receive_row(uint64_t handle, TokenRow row, Deliveries& out) {
  const auto found = heard_of(handle);
  if (found == attempts_.end()) return;  // cancelled, or an epoch that is over
  LaneAttempt& attempt = found->second;
  const auto index = static_cast<size_t>(row.choice);
  const auto lost = [&](const std::string& why) {
    lose(found->first, LossCause::protocol, why, out);
  };
  if (index >= attempt.choices.size()) return lost("a token of a choice that was not asked for");
  LaneAttempt::Choice& choice = attempt.choices[index];
  const auto offset = static_cast<uint32_t>(row.offset);
  if (offset < choice.next) return;
  if (choice.ended) return lost("a token behind the end of its choice");
  if (offset > choice.next)
    return lost(fmt::format("tokens {} to {} are missing", choice.next, offset));
  choice.next += static_cast<uint32_t>(row.ids.size());
  out.add(attempt.key, row);
}

Status LaneProtocol::receive_event(const v1::Event& event, Deliveries& out) {
  const auto found = heard_of(event.attempt());
  if (found == attempts_.end()) return absl::OkStatus();
  const uint64_t handle = found->first;
  LaneAttempt& attempt = found->second;
  if (event.has_rejected() && attempt.attached && handle == event.attempt()) {
    const LossCause cause = attempt.asked ? LossCause::protocol : LossCause::lane;
    lose(handle, cause, event.rejected().detail(), out);
    return absl::OkStatus();
  }
  bool counts = true;
  if (event.has_choice_end())
    RETURN_IF_ERROR(receive_choice_end(handle, event.choice_end(), counts, out));
  if (!counts) return absl::OkStatus();
  const auto open = [](const LaneAttempt::Choice& one) { return !one.ended && !one.cancelled; };
  if (event.has_done() && std::any_of(attempt.choices.begin(), attempt.choices.end(), open)) {
    lose(handle, LossCause::protocol, "the end of a choice is missing", out);
    return absl::OkStatus();
  }
  out.add(attempt.key, &event);
  if (event.has_done() || event.has_failed() || event.has_rejected() || event.has_handoff())
    erase(handle);
  return absl::OkStatus();
}

// A repeated one does not count; one that tokens are missing before loses the attempt.
Status LaneProtocol::receive_choice_end(uint64_t handle, const v1::ChoiceEnd& end, bool& counts,
                                        Deliveries& out) {
  auto& choices = attempts_.at(handle).choices;
  if (end.choice() >= choices.size()) return broken("the end of a choice that was not asked for");
  LaneAttempt::Choice& choice = choices[end.choice()];
  counts = !choice.ended;
  if (!counts) return absl::OkStatus();
  if (is_behind(end, choice.next)) {
    counts = false;
    lose(handle, LossCause::protocol, "tokens before the end of a choice are missing", out);
    return absl::OkStatus();
  }
  choice.ended = true;
  return absl::OkStatus();
}

// The attempt cannot go on, the lane can.
void LaneProtocol::lose(uint64_t handle, LossCause cause, const std::string& reason,
                        Deliveries& out) {
  const auto shared = std::make_shared<const std::string>(reason);
  out.add(attempts_.at(handle).key, AttemptLost{shared, cause});
  if (attempts_.at(handle).sent) queue_cancel(handle, {});
  erase(handle);
}

}  // namespace bessemer
