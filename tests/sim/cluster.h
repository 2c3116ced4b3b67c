// A whole cluster in virtual time, from a seed: users, routers, workers, and who watches them.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "tests/sim/router.h"
#include "tests/sim/workload.h"

namespace bessemer::sim {

// For EngineOptions::max_waiting: everything is taken, however long it takes.
constexpr int32_t kNoQueueBound = 1 << 30;

struct ClusterOptions {
  int32_t workers = 8, routers = 1;
  std::string policy = "least_loaded";
  WorkerOptions worker;
  RouterOptions router;
  // How often a client comes back when it was turned away and told when to, as official ones do:
  // the same question to any router, and the time runs from when it asked first.
  int32_t retries = 0;
  uint64_t seed = 1;
};

class Cluster;

// One invariant, watched from outside.
class Checker {
 public:
  virtual ~Checker() = default;
  virtual void on_end(const Record& record, const Cluster& cluster) {
    (void)record;
    (void)cluster;
  }
  virtual void on_tick(const Cluster& cluster) { (void)cluster; }
  // Everything has ended, and the last reports have come.
  virtual void on_idle(const Cluster& cluster) { (void)cluster; }

  const std::string& complaint() const { return complaint_; }  // the first one

 protected:
  void expect(bool holds, const std::string& what) {
    if (!holds && complaint_.empty()) complaint_ = what;
  }

 private:
  std::string complaint_;
};

class Cluster {
 public:
  // `workload` outlives the cluster. InvalidArgument: no such policy.
  static StatusOr<std::unique_ptr<Cluster>> make(const ClusterOptions& options,
                                                 const Workload& workload);

  void add(std::unique_ptr<Checker> checker) { checkers_.push_back(std::move(checker)); }
  // Until every turn has ended. Once.
  void run();

  // One for each turn, in the order in which they ended.
  const std::vector<Record>& records() const { return records_; }
  // Of the checkers; "" if there is none.
  std::string complaint() const;

  const ClusterOptions& options() const { return options_; }
  const Workload& workload() const { return workload_; }
  const std::vector<std::unique_ptr<SimWorker>>& workers() const { return workers_; }
  const std::vector<std::unique_ptr<SimRouter>>& routers() const { return routers_; }

 private:
  Cluster(const ClusterOptions& options, const Workload& workload);

  void ask(size_t conversation, size_t turn);
  // `asked_s`: when it was asked first; -1: now.
  void ask_router(size_t conversation, size_t turn, int32_t fresh, int32_t retries, double asked_s);
  void ended(size_t conversation, size_t turn, Record record);
  int32_t note_blocks(std::span<const uint64_t> prompt, std::span<const uint64_t> all);
  void tick();

  const ClusterOptions options_;
  const Workload& workload_;
  Timeline timeline_;
  Random random_;
  std::vector<std::unique_ptr<SimWorker>> workers_;
  std::vector<std::unique_ptr<SimRouter>> routers_;
  std::vector<std::unique_ptr<Checker>> checkers_;
  std::vector<Record> records_;
  std::unordered_set<uint64_t> seen_;  // every block of every turn so far
  uint64_t last_request_ = 0;
  size_t turns_left_ = 0;
  std::optional<TimePoint> over_;  // when the last turn ended
};

}  // namespace bessemer::sim
