// All that connects this router to one worker: the lanes, its model card, its vocabulary, its load.
// gRPC stays behind here.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bessemer/v1/cluster.pb.h"
#include "common/clock.h"
#include "common/status.h"
#include "router/upstream/delivery.h"
#include "router/upstream/peer_credentials.h"

namespace bessemer {

struct WorkerSessionOptions {
  std::string address;        // host:port
  std::string node, version;  // of this router
  uint64_t incarnation = 0;   // of this router
  size_t lanes = 1;
  std::shared_ptr<const PeerCredentials> credentials;  // null: plain connections
  Duration retry_first = std::chrono::milliseconds(20);
  Duration retry_most = std::chrono::milliseconds(1000);
  uint32_t load_interval_ms = 100;
  Duration call_timeout = std::chrono::seconds(10);
  size_t max_vocabulary_bytes =
      256 * 1024 * 1024;  // the largest public vocabularies (256k tokens) take 12 MB
};

// An update of a WatchKv stream. The stream waits until one of the two is called, by any thread and
// once; neither may be called, nor the update looked at, afterwards.
class KvDelivery {
 public:
  virtual ~KvDelivery() = default;
  virtual const v1::KvUpdate& update() const = 0;
  virtual void read_on() = 0;
  virtual void stop() = 0;  // its end will be told
};

// What a session tells; from any of gRPC's threads, never under a lock of the session.
class SessionObserver {
 public:
  virtual ~SessionObserver() = default;
  // For each lane: any number of ends without a Hello, then Hello, its end, and so on.
  virtual void on_lane_up(size_t lane, const v1::Hello& hello) = 0;
  virtual void on_lane_down(size_t lane, const std::string& reason) = 0;
  virtual void on_draining() = 0;
  virtual void on_card(StatusOr<v1::ModelCard> card) = 0;
  virtual void on_vocabulary(const std::string& tokenizer_hash, StatusOr<std::string> bytes) = 0;
  virtual void on_report(const v1::LoadReport& report) = 0;
  virtual void on_load(const v1::Load& load) = 0;  // between reports, with a step
  virtual void on_progress(uint64_t engine_steps, bool work_pending) = 0;  // with each ping
  virtual void on_report_end(const std::string& reason) = 0;  // the watch has ended; ask again
  virtual void on_tenants(const v1::TenantReport& report) = 0;
  virtual void on_tenants_end() = 0;        // that watch has ended; ask again
  virtual void on_room(bool has_room) = 0;  // whether any lane may bring something; in order
  virtual void on_kv_update(uint64_t stream, KvDelivery& delivery) = 0;
  virtual void on_kv_end(uint64_t stream, const Status& why) = 0;  // nothing more comes of it
  virtual void deliver(std::vector<CoreBatch>& batches) = 0;
};

class WorkerSession {
 public:
  // `observer` outlives the session.
  static std::unique_ptr<WorkerSession> create(const WorkerSessionOptions& options,
                                               SessionObserver& observer);
  // Ends every call and waits for gRPC to let go of them. Not on a gRPC thread.
  virtual ~WorkerSession() = default;

  // ---- any thread ----
  // Prefers lane core % lanes, and lanes that may bring something. Unavailable: no lane is up.
  // Others: see LaneProtocol::start.
  virtual Status start(AttemptKey key, v1::Start start) = 0;
  virtual void cancel(AttemptKey key, const std::vector<uint32_t>& choices) = 0;
  virtual void credit(AttemptKey key, uint32_t send_until) = 0;
  // What waits in this router; said on one lane.
  virtual void demand(const v1::Demand& demand) = 0;

  // ---- the cluster's thread ----
  // Connects what is down and due, pings what is up. Call it several times a second.
  virtual void tick(TimePoint now) = 0;
  // Every attempt of this router is lost; the lanes stay.
  virtual void abandon(LossCause cause, const std::string& reason) = 0;
  virtual void fetch_card() = 0;
  virtual void fetch_vocabulary(const std::string& tokenizer_hash) = 0;
  virtual void watch_load() = 0;
  virtual void watch_tenants() = 0;
  // `stream`: the caller's name for it.
  virtual void watch_kv(uint64_t stream, const v1::WatchKvRequest& request) = 0;
};

}  // namespace bessemer
