// A LaneProtocol shared between the cores that send on it and the wire that it is read from: one
// mutex, held for microseconds, never while calling out.
//
// When the wire breaks, attempts that the worker keeps for a while (LaneProtocol, L7) wait here for
// the next call: attached to the same incarnation they go on, to another one they are lost, and
// after the worker's orphan_ms they are lost as well. Where we closed the wire they are lost at
// once: a peer that is silent or breaks the rules is not waited for.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "router/upstream/lane_protocol.h"

namespace bessemer {

// The transport of one call. Calls arrive one at a time for each of its two methods; they never
// come under a lock.
class Wire {
 public:
  virtual ~Wire() = default;
  // `frame` stays valid until Lane::written().
  virtual void write(const v1::RouterFrame& frame) = 0;
  // Ends the call soon; harmless on one that has ended.
  virtual void close() = 0;
  // The lane will call nothing but close() any more.
  virtual void release() = 0;
};

class Lane {
 public:
  // Gets the batches of one frame, from the wire's thread.
  using Deliver = std::function<void(std::vector<CoreBatch>&)>;
  // Hears that may_bring() has changed; from any thread, under no lock.
  using RoomChanged = std::function<void()>;
  explicit Lane(
      Deliver deliver, RoomChanged room_changed = [] {})
      : deliver_(std::move(deliver)), room_changed_(std::move(room_changed)) {}

  // ---- any core ----
  Status start(AttemptKey key, v1::Start start);
  void cancel(AttemptKey key, const std::vector<uint32_t>& choices);
  void credit(AttemptKey key, uint32_t send_until);
  void demand(const v1::Demand& demand);
  bool ready() const;
  // See LaneProtocol. Without a lock: every placement asks.
  bool may_bring() const { return may_bring_.load(std::memory_order_relaxed); }

  // ---- the session's own thread ----
  // A new call: Hello is written at once.
  void open(std::shared_ptr<Wire> wire, const LaneOptions& options, TimePoint now);
  // Pings; closes the wire of a silent peer; gives up orphans that nobody may attach any more. Also
  // while no call is open.
  void tick(TimePoint now);
  // Every attempt is lost; the call stays.
  void abandon(LossCause cause, const std::string& reason);
  // The worker's process is gone: nothing of it can be attached.
  void abandon_orphans(LossCause cause, const std::string& reason);
  // Ends the call; lost() follows once the wire has noticed.
  void shut();
  bool is_open() const;
  // Of the last call: why it was closed from here; empty: it was not.
  std::string close_reason() const;

  // ---- the wire ----
  // OK with the worker's Hello exactly once a call, nullopt otherwise; an error has closed the
  // wire.
  StatusOr<std::optional<v1::Hello>> received(std::shared_ptr<const v1::WorkerFrame> frame,
                                              TimePoint now);
  void written(bool ok);
  // No more frames will come. Once a call.
  void lost(const std::string& reason, TimePoint now);

 private:
  void pump();
  void look_for_room();
  void greet(const v1::Hello& hello, Deliveries& out);
  void lose_orphans(LossCause cause, const std::string& reason, Deliveries& out);
  std::vector<LaneAttempt>::iterator find_orphan(AttemptKey key);
  bool cancel_orphan(AttemptKey key, const std::vector<uint32_t>& choices);

  const Deliver deliver_;
  const RoomChanged room_changed_;
  std::atomic<bool> may_bring_{false};
  mutable std::mutex mutex_;
  std::optional<LaneProtocol> protocol_;  // engaged while a call is open
  std::shared_ptr<Wire> wire_;
  v1::RouterFrame outgoing_;  // the one write outstanding
  bool writing_ = false;
  std::string close_reason_;  // ours, where we closed it
  LossCause close_cause_ = LossCause::lane;
  std::vector<LaneAttempt> orphans_;  // of the last call, at most LaneOptions::max_attempts
  uint64_t orphans_incarnation_ = 0;
  TimePoint orphans_until_{};
};

}  // namespace bessemer
