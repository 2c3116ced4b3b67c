#include "router/upstream/lane_protocol.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "common/check.h"

namespace bessemer {
namespace {

constexpr size_t kMaxIdBytes = 5;       // a varint of 32 bits
constexpr size_t kFrameHeadBytes = 64;  // tags and lengths around the ids of a frame
constexpr size_t kPartHeadBytes = 24;   // likewise around those of a resumed choice
constexpr int kCoreShift = 48;  // a core owns 2^48 serials: at a million a second, nine years

using Ids = google::protobuf::RepeatedField<uint32_t>;

// The ids of part `part` (Chunk::part): the prompt, then what each choice goes on from.
Ids& ids_of(v1::Start& start, uint32_t part) {
  if (part == 0) return *start.mutable_input()->mutable_ids();
  return *start.mutable_resume()->mutable_choices(static_cast<int>(part) - 1)->mutable_ids();
}

std::vector<Ids> take_ids(v1::Start& start) {
  std::vector<Ids> parts(1 + static_cast<size_t>(start.resume().choices_size()));
  for (uint32_t part = 0; part < parts.size(); part++) parts[part].Swap(&ids_of(start, part));
  return parts;
}

// Choices start behind what the attempt goes on from.
std::vector<LaneAttempt::Choice> first_choices(const v1::Start& start) {
  const size_t count = std::max<size_t>(start.has_generate() ? start.generate().n() : 1, 1);
  std::vector<LaneAttempt::Choice> choices(count);
  const auto& delivered = start.resume().choices();
  for (size_t i = 0; i < std::min<size_t>(count, static_cast<size_t>(delivered.size())); i++) {
    const v1::Delivered& one = delivered[static_cast<int>(i)];
    choices[i] = {static_cast<uint32_t>(one.ids_size()), one.end() != v1::END_UNSPECIFIED};
  }
  return choices;
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
  hello->add_features(static_cast<uint32_t>(Feature::resume));
  hello->add_features(static_cast<uint32_t>(Feature::attach));
  hello->add_features(static_cast<uint32_t>(Feature::grant));
  hello->add_features(static_cast<uint32_t>(Feature::handoff));
  hello->add_features(static_cast<uint32_t>(Feature::tenants));
  hello->set_incarnation(options.incarnation);
  hello->set_node(options.node);
  hello->set_version(options.version);
  hello->set_lane(options.lane);
  hello->set_lanes(options.lanes);
  hello->set_lease_ms(static_cast<uint32_t>(microseconds(options.lease) / 1000));
  hello->set_max_frame_bytes(options.max_frame_bytes);
  hello->set_max_attempts(static_cast<uint32_t>(options.max_attempts));
}

uint64_t LaneProtocol::packed(AttemptKey key) {
  DCHECK(key.serial < (uint64_t{1} << kCoreShift));
  return (uint64_t{key.core} << kCoreShift) | key.serial;
}

bool LaneProtocol::peer_offers(Feature feature) const {
  return peer_offers(static_cast<uint32_t>(feature));
}
bool LaneProtocol::peer_offers(uint32_t feature) const {
  return std::ranges::find(peer_.features(), feature) != peer_.features().end();
}

// ---- from the request path ----

Status LaneProtocol::check_start(const v1::Start& start) const {
  if (!hello_received_) return absl::UnavailableError("the worker has not said Hello");
  if (draining_) return absl::UnavailableError("the worker is draining");
  for (const uint32_t feature : start.required_features()) {
    if (!peer_offers(feature)) {
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
  LaneAttempt attempt{key, start.request_id(), start.epoch(), first_choices(start), {}};
  attempt.send_until = start.send_until();
  // A worker keeps nothing of a request whose prompt it scores.
  attempt.can_ask = can_attach() && !start.generate().has_prompt_logprobs();
  std::vector<Ids> parts = take_ids(start);
  const size_t others =
      start.ByteSizeLong() + kFrameHeadBytes + kPartHeadBytes * (parts.size() - 1);
  if (others > frame_bytes_ / 2) {
    return absl::InvalidArgumentError(fmt::format(
        "its parameters take {} bytes, of which at most {} can be sent", others, frame_bytes_ / 2));
  }
  start.set_attempt(last_handle_ + 1);
  start.mutable_input()->set_total_ids(static_cast<uint32_t>(parts[0].size()));
  Upload rest = put_back(start, parts, (frame_bytes_ - others) / kMaxIdBytes);
  if (!rest.pieces.empty()) {
    if (!peer_offers(Feature::chunked_input))
      return absl::UnimplementedError("the worker takes no prompt longer than one frame");
    start.set_chunked(true);
    start.add_required_features(static_cast<uint32_t>(Feature::chunked_input));
    queued_bytes_ += bytes_of(rest);
    uploads_.push_back(std::move(rest));
  }
  const uint64_t handle = ++last_handle_;
  attempts_.emplace(handle, std::move(attempt));
  CHECK(handles_.emplace(packed(key), handle).second);
  queue_start(std::move(start));
  return absl::OkStatus();
}

// As many ids as there is room for; what is left goes on as an upload.
LaneProtocol::Upload LaneProtocol::put_back(v1::Start& start, std::vector<Ids>& parts,
                                            size_t room) {
  Upload rest{start.attempt(), {}};
  for (uint32_t part = 0; part < parts.size(); part++) {
    Ids& ids = parts[part];
    const auto here = static_cast<std::ptrdiff_t>(std::min(room, static_cast<size_t>(ids.size())));
    room -= static_cast<size_t>(here);
    if (here < ids.size()) rest.pieces.push_back({part, {ids.begin() + here, ids.end()}});
    ids.Truncate(static_cast<int>(here));
    ids_of(start, part).Swap(&ids);
  }
  return rest;
}

size_t LaneProtocol::bytes_of(const Upload& upload) {
  size_t ids = 0;
  for (const auto& piece : upload.pieces) ids += piece.ids.size();
  return (ids - upload.position) * sizeof(uint32_t);
}

void LaneProtocol::queue_start(v1::Start start) {
  brought_tokens_ += start.input().total_ids();
  brought_attempts_++;
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
  LaneAttempt& attempt = attempts_.at(handle);
  if (attempt.sent) queue_cancel(handle, choices);
  for (const uint32_t choice : choices) {
    if (choice < attempt.choices.size()) attempt.choices[choice].cancelled = true;
  }
  if (choices.empty()) erase(handle);
}

void LaneProtocol::credit(AttemptKey key, uint32_t send_until) {
  const auto found = handles_.find(packed(key));
  if (found == handles_.end()) return;
  LaneAttempt& attempt = attempts_.at(found->second);
  if (attempt.send_until == 0 || send_until <= attempt.send_until) return;
  attempt.send_until = send_until;
  credits_.insert(found->second);
}

// Of what has ended meanwhile nothing needs to be said.
bool LaneProtocol::next_credit(v1::RouterFrame& out) {
  while (!credits_.empty()) {
    const uint64_t handle = *credits_.begin();
    const auto found = attempts_.find(handle);
    if (found != attempts_.end() && !found->second.sent) return false;  // behind its Start
    credits_.erase(credits_.begin());
    if (found == attempts_.end()) continue;
    out.Clear();
    out.mutable_credit()->set_attempt(handle);
    out.mutable_credit()->set_send_until(found->second.send_until);
    return true;
  }
  return false;
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
  // The worker never hears of it, and would grant nothing more for it.
  brought_tokens_ -= start->frame.start().input().total_ids();
  brought_attempts_--;
  starts_.erase(start);
}

void LaneProtocol::erase(uint64_t handle) {
  const auto found = attempts_.find(handle);
  if (found == attempts_.end()) return;
  if (!found->second.sent) drop_unsent(handle);
  handles_.erase(packed(found->second.key));
  aliases_.erase(found->second.former);
  attempts_.erase(found);
  const auto upload = std::find_if(uploads_.begin(), uploads_.end(),
                                   [&](const Upload& one) { return one.attempt == handle; });
  if (upload == uploads_.end()) return;
  queued_bytes_ -= bytes_of(*upload);
  uploads_.erase(upload);
}

// ---- to the wire ----

void LaneProtocol::demand(const v1::Demand& demand) {
  if (hello_received_ && peer_offers(Feature::tenants)) demand_ = demand;
}

bool LaneProtocol::may_bring() const {
  if (!hello_received_ || draining_) return false;
  if (!peer_offers(Feature::grant)) return true;
  return brought_tokens_ < granted_.tokens_until() && brought_attempts_ < granted_.attempts_until();
}

bool LaneProtocol::next_frame(v1::RouterFrame& out) {
  if (!urgent_.empty()) {
    // A cancel may overtake nothing but Starts that are still here, and those are dropped instead
    // of cancelled.
    out = std::move(urgent_.front());
    urgent_.pop_front();
    return true;
  }
  if (!hello_received_) return false;
  if (demand_) {
    out.Clear();
    *out.mutable_demand() = *std::move(demand_);
    demand_.reset();
    return true;
  }
  if (next_credit(out)) return true;
  if (!starts_.empty()) {
    LaneAttempt& attempt = attempts_.at(starts_.front().frame.start().attempt());
    attempt.sent = true;
    attempt.ping = starts_.front().frame.start().chunked() ? UINT64_MAX : last_nonce_;
    queued_bytes_ -= starts_.front().bytes;
    out = std::move(starts_.front().frame);
    starts_.pop_front();
    return true;
  }
  if (next_ask(out)) return true;
  if (uploads_.empty()) return false;
  next_chunk(out);
  return true;
}

void LaneProtocol::next_chunk(v1::RouterFrame& out) {
  Upload upload = std::move(uploads_.front());
  uploads_.pop_front();
  const Upload::Piece& piece = upload.pieces.front();
  const size_t count =
      std::min((frame_bytes_ - kFrameHeadBytes) / kMaxIdBytes, piece.ids.size() - upload.position);
  out.Clear();
  auto* chunk = out.mutable_chunk();
  chunk->set_attempt(upload.attempt);
  chunk->set_seq(upload.seq++);
  chunk->set_part(piece.part);
  const auto first = piece.ids.begin() + static_cast<std::ptrdiff_t>(upload.position);
  chunk->mutable_ids()->Add(first, first + static_cast<std::ptrdiff_t>(count));
  upload.position += count;
  queued_bytes_ -= count * sizeof(uint32_t);
  if (upload.position == piece.ids.size()) {
    upload.pieces.pop_front();
    upload.position = 0;
  }
  chunk->set_last(upload.pieces.empty());
  if (chunk->last()) attempts_.at(upload.attempt).ping = last_nonce_;
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

void LaneProtocol::abandon(LossCause cause, const std::string& reason, Deliveries& out) {
  const auto shared = std::make_shared<const std::string>(reason);
  for (const auto& [handle, attempt] : attempts_) {
    out.add(attempt.key, AttemptLost{shared, cause});
    if (attempt.sent) queue_cancel(handle, {});
  }
  forget_all();
}

void LaneProtocol::forget_all() {
  attempts_.clear();
  handles_.clear();
  aliases_.clear();
  credits_.clear();
  asks_.clear();
  starts_.clear();
  uploads_.clear();
  queued_bytes_ = 0;
}

void LaneProtocol::close(LossCause cause, const std::string& reason, Deliveries& out) {
  const auto shared = std::make_shared<const std::string>(reason);
  for (const auto& [handle, attempt] : attempts_) out.add(attempt.key, AttemptLost{shared, cause});
  forget_all();
  urgent_.clear();
  hello_received_ = false;
}

}  // namespace bessemer
