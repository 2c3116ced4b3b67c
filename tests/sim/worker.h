// A worker in virtual time: the real scheduler with its real block pool and prefix cache, the real
// rules of when load and cache are reported and what each router may bring, and a device that knows the answers beforehand and
// takes as long as the roofline says.
//
// What a router sends arrives by start(); what the worker says goes to the router's WorkerEvents at
// once: whoever connects the two adds the network's delay.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bessemer/v1/cluster.pb.h"
#include "tests/sim/speed.h"
#include "tests/sim/timeline.h"
#include "tests/sim/workload.h"
#include "worker/engine/scheduler.h"
#include "worker/service/grants.h"
#include "worker/service/kv_watch.h"
#include "worker/service/load.h"
#include "worker/service/tenant_ledger.h"

namespace bessemer::sim {

// What a router asks of up to a hundred workers (router/upstream).
constexpr uint32_t kLoadIntervalMs = 100;

struct WorkerOptions {
  Limits limits;
  EngineOptions engine;
  Speed speed;
  uint32_t load_interval_ms = kLoadIntervalMs;
  int32_t queue_ms = GrantLimits().queue_ms;
};
// `blocks` of 512 tokens, as many as a trace's blocks have; a chunk of at most 2,048 rows, 256
// sequences; other limits as the product has them.
WorkerOptions worker_options(int32_t blocks);
constexpr int32_t kBlockTokens = 512;

// A Start of the session, as far as it matters here.
struct Offer {
  uint64_t request = 0;  // the router's name for it
  std::vector<int32_t> prompt;
  Segment answer;
  int64_t max_ttft_us = 0;  // Request::max_ttft_us
};

// What one router hears of one worker.
class WorkerEvents {
 public:
  virtual ~WorkerEvents() = default;
  virtual void admitted(uint64_t request, const Admitted& admitted) = 0;
  virtual void rejected(uint64_t request, v1::RejectReason reason, const std::string& detail) = 0;
  virtual void token(uint64_t request, int32_t offset, int32_t id) = 0;
  virtual void done(uint64_t request, const Usage& usage) = 0;
  virtual void load(const v1::LoadReport& report) = 0;
  virtual void cache(const v1::KvUpdate& update) = 0;
  virtual void grant(const GrantShare& until) = 0;
};

class SimWorker {
 public:
  SimWorker(const WorkerOptions& options, uint64_t incarnation, Timeline& timeline);

  // A router with one lane. Returns its number, by which it calls the others. `hears_grants`: its
  // Hello offered the feature.
  size_t add_router(WorkerEvents& events, bool hears_grants);
  void demand(size_t router, const v1::Demand& demand);
  void start(size_t router, Offer offer);
  // The service's clock: reports that are due without a step. To be called each kTick.
  void tick();
  static constexpr Duration kTick = std::chrono::milliseconds(100);  // as worker/service has it

  const Scheduler& scheduler() const { return scheduler_; }
  const WorkerOptions& options() const { return options_; }
  uint64_t incarnation() const { return incarnation_; }
  // The most room that it ever had to share out: what its queue had and what it lacked.
  int64_t most_room() const { return most_room_; }
  uint64_t prompt_tokens_computed() const { return scheduler_.stats().tokens_prefilled; }

 private:
  struct Router {
    WorkerEvents* events = nullptr;
    LoadWatch load;
    KvWatch cache;
    bool hears_grants = false;
    LaneGrant grant;
    TimePoint next_grant{};
  };
  struct Attempt {
    size_t router = 0;
    uint64_t request = 0;
    Segment answer;
  };
  struct Slot {
    AttemptId attempt{};
    int32_t prompt = 0, length = 0;  // tokens
  };

  void pump();
  void finish(const StepPlan& plan);
  StepWork work_of(const StepPlan& plan);
  StepResult execute(const StepPlan& plan);
  void deliver();
  void report_load();
  void renew_grant(size_t router);

  const WorkerOptions options_;
  const uint64_t incarnation_;
  Timeline& timeline_;
  Scheduler scheduler_;
  std::deque<Router> routers_;
  TenantLedger ledger_;
  int64_t most_room_ = 0;
  std::map<AttemptId, Attempt> attempts_;
  std::vector<Slot> slots_;
  uint64_t last_attempt_ = 0;
  bool busy_ = false;
};

}  // namespace bessemer::sim
