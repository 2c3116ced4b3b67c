// The router's side of one lane (one Engine.Session call) as a state machine: frames in, frames
// out, no I/O, no clock, no thread. router/upstream/lane.h gives it those.
//
// Invariants
//   L1  Nothing is sent before our Hello, and nothing but Hello is accepted before the worker's.
//   L2  Handles rise; an attempt leaves the table with its terminal event, its cancellation or the
//       lane.
//   L3  A row is delivered if and only if its attempt is in the table, its choice is open and its
//       offset is the next one. A lower offset is a duplicate and dropped; a higher one is a gap
//       and loses the attempt.
//   L4  The outgoing queue is bounded; beyond it start() refuses. Cancels, pings and Hello always
//       fit: each attempt has at most one cancel a choice, each peer's ping one answer.
//   L5  A frame that breaks the protocol is an error and ends the lane; what stood before the fault
//       in it has been delivered.
#pragma once
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
#include "router/upstream/delivery.h"

namespace bessemer {

struct LaneOptions {
  std::string node;  // of this router, for the worker's log
  std::string version;
  uint64_t incarnation = 0;  // of this router process
  uint32_t lane = 0, lanes = 1;
  uint32_t max_frame_bytes = 256 * 1024;
  size_t max_attempts = 8192;  // live on this lane
  size_t max_queued_bytes =
      32 * 1024 * 1024;  // of Starts and Chunks that wait for the wire: 4 prompts of a million ids
  Duration hello_timeout = std::chrono::seconds(5);
  Duration ping_interval = std::chrono::seconds(1);
  Duration lease = std::chrono::seconds(3);
};

class LaneProtocol {
 public:
  LaneProtocol(const LaneOptions& options, TimePoint now);

  // ---- from the request path ----
  bool ready() const { return hello_received_; }
  // The worker's Hello; valid when ready().
  const v1::Hello& peer() const { return peer_; }
  bool draining() const { return draining_; }
  // Queues `start` (its handle is filled in here; a prompt beyond a frame is cut into Chunks).
  // Unavailable: not ready, or draining. Unimplemented: the worker lacks a required feature.
  // ResourceExhausted: too many attempts or bytes wait.
  // InvalidArgument: what it asks for besides the prompt does not fit a frame.
  Status start(AttemptKey key, v1::Start start);
  // Idempotent; no choices = all, after which nothing more is delivered for the attempt.
  void cancel(AttemptKey key, const std::vector<uint32_t>& choices);

  // ---- from the wire ----
  // An error ends the lane; what was delivered before it stands.
  Status receive(const std::shared_ptr<const v1::WorkerFrame>& frame, TimePoint now,
                 Deliveries& out);
  // The next frame to send, or false. Chunks of different attempts take turns.
  bool next_frame(v1::RouterFrame& out);
  // Pings that are due; an error when the peer has been silent for its lease.
  Status tick(TimePoint now);
  // The lane is gone: every attempt is lost.
  void close(const std::string& reason, Deliveries& out);

  size_t attempts() const { return attempts_.size(); }
  size_t queued_bytes() const { return queued_bytes_; }

 private:
  struct Attempt {
    AttemptKey key;
    std::vector<uint32_t> next;  // per choice; kEnded behind its ChoiceEnd
    bool sent = false;           // its Start has left
  };
  struct Upload {  // a prompt that is still being sent
    uint64_t attempt = 0;
    std::vector<uint32_t> ids;
    size_t position = 0;
    uint32_t seq = 0;
  };
  struct Outgoing {
    v1::RouterFrame frame;
    size_t bytes = 0;
  };
  using Ids = google::protobuf::RepeatedField<uint32_t>;
  static constexpr uint32_t kEnded = UINT32_MAX;

  Status check_start(const v1::Start& start) const;
  void cut(v1::Start& start, Ids& ids, size_t room);
  void queue_start(v1::Start start);
  Status receive_hello(const v1::Hello& hello);
  Status receive_step(const std::shared_ptr<const v1::WorkerFrame>& frame, Deliveries& out);
  Status receive_event(const v1::Event& event, Deliveries& out);
  void receive_row(uint64_t handle, TokenRow row, Deliveries& out);
  Status end_choice(Attempt& attempt, const v1::ChoiceEnd& end);
  void lose(uint64_t handle, const std::string& reason, Deliveries& out);
  void erase(uint64_t handle);
  void drop_unsent(uint64_t handle);
  void queue_cancel(uint64_t handle, const std::vector<uint32_t>& choices);
  void next_chunk(v1::RouterFrame& out);

  const LaneOptions options_;
  Duration lease_;      // with the peer's own
  size_t frame_bytes_;  // likewise
  v1::Hello peer_;
  bool hello_received_ = false, draining_ = false;
  uint64_t last_handle_ = 0, last_nonce_ = 0;
  TimePoint opened_, last_received_, last_ping_;
  std::unordered_map<uint64_t, Attempt> attempts_;  // by handle
  std::unordered_map<uint64_t, uint64_t> handles_;  // (core, serial) packed -> handle
  std::deque<v1::RouterFrame> urgent_;              // Hello, pings, cancels
  std::deque<Outgoing> starts_;
  std::deque<Upload> uploads_;  // the front one has the next turn
  size_t queued_bytes_ = 0;
};

}  // namespace bessemer
