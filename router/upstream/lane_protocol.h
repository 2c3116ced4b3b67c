// The router's side of one lane (one Engine.Session call) as a state machine: frames in, frames
// out, no I/O, no clock, no thread. router/upstream/lane.h gives it those.
//
// Invariants
//   L1  Nothing is sent before our Hello, and nothing but Hello is accepted before the worker's.
//   L2  Handles rise; an attempt leaves the table with its terminal event, its cancellation or the
//       lane.
//   L3  A row is delivered if and only if its attempt is in the table, its choice is open and its
//       offset is the next one; of a resumed attempt the first is the one behind what it was
//       started with. A lower offset is a duplicate and dropped; a higher one is a gap and loses
//       the attempt.
//   L4  The outgoing queue is bounded; beyond it start() refuses. Cancels, credits, Attaches, pings
//       and Hello always fit: each attempt has at most one cancel a choice, one credit and one
//       Attach, each peer's ping one answer.
//   L5  A frame that breaks the protocol is an error and ends the lane; what stood before the fault
//       in it has been delivered.
//   L6  What a worker with no work owes will not come: two answers in a row to pings that left
//       behind an attempt's Start, each saying that no work is pending, and nothing of the attempt
//       in between, lose it. One that waits for credit is owed nothing.
//   L7  An attempt whose whole Start had left when its lane broke can go on on another lane to the
//       same incarnation, exactly behind what was delivered: suspend() hands it out, attach() takes
//       it in. What the worker repeats of it is dropped; if the worker does not know it any more, it
//       is lost.
//   L8  An attempt that a busy worker says nothing of is asked for: an Attach on its own lane, under
//       a new handle, when three answers in a row to pings that left behind its Start came with
//       nothing of it in between, and the worker has taken kQuietSteps between the first and the
//       last. The worker goes on from what was delivered, so that what was lost comes again and one
//       that is only late loses nothing; or it does not know the attempt, which is lost then. Until
//       it has answered, what comes under the old handle counts too.
#pragma once
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
#include "proto/features.h"
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

// An attempt as its lane knows it.
struct LaneAttempt {
  struct Choice {
    uint32_t next = 0;       // offset of the next token
    bool ended = false;      // its ChoiceEnd is here, or it had ended before the start
    bool cancelled = false;  // its end is not waited for
  };
  AttemptKey key;
  std::string request_id;
  uint32_t epoch = 0;
  std::vector<Choice> choices;
  std::vector<uint32_t> cancelled;  // choices, while no lane could be told
  uint32_t send_until = 0;          // the last credit; 0: no limit
  bool sent = false;                // its Start has left
  bool can_ask = false;             // L8: its worker keeps what it says of it
  bool attached = false;            // its handle is that of an Attach,
  bool asked = false;               // and that was one to its own lane
  uint64_t former = 0;              // its handle before that Attach, until it is answered; 0: none
  uint64_t ping = 0;                // the last one that left before all of its input had
  int32_t idle_words = 0;           // since anything came of it
  int32_t quiet_words = 0;          // likewise, whether the worker is idle or not
  uint64_t quiet_steps = 0;         // that the first of these said
};

class LaneProtocol {
 public:
  LaneProtocol(const LaneOptions& options, TimePoint now);

  // ---- from the request path ----
  bool ready() const { return hello_received_; }
  // The worker's Hello; valid when ready().
  const v1::Hello& peer() const { return peer_; }
  bool draining() const { return draining_; }
  // Queues `start` (its handle is filled in here; a prompt and what was delivered before go on in
  // Chunks where they are beyond a frame).
  // Unavailable: not ready, or draining. Unimplemented: the worker lacks a required feature.
  // ResourceExhausted: too many attempts or bytes wait.
  // InvalidArgument: what it asks for besides the prompt does not fit a frame.
  Status start(AttemptKey key, v1::Start start);
  // Idempotent; no choices = all, after which nothing more is delivered for the attempt.
  void cancel(AttemptKey key, const std::vector<uint32_t>& choices);
  // Raises Start.send_until: an absolute offset of each of the attempt's choices. Nothing for one
  // that was started without a limit.
  void credit(AttemptKey key, uint32_t send_until);
  // What waits in this router; nothing where the worker does not heed it.
  void demand(const v1::Demand& demand);
  // The worker has said that it takes more, or does not say such things.
  bool may_bring() const;

