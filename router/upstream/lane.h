// A LaneProtocol shared between the cores that send on it and the wire that it is read from: one
// mutex, held for microseconds, never while calling out.
#pragma once
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
  explicit Lane(Deliver deliver) : deliver_(std::move(deliver)) {}

  // ---- any core ----
  Status start(AttemptKey key, v1::Start start);
  void cancel(AttemptKey key, const std::vector<uint32_t>& choices);
  bool ready() const;

  // ---- the session's own thread ----
  // A new call: Hello is written at once.
  void open(std::shared_ptr<Wire> wire, const LaneOptions& options, TimePoint now);
  // Pings; closes the wire of a silent peer.
  void tick(TimePoint now);
  // Ends the call; lost() follows once the wire has noticed.
  void shut();
  bool is_open() const;

  // ---- the wire ----
  // OK with the worker's Hello exactly once a call, nullopt otherwise; an error has closed the
  // wire.
  StatusOr<std::optional<v1::Hello>> received(std::shared_ptr<const v1::WorkerFrame> frame,
                                              TimePoint now);
  void written(bool ok);
  // No more frames will come: every attempt is lost. Once a call.
  void lost(const std::string& reason);

 private:
  void pump();

  const Deliver deliver_;
  mutable std::mutex mutex_;
  std::optional<LaneProtocol> protocol_;  // engaged while a call is open
  std::shared_ptr<Wire> wire_;
  v1::RouterFrame outgoing_;  // the one write outstanding
  bool writing_ = false;
  std::string close_reason_;  // ours, where we closed it
};

}  // namespace bessemer
