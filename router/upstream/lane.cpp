#include "router/upstream/lane.h"

#include "common/check.h"

namespace bessemer {

Status Lane::start(AttemptKey key, v1::Start start) {
  {
    std::lock_guard lock(mutex_);
    if (!protocol_) return absl::UnavailableError("the worker is not connected");
    RETURN_IF_ERROR(protocol_->start(key, std::move(start)));
  }
  pump();
  return absl::OkStatus();
}

void Lane::cancel(AttemptKey key, const std::vector<uint32_t>& choices) {
  {
    std::lock_guard lock(mutex_);
    if (!protocol_) return;
    protocol_->cancel(key, choices);
  }
  pump();
}

bool Lane::ready() const {
  std::lock_guard lock(mutex_);
  return protocol_ && protocol_->ready() && !protocol_->draining();
}

bool Lane::is_open() const {
  std::lock_guard lock(mutex_);
  return protocol_.has_value();
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
  {
    std::lock_guard lock(mutex_);
    if (!protocol_) return;
    const Status status = protocol_->tick(now);
    if (!status.ok()) {
      close_reason_ = std::string(status.message());
      silent = wire_;
    }
  }
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
  }
  if (wire != nullptr) wire->close();
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
      broken = wire_;
    } else if (!was_ready && protocol_->ready()) {
      hello = protocol_->peer();
    }
  }
  if (!deliveries.batches().empty()) deliver_(deliveries.batches());
  if (broken != nullptr) {
    broken->close();
    return status;
  }
  pump();
  return hello;
}

void Lane::lost(const std::string& reason) {
  Deliveries deliveries;
  std::shared_ptr<Wire> free;
  {
    std::lock_guard lock(mutex_);
    if (!protocol_) return;
    protocol_->close(close_reason_.empty() ? reason : close_reason_, deliveries);
    protocol_.reset();
    if (!writing_) free = std::move(wire_);
  }
  if (!deliveries.batches().empty()) deliver_(deliveries.batches());
  if (free != nullptr) free->release();
}

}  // namespace bessemer