  // ---- from the wire ----
  // An error ends the lane; what was delivered before it stands.
  Status receive(const std::shared_ptr<const v1::WorkerFrame>& frame, TimePoint now,
                 Deliveries& out);
  // The next frame to send, or false. Chunks of different attempts take turns.
  bool next_frame(v1::RouterFrame& out);
  // Pings that are due; an error when the peer has been silent for its lease.
  Status tick(TimePoint now);
  // Every attempt is lost; the worker is told, should it still listen.
  void abandon(LossCause cause, const std::string& reason, Deliveries& out);
  // The lane is gone: every attempt is lost.
  void close(LossCause cause, const std::string& reason, Deliveries& out);
  // The lane is gone: attempts that can be attached are handed out, the others are lost. With a
  // worker that cannot attach, all are.
  std::vector<LaneAttempt> suspend(const std::string& reason, Deliveries& out);
  // Valid once ready(), with a worker of the incarnation that had them.
  void attach(std::vector<LaneAttempt> attempts);
  bool can_attach() const;

  size_t attempts() const { return attempts_.size(); }
  size_t queued_bytes() const { return queued_bytes_; }

 private:
  struct Upload {  // ids that did not fit the Start
    struct Piece {
      uint32_t part = 0;  // Chunk::part
      std::vector<uint32_t> ids;
    };
    uint64_t attempt = 0;
    std::deque<Piece> pieces;  // what is left of the front one begins at `position`
    size_t position = 0;
    uint32_t seq = 0;
  };
  struct Outgoing {
    v1::RouterFrame frame;
    size_t bytes = 0;
  };
  using Ids = google::protobuf::RepeatedField<uint32_t>;
  using Attempts = std::unordered_map<uint64_t, LaneAttempt>;  // by handle

  static uint64_t packed(AttemptKey key);
  bool peer_offers(Feature feature) const;
  bool peer_offers(uint32_t feature) const;
  Status check_start(const v1::Start& start) const;
  static size_t bytes_of(const Upload& upload);
  static Upload put_back(v1::Start& start, std::vector<Ids>& parts, size_t room);
  void queue_start(v1::Start start);
  Status receive_hello(const v1::Hello& hello);
  Status receive_step(const std::shared_ptr<const v1::WorkerFrame>& frame, Deliveries& out);
  Status receive_event(const v1::Event& event, Deliveries& out);
  void receive_drain(const v1::Drain& drain, Deliveries& out);
  void receive_ping(const v1::Ping& ping, Deliveries& out);
  Status receive_choice_end(uint64_t handle, const v1::ChoiceEnd& end, bool& counts,
                            Deliveries& out);
  void receive_row(uint64_t handle, TokenRow row, Deliveries& out);
  Attempts::iterator heard_of(uint64_t handle);
  void lose(uint64_t handle, LossCause cause, const std::string& reason, Deliveries& out);
  void erase(uint64_t handle);
  void forget_all();
  void drop_unsent(uint64_t handle);
  void queue_cancel(uint64_t handle, const std::vector<uint32_t>& choices);
  static bool waits_for_credit(const LaneAttempt& attempt);
  static bool is_overdue(LaneAttempt& attempt, uint64_t steps);
  bool next_credit(v1::RouterFrame& out);
  bool next_ask(v1::RouterFrame& out);
  void write_attach(LaneAttempt& attempt, uint64_t handle, v1::RouterFrame& out) const;
  void next_chunk(v1::RouterFrame& out);

  static constexpr uint32_t kProtocol = 1;
  static constexpr size_t kMinFrameBytes = 4096;  // a peer that announces less gets this

  const LaneOptions options_;
  Duration lease_;      // with the peer's own
  size_t frame_bytes_;  // likewise
  v1::Hello peer_;
  bool hello_received_ = false, draining_ = false;
  uint64_t last_handle_ = 0, last_nonce_ = 0;
  TimePoint opened_, last_received_, last_ping_;
  Attempts attempts_;
  std::unordered_map<uint64_t, uint64_t> handles_;  // (core, serial) packed -> handle
  std::deque<v1::RouterFrame> urgent_;              // Hello, pings, cancels
  std::set<uint64_t> credits_;                      // attempts whose send_until is to be told
  std::set<uint64_t> asks_;                         // attempts that are to be asked for (L8)
  std::unordered_map<uint64_t, uint64_t> aliases_;  // LaneAttempt::former -> handle
  std::deque<Outgoing> starts_;
  std::deque<Upload> uploads_;  // the front one has the next turn
  size_t queued_bytes_ = 0;
  // Since Hello: what the worker has granted, and what was brought or waits to be, refused or not.
  v1::Grant granted_;
  uint64_t brought_tokens_ = 0, brought_attempts_ = 0;
  std::optional<v1::Demand> demand_;  // the newest, to be sent
};

}  // namespace bessemer
