// What a lane has to say and could not write yet: the engine's events as columns, merged while a
// write is outstanding.
//
// Invariants
//   F1  Events of one attempt leave in the order they came. Within one StepBatch, `before`
//       (admitted, rejected, progress, prompt logprobs) precedes the token columns, which precede
//       `after` (ends).
//   F2  A StepBatch stays under the frame limit unless a single event exceeds it.
//   F3  At most one Hello, Drain, Grant, Ping and Ping reply wait at a time; the newest of each kind wins.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "bessemer/v1/engine.pb.h"
#include "worker/engine/request.h"

namespace bessemer {

// As the wire names it.
v1::RejectReason reject_reason(RejectReason reason);

class FrameQueue {
 public:
  explicit FrameQueue(size_t max_frame_bytes) : max_frame_bytes_(max_frame_bytes) {}

  void set_max_frame_bytes(size_t bytes) { max_frame_bytes_ = bytes; }
  void put_hello(v1::Hello hello) { hello_ = std::move(hello); }
  void put_drain(v1::Drain drain) { drain_ = std::move(drain); }
  void put_grant(v1::Grant grant) { grant_ = grant; }
  void put_ping(v1::Ping ping) { (ping.reply() ? reply_ : ping_) = ping; }
  // `attempt`: the router's handle.
  void put_event(uint64_t attempt, const EngineEvent& event, uint64_t step, uint64_t mono_us);
  // An event that the service makes itself; it goes to `before` or `after` by its kind.
  void put_event(v1::Event event, uint64_t step, uint64_t mono_us);

  // The next frame to write; false: nothing waits.
  bool pop(v1::WorkerFrame& frame);
  bool empty() const {
    return !hello_ && !drain_ && !grant_ && !ping_ && !reply_ && batches_.empty();
  }
  // Estimate, within a tenth, of the StepBatches that wait.
  size_t pending_bytes() const { return pending_bytes_; }

 private:
  struct Batch {
    v1::StepBatch frame;
    size_t bytes = 0;
  };
  v1::StepBatch& open_batch(size_t bytes, uint64_t step, uint64_t mono_us);
  void put_tokens(uint64_t attempt, const Tokens& tokens, uint64_t step, uint64_t mono_us);

  size_t max_frame_bytes_;
  std::optional<v1::Hello> hello_;
  std::optional<v1::Drain> drain_;
  std::optional<v1::Grant> grant_;
  std::optional<v1::Ping> ping_, reply_;
  std::deque<Batch> batches_;
  size_t pending_bytes_ = 0;
};

// Engine events as the protocol spells them; Tokens have no Event, they travel in columns.
v1::Event to_event(uint64_t attempt, const EngineEvent& event);

}  // namespace bessemer
