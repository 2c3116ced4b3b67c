// A router's place, in one thread: speaks to a worker over gRPC and waits for what it says.
#pragma once
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bessemer/v1/cluster.pb.h"
#include "bessemer/v1/engine.pb.h"
#include "proto/features.h"

namespace bessemer::testing {

// What came of one attempt.
struct Answer {
  std::vector<std::vector<uint32_t>> ids;  // per choice
  std::vector<v1::ChoiceEnd> ends;
  std::optional<v1::Admitted> admitted;
  std::optional<v1::Rejected> rejected;
  std::optional<v1::Done> done;
  std::optional<v1::Failed> failed;
  std::optional<v1::Handoff> handoff;
  bool over() const { return rejected || done || failed || handoff; }
};

class LaneClient {
 public:
  virtual ~LaneClient() = default;  // hangs up
  virtual bool send(const v1::RouterFrame& frame) = 0;
  // The next frame, pings left out; nullopt: the lane has ended, or nothing came in time.
  virtual std::optional<v1::WorkerFrame> receive() = 0;
  // After receive() gave nothing: code and message of the call's status. Empty message: it still
  // runs.
  virtual std::pair<int, std::string> status() = 0;
};

// One WatchKv call.
class KvReader {
 public:
  virtual ~KvReader() = default;  // hangs up
  // nullopt: the stream has ended, or nothing came in time.
  virtual std::optional<v1::KvUpdate> receive() = 0;
  virtual std::pair<int, std::string> status() = 0;  // after receive() gave nothing
};

class WorkerClient {
 public:
  virtual ~WorkerClient() = default;
  virtual std::unique_ptr<LaneClient> open_lane() = 0;
  virtual std::optional<v1::ModelCard> card() = 0;
  virtual std::string vocabulary_bytes() = 0;
  // Load reports until one satisfies `enough` or five seconds are over.
  virtual std::vector<v1::LoadReport> watch(uint32_t interval_ms,
                                            bool (*enough)(const v1::LoadReport&)) = 0;
  virtual std::unique_ptr<KvReader> watch_kv(const v1::WatchKvRequest& request = {}) = 0;
  virtual bool serving() = 0;  // grpc.health.v1
};
std::unique_ptr<WorkerClient> connect(const std::string& address);

v1::RouterFrame hello_frame(std::initializer_list<Feature> features = {});
// Greedy, `max_tokens` long, never stopping early unless told.
v1::RouterFrame start_frame(uint64_t attempt, const std::vector<uint32_t>& ids,
                            uint32_t max_tokens);
// Says Hello, sends `start` and reads until its attempt is over.
Answer ask(LaneClient& lane, const v1::RouterFrame& start);
// Reads until `attempt` is over or, with `until_tokens`, has that many of them.
void read_answer(LaneClient& lane, uint64_t attempt, Answer& answer,
                 size_t until_tokens = SIZE_MAX);

}  // namespace bessemer::testing
