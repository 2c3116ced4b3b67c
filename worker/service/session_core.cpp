#include "worker/service/session_core.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "common/log.h"
#include "proto/features.h"

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

bool offers(const v1::Hello& hello, Feature feature) {
  return std::ranges::find(hello.features(), static_cast<uint32_t>(feature)) !=
         hello.features().end();
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
  renew_grant(now);
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
      return host_.demand(frame.demand());
    case v1::RouterFrame::kCredit:
      return on_credit(frame.credit());
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
  host_.greet(hello.incarnation());
  attaches_ = limits_.orphan_ms > 0 && offers(hello, Feature::attach);
  grants_ = offers(hello, Feature::grant);
  hands_off_ = offers(hello, Feature::handoff);
  // The smaller lease and frame limit of the two hold for both sides.
  if (hello.lease_ms() != 0) lease_ = std::min<Duration>(lease_, milliseconds(hello.lease_ms()));
  next_ping_ = std::min(next_ping_, last_heard_ + lease_ / 3);
  constexpr uint32_t kLeastFrameBytes = 4096;
  if (hello.max_frame_bytes() != 0) {
    out_.set_max_frame_bytes(std::clamp(hello.max_frame_bytes(), kLeastFrameBytes, kMaxFrameBytes));
  }
  if (host_.draining()) out_.put_drain({});
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
  if (all && cancel.reason() == kCancelToHandOff && hands_off_) attempt.handing_off = true;
  if (!attempt.assembling) return host_.cancel(attempt.id, choices);
  if (all) return end_unstarted(at, now);
  attempt.cancelled.insert(choices.begin(), choices.end());
}

// Credit that comes before the input is complete goes with it.
void SessionCore::on_credit(const v1::Credit& credit) {
  const auto at = attempts_.find(credit.attempt());
  if (at == attempts_.end()) return;  // it has ended
  Attempt& attempt = at->second;
  if (!attempt.assembling) return host_.credit(attempt.id, to_offset(credit.send_until()));
  const uint32_t before = attempt.assembling->send_until();
  if (before != 0) attempt.assembling->set_send_until(std::max(before, credit.send_until()));
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

// A lane that is closed and not yet gone says nothing; the one that its attempts are attached to
// will.
bool SessionCore::on_event(StepId step, const EngineEvent& event, TimePoint now) {
  const auto handle = handles_.find(static_cast<uint64_t>(event.attempt));
  if (handle == handles_.end()) return false;
  const auto at = attempts_.find(handle->second);
  at->second.tail.note(event);
  const bool is_refused = std::holds_alternative<Rejected>(event.what);
  if (is_refused) fence_.release(at->second.request_id, at->second.id);
  if (!closed_) {
    last_step_ = step;
    say(at, event, now);
  }
  if (is_refused || (is_terminal(event) && !closed_)) drop(at);
  renew_grant(now);
  check_pending();
  return true;
}

void SessionCore::say(Attempts::iterator at, const EngineEvent& event, TimePoint now) {
  if (say_handoff(at, event, now)) return;
  out_.put_event(at->first, event, last_step_, mono_us(now));
}

// What is stopped here to go on elsewhere does not end: it is handed off. True: that is all that is
// said of the event.
bool SessionCore::say_handoff(Attempts::iterator at, const EngineEvent& event, TimePoint now) {
  Attempt& attempt = at->second;
  const auto* end = std::get_if<ChoiceEnd>(&event.what);
  if (attempt.handing_off && end != nullptr && end->reason == EndReason::cancelled)
    return attempt.stopped = true;
  const auto* failed = std::get_if<Failed>(&event.what);
  const bool shut_down = failed != nullptr && failed->fault == Fault::shutdown && hands_off_;
  if (!shut_down && !(attempt.stopped && std::holds_alternative<Done>(event.what))) return false;
  v1::Event handoff;
  handoff.set_attempt(at->first);
  for (size_t i = 0; i < attempt.tail.choices(); ++i) {
    handoff.mutable_handoff()->add_next_offset(static_cast<uint32_t>(attempt.tail.next(i)));
  }
  out_.put_event(std::move(handoff), last_step_, mono_us(now));
  return true;
}

void SessionCore::renew_grant(TimePoint now) {
  if (!grants_ || closed_ || now < next_grant_) return;
  next_grant_ = now + kGrantInterval;
  if (!grant_.renew(host_.grant_share())) return;
  v1::Grant grant;
  grant.set_tokens_until(grant_.granted().tokens);
  grant.set_attempts_until(grant_.granted().attempts);
  out_.put_grant(grant);
}

void SessionCore::on_tick(TimePoint now) {
  if (closed_) return;
  if (now - last_heard_ > lease_) {
    return close(absl::UnavailableError(
        fmt::format("no frame for {} ms: the lease has run out", lease_ / milliseconds(1))));
  }
  expire_assemblies(now);
  renew_grant(now);
  if (greeted_ && now >= next_ping_) ping(now);
  check_pending();
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

}  // namespace bessemer
