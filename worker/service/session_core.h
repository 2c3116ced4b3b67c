// One lane between a router and this worker as a state machine: frames, engine events and time go
// in, frames and a reason to close come out. It knows no gRPC, no thread and no clock; its owner
// serialises the calls. Rules: proto/README.md.
//
// Invariants
//   S1  Each Start is answered by exactly one Rejected, or by Admitted and exactly one Done, Failed
//       or Handoff; nothing follows. An attempt that is attached goes on here as if it had been
//       started here, behind what its router says it has.
//   S2  Nothing is written before this worker's Hello, nothing acted upon before the peer's.
//   S3  What a peer can make this side hold is bounded by SessionLimits; beyond it the attempt or
//       the lane is refused.
#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "bessemer/v1/engine.pb.h"
#include "common/clock.h"
#include "common/status.h"
#include "worker/engine/engine.h"
#include "worker/engine/request.h"
#include "worker/service/epoch_fence.h"
#include "worker/service/facts.h"
#include "worker/service/frame_queue.h"
#include "worker/service/grants.h"
#include "worker/service/orphans.h"
#include "worker/service/start_request.h"

namespace bessemer {

// The worker behind a lane. Any thread.
class SessionHost {
 public:
  virtual ~SessionHost() = default;
  // A new id whose events will come back to this lane.
  virtual AttemptId new_attempt() = 0;
  // False: the mailbox is full or the engine stops; no event follows.
  virtual bool submit(Request request) = 0;
  virtual void cancel(AttemptId attempt, std::span<const int32_t> choices) = 0;
  virtual void credit(AttemptId attempt, int32_t send_until) = 0;
  // The orphan of this request and epoch: its events come to this lane from now on.
  virtual std::optional<Orphan> adopt(const std::string& request_id, uint32_t epoch) = 0;
  // Cancels what was adopted and cannot be gone on with: none of its events is wanted.
  virtual void abandon(AttemptId attempt) = 0;
  virtual EngineStats stats() const = 0;
  // What this lane may bring beyond what it has brought.
  virtual GrantShare grant_share() const = 0;
  virtual bool draining() const = 0;
};

class SessionCore {
 public:
  // All outlive the core.
  SessionCore(const WorkerFacts& facts, const SessionLimits& limits, SessionHost& host,
              EpochFence& fence, TimePoint now);

  void on_frame(const v1::RouterFrame& frame, TimePoint now);
  // Events of this lane's attempts, in order. False: of an attempt that has ended here or is not
  // this lane's any more.
  bool on_event(StepId step, const EngineEvent& event, TimePoint now);
  // Pings and the lease; call at least every 100 ms.
  void on_tick(TimePoint now);
  // Tells the router that this worker takes no more work.
  void on_drain(uint32_t deadline_ms);
  // The peer has closed its half, or the transport failed.
  void on_hang_up();

  // The next frame to write, if any.
  bool next_frame(v1::WorkerFrame& frame);
  // Set: the lane must be closed with this status; frames that still wait are void.
  const std::optional<Status>& closed() const { return closed_; }
  // Attempts that lost their lane; empties the core, which takes no events any more.
  std::vector<Orphan> take_orphans();
  // The attempt goes to another lane, and nothing more is said of it here. nullopt: it is not here,
  // or its input is not complete.
  std::optional<Orphan> give_up(AttemptId attempt);
  // Whether the peer would attach to them.
  bool is_attachable() const { return attaches_; }
  size_t attempts() const { return attempts_.size(); }

 private:
  struct Attempt {
    AttemptId id{};
    std::string request_id;
    uint32_t epoch = 0;
    int32_t choices = 1;
    TimePoint deadline = TimePoint::max();
    std::optional<v1::Start> assembling;  // until all of its input is there
    int64_t assembling_bytes = 0;
    uint32_t next_seq = 0;        // of the next Chunk
    std::set<int32_t> cancelled;  // choices, while assembling
    ReplayTail tail;              // once it is the engine's
    bool handing_off = false;     // its router asked for that,
    bool stopped = false;         // and a choice was stopped by it
  };
  using Attempts = std::unordered_map<uint64_t, Attempt>;  // by the router's handle

  void act_on(const v1::RouterFrame& frame, TimePoint now);
  void on_hello(const v1::Hello& hello);
  void on_start(const v1::Start& start, TimePoint now);
  void on_chunk(const v1::Chunk& chunk, TimePoint now);
  void on_cancel(const v1::Cancel& cancel, TimePoint now);
  void on_credit(const v1::Credit& credit);
  void on_attach(const v1::Attach& attach, TimePoint now);
  void on_ping(const v1::Ping& ping);
  std::optional<Refusal> admit(const v1::Start& start, Attempt& attempt);
  std::optional<Refusal> claim(const v1::Start& start, AttemptId id);
  std::optional<Refusal> check_capacity(const v1::Start& start) const;
  Refusal arriving_inputs_full() const;
  std::optional<Refusal> append_chunk(const v1::Chunk& chunk, Attempt& attempt);
  std::optional<Refusal> append_delivered(const v1::Chunk& chunk, Attempt& attempt);
  void submit(Attempts::iterator at, TimePoint now);
  void finish_assembly(Attempts::iterator at);
  void go_on(uint64_t handle, Orphan orphan, const v1::Attach& attach,
             const std::vector<EngineEvent>& missed, TimePoint now);
  void say(Attempts::iterator at, const EngineEvent& event, TimePoint now);
  bool say_handoff(Attempts::iterator at, const EngineEvent& event, TimePoint now);
  void renew_grant(TimePoint now);
  void reject(uint64_t handle, const Refusal& refusal, TimePoint now);
  void reject(Attempts::iterator at, const Refusal& refusal, TimePoint now);
  void drop(Attempts::iterator at);
  void end_unstarted(Attempts::iterator at, TimePoint now);
  void expire_assemblies(TimePoint now);
  void ping(TimePoint now);
  void check_pending();
  void close(Status status);

  const WorkerFacts& facts_;
  const SessionLimits& limits_;
  SessionHost& host_;
  EpochFence& fence_;
  FrameQueue out_;
  Attempts attempts_;
  std::unordered_map<uint64_t, uint64_t> handles_;  // AttemptId -> handle
  uint64_t last_handle_ = 0;
  int64_t assembling_bytes_ = 0;                                // of all attempts
  bool greeted_ = false;                                        // the peer's Hello is here
  bool attaches_ = false, grants_ = false, hands_off_ = false;  // what it offers
  LaneGrant grant_;
  TimePoint next_grant_{};
  TimePoint last_heard_, next_ping_;
  uint64_t ping_nonce_ = 0;
  StepId last_step_ = 0;
  Duration lease_;
  std::optional<Status> closed_;
};

}  // namespace bessemer
