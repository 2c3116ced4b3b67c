#include "router/upstream/lane.h"

#include <algorithm>

#include "common/check.h"

namespace bessemer {

Status Lane::start(AttemptKey key, v1::Start start) {
  {
    std::lock_guard lock(mutex_);
    if (!protocol_) return absl::UnavailableError("the worker is not connected");
    RETURN_IF_ERROR(protocol_->start(key, std::move(start)));
  }
  look_for_room();
  pump();
  return absl::OkStatus();
}

void Lane::demand(const v1::Demand& demand) {
  {
    std::lock_guard lock(mutex_);
    if (protocol_) protocol_->demand(demand);
  }
  pump();
}

void Lane::look_for_room() {
  {
    std::lock_guard lock(mutex_);
    const bool now = protocol_ && protocol_->may_bring();
    if (may_bring_.exchange(now, std::memory_order_relaxed) == now) return;
  }
  room_changed_();
}

void Lane::cancel(AttemptKey key, const std::vector<uint32_t>& choices) {
  {
    std::lock_guard lock(mutex_);
    if (cancel_orphan(key, choices) || !protocol_) return;
    protocol_->cancel(key, choices);
  }
  look_for_room();
  pump();
}

void Lane::credit(AttemptKey key, uint32_t send_until) {
  {
    std::lock_guard lock(mutex_);
    if (const auto orphan = find_orphan(key); orphan != orphans_.end()) {
      orphan->send_until = std::max(orphan->send_until, send_until);
    } else if (protocol_) {
      protocol_->credit(key, send_until);
    }
  }
  pump();
}

std::vector<LaneAttempt>::iterator Lane::find_orphan(AttemptKey key) {
  return std::find_if(orphans_.begin(), orphans_.end(), [&](const LaneAttempt& one) {
    return one.key.core == key.core && one.key.serial == key.serial;
  });
}

// One that is cancelled altogether is left to the worker, which ends what nobody attaches.
bool Lane::cancel_orphan(AttemptKey key, const std::vector<uint32_t>& choices) {
  const auto found = find_orphan(key);
  if (found == orphans_.end()) return false;
  if (choices.empty()) {
    orphans_.erase(found);
  } else {
    found->cancelled.insert(found->cancelled.end(), choices.begin(), choices.end());
  }
  return true;
}

bool Lane::ready() const {
  std::lock_guard lock(mutex_);
  return protocol_ && protocol_->ready() && !protocol_->draining();
}

bool Lane::is_open() const {
  std::lock_guard lock(mutex_);
  return protocol_.has_value();
}

std::string Lane::close_reason() const {
  std::lock_guard lock(mutex_);
  return close_reason_;
}

void Lane::open(std::shared_ptr<Wire> wire, const LaneOptions& options, TimePoint now) {
  {
    std::lock_guard lock(mutex_);
    CHECK(!protocol_ && !writing_);
    protocol_.emplace(options, now);
    wire_ = std::move(wire);
    close_reason_.clear();
  }
  pump();
}

void Lane::tick(TimePoint now) {
  std::shared_ptr<Wire> silent;
  Deliveries deliveries;
  {
    std::lock_guard lock(mutex_);
    if (!orphans_.empty() && now >= orphans_until_)
      lose_orphans(LossCause::lane, "the connection to the worker did not come back", deliveries);
    const Status status = protocol_ ? protocol_->tick(now) : absl::OkStatus();
    if (!status.ok()) {
      close_reason_ = std::string(status.message());
      close_cause_ = LossCause::lease;
      silent = wire_;
    }
  }
  if (!deliveries.batches().empty()) deliver_(deliveries.batches());
  if (silent != nullptr) {
    silent->close();
  } else {
    pump();
  }
}

void Lane::shut() {
  std::shared_ptr<Wire> wire;
  {
    std::lock_guard lock(mutex_);
    wire = wire_;
    close_reason_ = "the router is shutting down";
    close_cause_ = LossCause::lane;
  }
  if (wire != nullptr) wire->close();
}

void Lane::abandon(LossCause cause, const std::string& reason) {
  Deliveries deliveries;
  {
    std::lock_guard lock(mutex_);
    lose_orphans(cause, reason, deliveries);
    if (protocol_) protocol_->abandon(cause, reason, deliveries);
  }
  if (!deliveries.batches().empty()) deliver_(deliveries.batches());
  pump();
}

void Lane::abandon_orphans(LossCause cause, const std::string& reason) {
  Deliveries deliveries;
  {
    std::lock_guard lock(mutex_);
    lose_orphans(cause, reason, deliveries);
  }
  if (!deliveries.batches().empty()) deliver_(deliveries.batches());
}

void Lane::lose_orphans(LossCause cause, const std::string& reason, Deliveries& out) {
  const auto shared = std::make_shared<const std::string>(reason);
  for (const auto& orphan : orphans_) out.add(orphan.key, AttemptLost{shared, cause});
  orphans_.clear();
}

// One write is outstanding at a time; whoever finds the wire free takes the next frame to it.
void Lane::pump() {
  std::shared_ptr<Wire> wire;
  {
    std::lock_guard lock(mutex_);
    if (writing_ || !protocol_ || !protocol_->next_frame(outgoing_)) return;
    writing_ = true;
    wire = wire_;
  }
  wire->write(outgoing_);
}

void Lane::written(bool ok) {
  std::shared_ptr<Wire> free;
  {
    std::lock_guard lock(mutex_);
    writing_ = false;
    if (!protocol_) free = std::move(wire_);  // lost() came first and left the wire to us
  }
  if (free != nullptr) return free->release();
  if (ok) pump();
}

StatusOr<std::optional<v1::Hello>> Lane::received(std::shared_ptr<const v1::WorkerFrame> frame,
                                                  TimePoint now) {
  Deliveries deliveries(frame);
  std::optional<v1::Hello> hello;
  std::shared_ptr<Wire> broken;
  Status status;
  {
    std::lock_guard lock(mutex_);
    if (!protocol_ || !close_reason_.empty())
      return std::optional<v1::Hello>();  // ending: nothing counts any more
    const bool was_ready = protocol_->ready();
    status = protocol_->receive(frame, now, deliveries);
    if (!status.ok()) {
      close_reason_ = std::string(status.message());
      close_cause_ = LossCause::protocol;
      broken = wire_;
    } else if (!was_ready && protocol_->ready()) {
      hello = protocol_->peer();
      greet(*hello, deliveries);
    }
  }
  if (!deliveries.batches().empty()) deliver_(deliveries.batches());
  if (broken != nullptr) {
    broken->close();
    return status;
  }
  look_for_room();
  pump();
  return hello;
}

// What waited for this worker goes on, or never will.
void Lane::greet(const v1::Hello& hello, Deliveries& out) {
  if (hello.incarnation() != orphans_incarnation_) {
    lose_orphans(LossCause::crash, "the worker was restarted", out);
  } else if (!protocol_->can_attach()) {
    lose_orphans(LossCause::lane, "the worker does not attach any more", out);
  } else {
    protocol_->attach(std::exchange(orphans_, {}));
  }
}

void Lane::lost(const std::string& reason, TimePoint now) {
  Deliveries deliveries;
  std::shared_ptr<Wire> free;
  {
    std::lock_guard lock(mutex_);
    if (!protocol_) return;
    if (!close_reason_.empty()) {
      protocol_->close(close_cause_, close_reason_, deliveries);
    } else if (protocol_->can_attach()) {
      // Whoever waited before this call said Hello has been greeted, so there are no others.
      orphans_incarnation_ = protocol_->peer().incarnation();
      orphans_until_ = now + std::chrono::milliseconds(protocol_->peer().orphan_ms());
      orphans_ = protocol_->suspend(reason, deliveries);
    } else {
      protocol_->close(LossCause::lane, reason, deliveries);
    }
    protocol_.reset();
    if (!writing_) free = std::move(wire_);
  }
  look_for_room();
  if (!deliveries.batches().empty()) deliver_(deliveries.batches());
  if (free != nullptr) free->release();
}

}  // namespace bessemer
