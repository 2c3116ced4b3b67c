#include "worker/service/session_core.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "common/log.h"

namespace bessemer {
namespace {

uint64_t mono_us(TimePoint now) {
  return static_cast<uint64_t>(microseconds(now.time_since_epoch()));
}

Duration milliseconds(int64_t count) {
  return std::chrono::milliseconds(count);
}

v1::Hello make_hello(const WorkerFacts& facts, const SessionLimits& limits) {
  v1::Hello hello;
  hello.set_protocol_min(kProtocolMin);
  hello.set_protocol_max(kProtocolMax);
  for (const uint32_t feature : facts.features) hello.add_features(feature);
  hello.set_incarnation(facts.incarnation);
  hello.set_node(facts.node);
  hello.set_version(facts.version);
  hello.set_lease_ms(static_cast<uint32_t>(limits.lease_ms));
  hello.set_orphan_ms(static_cast<uint32_t>(limits.orphan_ms));
  hello.set_max_frame_bytes(kMaxFrameBytes);
  hello.set_max_attempts(static_cast<uint32_t>(limits.max_attempts));
  v1::Served& served = *hello.add_served();
  served.set_card_hash(facts.card.card_hash());
  served.set_numerics(facts.card.numerics());
  served.set_hash_domain(facts.card.hash_domain());
  served.set_block_size(facts.card.block_tokens());
  return hello;
}

// Time until the backlog is computed; 0: not known yet.
int64_t backlog_us(const EngineStats& stats) {
  if (stats.prefill_tokens_per_s <= 0) return 0;
  return static_cast<int64_t>(1e6 * static_cast<double>(stats.backlog_tokens) /
                              stats.prefill_tokens_per_s);
}

// What an attempt holds in memory until its input is complete: its parameters, and all ids that it
// announces.
int64_t bytes_of(const v1::Start& start) {
  const int64_t to_come = prompt_tokens(start) - start.input().ids_size();
  return static_cast<int64_t>(start.SpaceUsedLong()) + to_come * int64_t{sizeof(uint32_t)};
}

// The choices named that exist, once each.
std::vector<int32_t> known_choices(const v1::Cancel& cancel, int32_t count) {
  std::set<uint32_t> known;
  for (const uint32_t choice : cancel.choices()) {
    if (choice < static_cast<uint32_t>(count)) known.insert(choice);
  }
  return {known.begin(), known.end()};
}

}  // namespace

SessionCore::SessionCore(const WorkerFacts& facts, const SessionLimits& limits, SessionHost& host,
                         EpochFence& fence, TimePoint now)
    : facts_(facts),
      limits_(limits),
      host_(host),
      fence_(fence),
      out_(kMaxFrameBytes),
      last_heard_(now),
      next_ping_(now + milliseconds(limits.ping_ms)),
      lease_(milliseconds(limits.lease_ms)) {
  out_.put_hello(make_hello(facts, limits));
}

void SessionCore::on_frame(const v1::RouterFrame& frame, TimePoint now) {
  if (closed_) return;
  last_heard_ = now;
  if (!greeted_ && !frame.has_hello())
    return close(absl::FailedPreconditionError("a frame came before Hello"));
  act_on(frame, now);
  check_pending();
}

void SessionCore::act_on(const v1::RouterFrame& frame, TimePoint now) {
  switch (frame.body_case()) {
    case v1::RouterFrame::kHello:
      return on_hello(frame.hello());
    case v1::RouterFrame::kStart:
      return on_start(frame.start(), now);
    case v1::RouterFrame::kChunk:
      return on_chunk(frame.chunk(), now);
    case v1::RouterFrame::kCancel:
      return on_cancel(frame.cancel(), now);
    case v1::RouterFrame::kAttach:
      return on_attach(frame.attach(), now);
    case v1::RouterFrame::kPing:
      return on_ping(frame.ping());
    case v1::RouterFrame::kDemand:
      return;  // advice on fairness: nothing is shared out by tenant yet
    case v1::RouterFrame::kCredit:
      return close(absl::UnimplementedError("Credit: feature 22 was not offered"));
    case v1::RouterFrame::kKvRelease:
      return close(absl::UnimplementedError("KvRelease: feature 25 was not offered"));
    case v1::RouterFrame::BODY_NOT_SET:
      return close(absl::UnimplementedError("a frame of an unknown kind"));
  }
}

void SessionCore::on_hello(const v1::Hello& hello) {
  if (greeted_) return close(absl::FailedPreconditionError("a second Hello"));
  if (hello.protocol_min() > kProtocolMax || hello.protocol_max() < kProtocolMin) {
    return close(absl::FailedPreconditionError(
        fmt::format("no common protocol: the router speaks {} to {}, this worker {} to {}",
                    hello.protocol_min(), hello.protocol_max(), kProtocolMin, kProtocolMax)));
  }
  greeted_ = true;
  // The smaller lease and frame limit of the two hold for both sides.
  if (hello.lease_ms() != 0) lease_ = std::min<Duration>(lease_, milliseconds(hello.lease_ms()));
  next_ping_ = std::min(next_ping_, last_heard_ + lease_ / 3);
  constexpr uint32_t kLeastFrameBytes = 4096;
  if (hello.max_frame_bytes() != 0) {
    out_.set_max_frame_bytes(std::clamp(hello.max_frame_bytes(), kLeastFrameBytes, kMaxFrameBytes));
  }
  if (host_.draining()) out_.put_drain({});
}

void SessionCore::on_start(const v1::Start& start, TimePoint now) {
  const uint64_t handle = start.attempt();
  if (handle <= last_handle_) {
    if (fence_.knows(start.request_id(), start.epoch()))
      return;  // idempotent: the first one is answered or running
    return close(absl::InvalidArgumentError(
        fmt::format("handle {} does not rise: {} was used", handle, last_handle_)));
  }
  last_handle_ = handle;
  Attempt attempt;
  attempt.id = host_.new_attempt();
  if (auto refusal = admit(start, attempt)) return reject(handle, *refusal, now);
  attempt.request_id = start.request_id();
  attempt.choices = static_cast<int32_t>(std::max<uint32_t>(start.generate().n(), 1));
  attempt.assembling = start;
  attempt.assembling_bytes = bytes_of(start);
  assembling_bytes_ += attempt.assembling_bytes;
  if (const uint32_t left = start.admission().remaining_ms(); left != 0)
    attempt.deadline = now + milliseconds(left);
  handles_.emplace(static_cast<uint64_t>(attempt.id), handle);
  const auto at = attempts_.emplace(handle, std::move(attempt)).first;
  if (!start.chunked()) submit(at, now);
}

// Nothing here depends on input that is still to come, so that a refusal is early.
std::optional<Refusal> SessionCore::admit(const v1::Start& start, Attempt& attempt) {
  if (host_.draining()) return Refusal{v1::REJECT_DRAINING, "this worker is draining"};
  if (auto refusal = check_start(start, facts_)) return refusal;
  if (auto refusal = check_capacity(start)) return refusal;
  // Even if all of its prompt were in the cache. How much of it is, the engine will say.
  const int64_t estimate = backlog_us(host_.stats());
  if (const int64_t most = max_ttft_us(start); most != 0 && estimate > most) {
    return Refusal{v1::REJECT_TOO_SLOW,
                   fmt::format("the backlog alone takes {} us, more than the {} us asked for",
                               estimate, most)};
  }
  return claim(start, attempt.id);
}

// Last, so that a refusal for want of room leaves the epoch free to come back.
std::optional<Refusal> SessionCore::claim(const v1::Start& start, AttemptId id) {
  const EpochFence::Claim claim = fence_.claim(start.request_id(), start.epoch(), id);
  if (claim.verdict != EpochFence::Verdict::fresh) {
    return Refusal{v1::REJECT_STALE_EPOCH,
                   fmt::format("epoch {} of this request, or a later one, was started here before",
                               start.epoch())};
  }
  if (claim.replaced) host_.cancel(*claim.replaced, {});
  return std::nullopt;
}

std::optional<Refusal> SessionCore::check_capacity(const v1::Start& start) const {
  if (attempts_.size() >= static_cast<size_t>(limits_.max_attempts)) {
    return Refusal{v1::REJECT_QUEUE_FULL,
                   fmt::format("{} attempts are alive on this lane", attempts_.size())};
  }
  if (start.chunked() && assembling_bytes_ + bytes_of(start) > limits_.max_assembling_bytes) {
    return arriving_inputs_full();
  }
  return std::nullopt;
}

Refusal SessionCore::arriving_inputs_full() const {
  return {v1::REJECT_QUEUE_FULL,
          fmt::format("inputs of {} bytes are still arriving on this lane", assembling_bytes_)};
}

void SessionCore::on_chunk(const v1::Chunk& chunk, TimePoint now) {
  const auto at = attempts_.find(chunk.attempt());
  if (at == attempts_.end()) {
    if (chunk.attempt() <= last_handle_)
      return;  // was refused or cancelled while this was on its way
    return close(absl::InvalidArgumentError(
        fmt::format("Chunk for attempt {}, which was not started", chunk.attempt())));
  }
  if (!at->second.assembling) {
    return close(absl::InvalidArgumentError(
        fmt::format("Chunk for attempt {}, whose input is complete", chunk.attempt())));
  }
  if (auto refusal = append_chunk(chunk, at->second)) return reject(at, *refusal, now);
  if (chunk.last()) submit(at, now);
}

std::optional<Refusal> SessionCore::append_chunk(const v1::Chunk& chunk, Attempt& attempt) {
  if (chunk.seq() != attempt.next_seq) {
    return Refusal{v1::REJECT_BAD_INPUT,
                   fmt::format("Chunk {} came where {} was due", chunk.seq(), attempt.next_seq)};
  }
  if (!chunk.data().empty())
    return Refusal{v1::REJECT_UNSUPPORTED, "chunk.data is not supported by this worker"};
  ++attempt.next_seq;
  v1::Input& input = *attempt.assembling->mutable_input();
  if (chunk.part() != 0) {
    if (auto refusal = append_delivered(chunk, attempt)) return refusal;
  } else {
    input.mutable_ids()->MergeFrom(chunk.ids());
  }
  const uint32_t have = static_cast<uint32_t>(input.ids_size()), total = input.total_ids();
  if (have <= total && (have == total || !chunk.last())) return std::nullopt;
  return Refusal{v1::REJECT_BAD_INPUT,
                 fmt::format("input.total_ids is {} but {} ids came", total, have)};
}

// What a choice has delivered is not announced, so each chunk of it is counted as it comes.
std::optional<Refusal> SessionCore::append_delivered(const v1::Chunk& chunk, Attempt& attempt) {
  v1::Resume& resume = *attempt.assembling->mutable_resume();
  if (chunk.part() > static_cast<uint32_t>(resume.choices_size())) {
    return Refusal{v1::REJECT_BAD_INPUT,
                   fmt::format("Chunk for part {}, of {} choices that are resumed", chunk.part(),
                               resume.choices_size())};
  }
  auto& ids = *resume.mutable_choices(static_cast<int>(chunk.part()) - 1)->mutable_ids();
  if (int64_t{ids.size()} + chunk.ids_size() > facts_.max_len) {
    return Refusal{v1::REJECT_TOO_LARGE,
                   fmt::format("choice {} has delivered more than the {} tokens of a sequence",
                               chunk.part() - 1, facts_.max_len)};
  }
  const int64_t bytes = int64_t{chunk.ids_size()} * int64_t{sizeof(uint32_t)};
  if (assembling_bytes_ + bytes > limits_.max_assembling_bytes) return arriving_inputs_full();
  assembling_bytes_ += bytes;
  attempt.assembling_bytes += bytes;
  ids.MergeFrom(chunk.ids());
  return std::nullopt;
}

// The input is complete: from here on the attempt is the engine's.
void SessionCore::submit(Attempts::iterator at, TimePoint now) {
  Attempt& attempt = at->second;
  auto result = to_request(*attempt.assembling, facts_);
  finish_assembly(at);
  if (const auto* refusal = std::get_if<Refusal>(&result)) return reject(at, *refusal, now);
  if (!fence_.holds(attempt.request_id, attempt.id)) {
    return reject(at,
                  {v1::REJECT_STALE_EPOCH,
                   "a later epoch of this request was started while its input arrived"},
                  now);
  }
  Request& request = std::get<Request>(result);
  request.id = attempt.id;
  request.deadline = attempt.deadline;
  if (!host_.submit(std::move(request))) {
    return reject(at, {v1::REJECT_QUEUE_FULL, "the engine's mailbox is full"}, now);
  }
  if (attempt.cancelled.empty()) return;
  host_.cancel(attempt.id,
               std::vector<int32_t>(attempt.cancelled.begin(), attempt.cancelled.end()));
}

void SessionCore::finish_assembly(Attempts::iterator at) {
  assembling_bytes_ -= std::exchange(at->second.assembling_bytes, 0);
  at->second.assembling.reset();
}

void SessionCore::reject(uint64_t handle, const Refusal& refusal, TimePoint now) {
  v1::Event event;
  event.set_attempt(handle);
  event.mutable_rejected()->set_reason(refusal.reason);
  event.mutable_rejected()->set_detail(refusal.detail);
  out_.put_event(std::move(event), last_step_, mono_us(now));
}

void SessionCore::reject(Attempts::iterator at, const Refusal& refusal, TimePoint now) {
  fence_.release(at->second.request_id, at->second.id);
  const uint64_t handle = at->first;
  drop(at);
  reject(handle, refusal, now);
}

void SessionCore::drop(Attempts::iterator at) {
  if (at->second.assembling) finish_assembly(at);
  handles_.erase(static_cast<uint64_t>(at->second.id));
  attempts_.erase(at);
}

void SessionCore::on_cancel(const v1::Cancel& cancel, TimePoint now) {
  const auto at = attempts_.find(cancel.attempt());
  if (at == attempts_.end()) return;  // idempotent: it ended already
  Attempt& attempt = at->second;
  const std::vector<int32_t> choices = known_choices(cancel, attempt.choices);
  const bool all = cancel.choices().empty();
  if (!all && choices.empty()) return;
  if (!attempt.assembling) return host_.cancel(attempt.id, choices);
  if (all) return end_unstarted(at, now);
  attempt.cancelled.insert(choices.begin(), choices.end());
}

// Cancelled before its input was complete: it ends as one that the engine cancels before its first
// token.
void SessionCore::end_unstarted(Attempts::iterator at, TimePoint now) {
  const uint64_t handle = at->first;
  const int32_t n = at->second.choices;
  drop(at);
  Done done;
  for (int32_t choice = 0; choice < n; ++choice) {
    out_.put_event(handle, {{}, ChoiceEnd{choice, EndReason::cancelled, -1, 0}}, last_step_,
                   mono_us(now));
    done.usage.generated.push_back(0);
  }
  out_.put_event(handle, {{}, std::move(done)}, last_step_, mono_us(now));
}

void SessionCore::on_attach(const v1::Attach& attach, TimePoint now) {
  if (attach.attempt() <= last_handle_) {
    return close(absl::InvalidArgumentError(
        fmt::format("handle {} does not rise: {} was used", attach.attempt(), last_handle_)));
  }
  last_handle_ = attach.attempt();
  reject(attach.attempt(),
         {v1::REJECT_NOT_FOUND, "no orphan of this request is kept: start it again"}, now);
}

// A reply goes back with the sender's own nonce and time, so that it can measure the round trip.
void SessionCore::on_ping(const v1::Ping& ping) {
  if (ping.reply()) return;
  const EngineStats stats = host_.stats();
  v1::Ping reply = ping;
  reply.set_engine_steps(stats.steps);
  reply.set_work_pending(stats.work_pending);
  reply.set_reply(true);
  out_.put_ping(reply);
}

void SessionCore::on_event(StepId step, const EngineEvent& event, TimePoint now) {
  const auto handle = handles_.find(static_cast<uint64_t>(event.attempt));
  if (closed_ || handle == handles_.end()) return;
  const auto at = attempts_.find(handle->second);
  last_step_ = step;
  out_.put_event(at->first, event, step, mono_us(now));
  if (std::holds_alternative<Rejected>(event.what))
    fence_.release(at->second.request_id, at->second.id);
  if (is_terminal(event)) drop(at);
  check_pending();
}

void SessionCore::on_tick(TimePoint now) {
  if (closed_) return;
  if (now - last_heard_ > lease_) {
    return close(absl::UnavailableError(
        fmt::format("no frame for {} ms: the lease has run out", lease_ / milliseconds(1))));
  }
  expire_assemblies(now);
  if (greeted_ && now >= next_ping_) ping(now);
  check_pending();
}

// The engine ends what it knows; an input that stalls must not hold its place for ever.
void SessionCore::expire_assemblies(TimePoint now) {
  if (assembling_bytes_ == 0) return;
  for (auto next = attempts_.begin(); next != attempts_.end();) {
    const auto at = next++;
    if (!at->second.assembling || now < at->second.deadline) continue;
    reject(at, {v1::REJECT_TOO_SLOW, "the deadline passed before the input was complete"}, now);
  }
}

void SessionCore::check_pending() {
  if (closed_ || out_.pending_bytes() <= limits_.max_pending_bytes) return;
  close(absl::ResourceExhaustedError(
      fmt::format("the router reads too slowly: {} bytes wait", out_.pending_bytes())));
}

void SessionCore::ping(TimePoint now) {
  // A lease shorter than three pings would run out between two of them.
  next_ping_ = now + std::min<Duration>(milliseconds(limits_.ping_ms), lease_ / 3);
  const EngineStats stats = host_.stats();
  v1::Ping ping;
  ping.set_nonce(++ping_nonce_);
  ping.set_mono_us(mono_us(now));
  ping.set_engine_steps(stats.steps);
  ping.set_work_pending(stats.work_pending);
  out_.put_ping(ping);
}

void SessionCore::on_drain(uint32_t deadline_ms) {
  v1::Drain drain;
  drain.set_deadline_ms(deadline_ms);
  drain.set_reason("the worker is shutting down");
  if (greeted_) out_.put_drain(std::move(drain));
}

void SessionCore::on_hang_up() {
  close(absl::OkStatus());
}

bool SessionCore::next_frame(v1::WorkerFrame& frame) {
  return !closed_ && out_.pop(frame);
}

void SessionCore::close(Status status) {
  if (closed_) return;
  if (!status.ok()) log().warn("lane closed: {}", std::string(status.message()));
  closed_ = std::move(status);
}

std::vector<AttemptId> SessionCore::take_attempts() {
  std::vector<AttemptId> ids;
  for (const auto& [handle, attempt] : attempts_) {
    if (!attempt.assembling) ids.push_back(attempt.id);
  }
  attempts_.clear();
  handles_.clear();
  assembling_bytes_ = 0;
  return ids;
}

}  // namespace bessemer
