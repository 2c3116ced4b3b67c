#include "tests/failover/workers.h"

#include <algorithm>
#include <cstdio>
#include <sstream>
#include <thread>

#include "tests/failover/mock_victim.h"
#include "tests/failover/process_victim.h"
#include "tests/failover/route_victim.h"
#include "tests/failover/wire_victim.h"

namespace bessemer::failover {
namespace {

MockWorkerOptions worker_options(const CampaignOptions& options, const MockModel& model,
                                 int number) {
  MockWorkerOptions worker;
  worker.model = model;
  worker.timing.step_us = options.step_us;
  worker.limits.orphan_ms = options.orphan_ms;
  worker.chaos_seed = options.faults.seed * 1000 + static_cast<uint64_t>(number);
  return worker;
}

void add_words(MockWorker& worker, TimePoint until, WorkerWords& words) {
  while (worker.engine().live() > 0 && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  for (std::string& one : worker.complaints().kept()) words.complaints.push_back(std::move(one));
  words.resumed += worker.resumed();
  words.attached += worker.attached();
  words.left += worker.engine().live();
}

class LocalWorkers final : public Workers {
 public:
  Status add(const MockWorkerOptions& options) {
    ASSIGN_OR_RETURN(auto worker, MockWorker::start(options));
    addresses_.push_back(worker->address());
    victims_.push_back(std::make_unique<MockVictim>(std::move(worker)));
    return absl::OkStatus();
  }
  std::vector<std::string> addresses() const override { return addresses_; }
  const std::vector<std::unique_ptr<Victim>>& victims() const override { return victims_; }
  WorkerWords last_words(Duration patience) override {
    const TimePoint until = std::chrono::steady_clock::now() + patience;
    WorkerWords words;
    for (const auto& victim : victims_)
      add_words(static_cast<MockVictim&>(*victim).worker(), until, words);
    return words;
  }

 private:
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<Victim>> victims_;
};

// Workers that are well in this process, and ways to them that are not.
class DistantWorkers : public Workers {
 public:
  std::vector<std::string> addresses() const override { return addresses_; }
  const std::vector<std::unique_ptr<Victim>>& victims() const override { return victims_; }
  WorkerWords last_words(Duration patience) override {
    const TimePoint until = std::chrono::steady_clock::now() + patience;
    WorkerWords words;
    for (const auto& worker : workers_) add_words(*worker, until, words);
    return words;
  }

 protected:
  void add_pair(std::unique_ptr<MockWorker> worker, std::string address,
                std::unique_ptr<Victim> way) {
    workers_.push_back(std::move(worker));
    addresses_.push_back(std::move(address));
    victims_.push_back(std::move(way));
  }
  size_t count() const { return workers_.size(); }

 private:
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<MockWorker>> workers_;
  std::vector<std::unique_ptr<Victim>> victims_;
};

class WiredWorkers final : public DistantWorkers {
 public:
  Status add(const MockWorkerOptions& options) {
    ASSIGN_OR_RETURN(auto worker, MockWorker::start(options));
    ASSIGN_OR_RETURN(auto proxy, TcpProxy::start(static_cast<uint16_t>(worker->port())));
    const std::string address = proxy->address();
    add_pair(std::move(worker), address, std::make_unique<WireVictim>(std::move(proxy)));
    return absl::OkStatus();
  }
};

// Each at a loopback address of its own: 127.0.1.1, 127.0.1.2 ...
class RoutedWorkers final : public DistantWorkers {
 public:
  Status add(MockWorkerOptions options) {
    if (!in_own_network())
      return absl::FailedPreconditionError("routes are taken away in an own network only");
    if (count() >= kMostAddresses) return absl::InvalidArgumentError("too many workers");
    options.host = "127.0.1." + std::to_string(count() + 1);
    ASSIGN_OR_RETURN(auto worker, MockWorker::start(options));
    const std::string address = worker->address();
    add_pair(std::move(worker), address, std::make_unique<RouteVictim>(options.host));
    return absl::OkStatus();
  }

 private:
  static constexpr size_t kMostAddresses = 254;
};

std::vector<std::string> flags_of(const MockWorkerOptions& options) {
  return {"--step-us",    std::to_string(options.timing.step_us),
          "--end-every",  std::to_string(options.model.end_every),
          "--orphan-ms",  std::to_string(options.limits.orphan_ms),
          "--chaos-seed", std::to_string(options.chaos_seed)};
}

class ProcessWorkers final : public Workers {
 public:
  Status add(const MockWorkerOptions& options) {
    ASSIGN_OR_RETURN(auto worker, ProcessVictim::start(flags_of(options)));
    addresses_.push_back(worker->address());
    victims_.push_back(std::move(worker));
    return absl::OkStatus();
  }
  std::vector<std::string> addresses() const override { return addresses_; }
  const std::vector<std::unique_ptr<Victim>>& victims() const override { return victims_; }
  // What a process had counted when it was killed is gone with it.
  WorkerWords last_words(Duration patience) override {
    std::this_thread::sleep_for(patience);
    WorkerWords words;
    for (const auto& victim : victims_) {
      std::istringstream said(static_cast<ProcessVictim&>(*victim).finish());
      for (std::string line; std::getline(said, line);) take(line, words);
    }
    return words;
  }

 private:
  static void take(const std::string& line, WorkerWords& words) {
    if (line.starts_with("COMPLAINT ")) words.complaints.push_back(line.substr(10));
    long long complaints = 0, resumed = 0, attached = 0, live = 0;
    if (std::sscanf(line.c_str(), "END complaints=%lld resumed=%lld attached=%lld live=%lld",
                    &complaints, &resumed, &attached, &live) != 4)
      return;
    words.resumed += resumed;
    words.attached += attached;
    words.left += live;
  }

  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<Victim>> victims_;
};

template <typename Kind>
StatusOr<std::unique_ptr<Workers>> start_all(const CampaignOptions& options,
                                             const MockModel& model) {
  auto workers = std::make_unique<Kind>();
  for (int i = 0; i < options.workers; i++)
    RETURN_IF_ERROR(workers->add(worker_options(options, model, i)));
  return std::unique_ptr<Workers>(std::move(workers));
}

}  // namespace

StatusOr<std::unique_ptr<Workers>> Workers::start(const CampaignOptions& options,
                                                  const MockModel& model) {
  switch (options.place) {
    case Place::in_process:
      return start_all<LocalWorkers>(options, model);
    case Place::processes:
      return start_all<ProcessWorkers>(options, model);
    case Place::behind_wires:
      return start_all<WiredWorkers>(options, model);
    case Place::behind_routes:
      return start_all<RoutedWorkers>(options, model);
  }
  return absl::InternalError("no such place");
}

}  // namespace bessemer::failover
