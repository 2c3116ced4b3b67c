#include "router/upstream/lane_protocol.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "common/check.h"
#include "proto/features.h"

namespace bessemer {
namespace {

constexpr uint32_t kProtocol = 1;
constexpr size_t kMinFrameBytes = 4096;  // a peer that announces less gets this
constexpr size_t kMaxIdBytes = 5;        // a varint of 32 bits
constexpr size_t kFrameHeadBytes = 64;   // tags and lengths around the ids of a frame
constexpr int kCoreShift = 48;  // a core owns 2^48 serials: at a million a second, nine years

uint64_t packed(AttemptKey key) {
  DCHECK(key.serial < (uint64_t{1} << kCoreShift));
  return (uint64_t{key.core} << kCoreShift) | key.serial;
}

bool contains(const google::protobuf::RepeatedField<uint32_t>& values, uint32_t value) {
  return std::find(values.begin(), values.end(), value) != values.end();
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

LaneProtocol::LaneProtocol(const LaneOptions& options, TimePoint now)
    : options_(options),
      lease_(options.lease),
      frame_bytes_(std::max<size_t>(options.max_frame_bytes, kMinFrameBytes)),
      opened_(now),
      last_received_(now),
      last_ping_(now) {
  auto* hello = urgent_.emplace_back().mutable_hello();
  hello->set_protocol_min(kProtocol);
  hello->set_protocol_max(kProtocol);
  for (auto feature = static_cast<uint32_t>(Feature::generate);
       feature <= static_cast<uint32_t>(Feature::typical_p); feature++) {
    hello->add_features(feature);
  }
  hello->set_incarnation(options.incarnation);
  hello->set_node(options.node);
  hello->set_version(options.version);
  hello->set_lane(options.lane);
  hello->set_lanes(options.lanes);
  hello->set_lease_ms(static_cast<uint32_t>(microseconds(options.lease) / 1000));
  hello->set_max_frame_bytes(options.max_frame_bytes);
  hello->set_max_attempts(static_cast<uint32_t>(options.max_attempts));
}

// ---- from the request path ----

Status LaneProtocol::check_start(const v1::Start& start) const {
  if (!hello_received_) return absl::UnavailableError("the worker has not said Hello");
  if (draining_) return absl::UnavailableError("the worker is draining");
  for (const uint32_t feature : start.required_features()) {
    if (!contains(peer_.features(), feature)) {
      return absl::UnimplementedError(fmt::format("the worker lacks feature {}", feature));
    }
  }
  const size_t limit = peer_.max_attempts() != 0
                           ? std::min<size_t>(peer_.max_attempts(), options_.max_attempts)
                           : options_.max_attempts;
  if (attempts_.size() >= limit) {
    return absl::ResourceExhaustedError("the lane is full of attempts");
  }
  if (queued_bytes_ >= options_.max_queued_bytes) {
    return absl::ResourceExhaustedError("the worker does not take what is sent to it");
  }
  return absl::OkStatus();
}

Status LaneProtocol::start(AttemptKey key, v1::Start start) {
  RETURN_IF_ERROR(check_start(start));
  Ids ids;
  ids.Swap(start.mutable_input()->mutable_ids());
  const size_t others = start.ByteSizeLong() + kFrameHeadBytes;
  if (others > frame_bytes_ / 2) {
    return absl::InvalidArgumentError(fmt::format(
        "its parameters take {} bytes, of which at most {} can be sent", others, frame_bytes_ / 2));
  }
  const size_t room = (frame_bytes_ - others) / kMaxIdBytes;
  const bool chunked = static_cast<size_t>(ids.size()) > room;
  if (chunked && !contains(peer_.features(), static_cast<uint32_t>(Feature::chunked_input))) {
    return absl::UnimplementedError("the worker takes no prompt longer than one frame");
  }
  const uint64_t handle = ++last_handle_;
  start.set_attempt(handle);
  const size_t choices = std::max<size_t>(start.has_generate() ? start.generate().n() : 1, 1);
  attempts_[handle] = {key, std::vector<uint32_t>(choices, 0), false};
  CHECK(handles_.emplace(packed(key), handle).second);
  start.mutable_input()->set_total_ids(static_cast<uint32_t>(ids.size()));
  if (chunked) cut(start, ids, room);
  start.mutable_input()->mutable_ids()->Swap(&ids);
  queue_start(std::move(start));
  return absl::OkStatus();
}

// Leaves `room` ids in `ids` and queues the rest as an upload.
void LaneProtocol::cut(v1::Start& start, Ids& ids, size_t room) {
  Upload upload{start.attempt(), {ids.begin() + static_cast<std::ptrdiff_t>(room), ids.end()}};
  queued_bytes_ += upload.ids.size() * sizeof(uint32_t);
  uploads_.push_back(std::move(upload));
  ids.Truncate(static_cast<int>(room));
  start.set_chunked(true);
  start.add_required_features(static_cast<uint32_t>(Feature::chunked_input));
}

void LaneProtocol::queue_start(v1::Start start) {
  Outgoing out;
  *out.frame.mutable_start() = std::move(start);
  out.bytes = out.frame.ByteSizeLong();
  queued_bytes_ += out.bytes;
  starts_.push_back(std::move(out));
}

void LaneProtocol::cancel(AttemptKey key, const std::vector<uint32_t>& choices) {
  const auto found = handles_.find(packed(key));
  if (found == handles_.end()) return;
  const uint64_t handle = found->second;
  if (attempts_.at(handle).sent) queue_cancel(handle, choices);
  if (choices.empty()) erase(handle);
}

void LaneProtocol::queue_cancel(uint64_t handle, const std::vector<uint32_t>& choices) {
  auto* cancel = urgent_.emplace_back().mutable_cancel();
  cancel->set_attempt(handle);
  for (const uint32_t choice : choices) cancel->add_choices(choice);
}

void LaneProtocol::drop_unsent(uint64_t handle) {
  const auto start = std::find_if(starts_.begin(), starts_.end(), [&](const Outgoing& out) {
    return out.frame.start().attempt() == handle;
  });
  CHECK(start != starts_.end());
  queued_bytes_ -= start->bytes;
  starts_.erase(start);
}

void LaneProtocol::erase(uint64_t handle) {
  const auto found = attempts_.find(handle);
  if (found == attempts_.end()) return;
  if (!found->second.sent) drop_unsent(handle);
  handles_.erase(packed(found->second.key));
  attempts_.erase(found);
  const auto upload = std::find_if(uploads_.begin(), uploads_.end(),
                                   [&](const Upload& one) { return one.attempt == handle; });
  if (upload == uploads_.end()) return;
  queued_bytes_ -= (upload->ids.size() - upload->position) * sizeof(uint32_t);
  uploads_.erase(upload);
}

// ---- to the wire ----

bool LaneProtocol::next_frame(v1::RouterFrame& out) {
  if (!urgent_.empty()) {
    // A cancel may overtake nothing but Starts that are still here, and those are dropped instead
    // of cancelled.
    out = std::move(urgent_.front());
    urgent_.pop_front();
    return true;
  }
  if (!hello_received_) return false;
  if (!starts_.empty()) {
    attempts_.at(starts_.front().frame.start().attempt()).sent = true;
    queued_bytes_ -= starts_.front().bytes;
    out = std::move(starts_.front().frame);
    starts_.pop_front();
    return true;
  }
  if (uploads_.empty()) return false;
  next_chunk(out);
  return true;
}

void LaneProtocol::next_chunk(v1::RouterFrame& out) {
  Upload upload = std::move(uploads_.front());
  uploads_.pop_front();
  const size_t count =
      std::min((frame_bytes_ - kFrameHeadBytes) / kMaxIdBytes, upload.ids.size() - upload.position);
  out.Clear();
  auto* chunk = out.mutable_chunk();
  chunk->set_attempt(upload.attempt);
  chunk->set_seq(upload.seq++);
  const auto first = upload.ids.begin() + static_cast<std::ptrdiff_t>(upload.position);
  chunk->mutable_ids()->Add(first, first + static_cast<std::ptrdiff_t>(count));
  upload.position += count;
  queued_bytes_ -= count * sizeof(uint32_t);
  chunk->set_last(upload.position == upload.ids.size());
  if (!chunk->last()) uploads_.push_back(std::move(upload));
}

Status LaneProtocol::tick(TimePoint now) {
  if (!hello_received_) {
    if (now - opened_ < options_.hello_timeout) return absl::OkStatus();
    return absl::DeadlineExceededError("the worker did not answer Hello");
  }
  if (now - last_received_ >= lease_) {
    return absl::DeadlineExceededError("the worker has been silent for its lease");
  }
  if (now - last_ping_ >= options_.ping_interval) {
    last_ping_ = now;
    auto* ping = urgent_.emplace_back().mutable_ping();
    ping->set_nonce(++last_nonce_);
    ping->set_mono_us(static_cast<uint64_t>(microseconds(now.time_since_epoch())));
  }
  return absl::OkStatus();
}

void LaneProtocol::close(const std::string& reason, Deliveries& out) {
  const auto shared = std::make_shared<const std::string>(reason);
  for (const auto& [handle, attempt] : attempts_) out.add(attempt.key, AttemptLost{shared});
  attempts_.clear();
  handles_.clear();
  urgent_.clear();
  starts_.clear();
  uploads_.clear();
  queued_bytes_ = 0;
  hello_received_ = false;
}

// ---- from the wire ----

Status LaneProtocol::receive(const std::shared_ptr<const v1::WorkerFrame>& frame, TimePoint now,
                             Deliveries& out) {
  last_received_ = now;
  if (frame->has_hello()) return receive_hello(frame->hello());
  if (!hello_received_) return broken("a frame before Hello");
  switch (frame->body_case()) {
    case v1::WorkerFrame::kStep:
      return receive_step(frame, out);
    case v1::WorkerFrame::kPing:
      if (!frame->ping().reply() && urgent_.size() < options_.max_attempts) {
        auto* answer = urgent_.emplace_back().mutable_ping();
        answer->set_nonce(frame->ping().nonce());
        answer->set_mono_us(frame->ping().mono_us());
        answer->set_reply(true);
      }
      return absl::OkStatus();
    case v1::WorkerFrame::kDrain:
      draining_ = true;
      return absl::OkStatus();
    case v1::WorkerFrame::kGrant:
      return absl::OkStatus();  // a worker that grants also rejects beyond its grant; the refusal
                                // is what is heeded here
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
  const auto found = attempts_.find(handle);
  if (found == attempts_.end()) return;  // cancelled, or an epoch that is over
  Attempt& attempt = found->second;
  const auto choice = static_cast<size_t>(row.choice);
  if (choice >= attempt.next.size())
    return lose(handle, "a token of a choice that was not asked for", out);
  const uint32_t next = attempt.next[choice];
  if (next == kEnded) return lose(handle, "a token behind the end of its choice", out);
  const auto offset = static_cast<uint32_t>(row.offset);
  if (offset < next) return;
  if (offset > next)
    return lose(handle, fmt::format("tokens {} to {} are missing", next, offset), out);
  attempt.next[choice] = next + static_cast<uint32_t>(row.ids.size());
  out.add(attempt.key, row);
}

Status LaneProtocol::receive_event(const v1::Event& event, Deliveries& out) {
  const auto found = attempts_.find(event.attempt());
  if (found == attempts_.end()) return absl::OkStatus();
  Attempt& attempt = found->second;
  if (event.has_choice_end()) RETURN_IF_ERROR(end_choice(attempt, event.choice_end()));
  out.add(attempt.key, &event);
  if (event.has_done() || event.has_failed() || event.has_rejected()) erase(event.attempt());
  return absl::OkStatus();
}

Status LaneProtocol::end_choice(Attempt& attempt, const v1::ChoiceEnd& end) {
  if (end.choice() >= attempt.next.size())
    return broken("the end of a choice that was not asked for");
  uint32_t& next = attempt.next[end.choice()];
  if (next == kEnded) return broken("a choice that ends twice");
  next = kEnded;
  return absl::OkStatus();
}

// The attempt cannot go on, the lane can.
void LaneProtocol::lose(uint64_t handle, const std::string& reason, Deliveries& out) {
  out.add(attempts_.at(handle).key, AttemptLost{std::make_shared<const std::string>(reason)});
  if (attempts_.at(handle).sent) queue_cancel(handle, {});
  erase(handle);
}

}  // namespace bessemer
