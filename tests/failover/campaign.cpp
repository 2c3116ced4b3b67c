#include "tests/failover/campaign.h"

#include <absl/synchronization/mutex.h>
#include <fmt/format.h>

#include "bench/common/process.h"
#include "tests/failover/front.h"
#include "tests/failover/workers.h"

namespace bessemer::failover {
namespace {

// One token in so many ends an answer: half of the answers end before their length.
constexpr uint32_t kEndEvery = 120;
// Orphans have been given up by then, and cancels have arrived.
constexpr auto kLastPatience = std::chrono::seconds(6);

double resident_mib(const Front& front) {
  return static_cast<double>(bench::resident_bytes(front.pid())) / (1024.0 * 1024.0);
}

}  // namespace

bool CampaignReport::good() const {
  int64_t all = 0;
  for (const int64_t count : clients.verdicts) all += count;
  return clients.count(Verdict::right) == all && complaints.empty() && left == 0;
}

StatusOr<CampaignReport> run_campaign(const CampaignOptions& options) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  MockModel model;
  model.end_every = kEndEvery;
  ASSIGN_OR_RETURN(const auto workers, Workers::start(options, model));
  ASSIGN_OR_RETURN(const auto front, Front::start({.binary = options.router,
                                                   .threads = options.router_threads,
                                                   .workers = workers->addresses()}));
  CampaignReport report;
  report.router_mib_before = resident_mib(*front);
  {
    Tormentor tormentor(options.faults, workers->victims());
    ClientOptions clients = options.clients;
    clients.port = front->port();
    clients.seed = options.faults.seed;
    report.clients = run_clients(model, clients);
    report.faults = tormentor.struck();
  }
  WorkerWords words = workers->last_words(kLastPatience);
  report.router_mib_after = resident_mib(*front);
  report.complaints = std::move(words.complaints);
  report.resumed = words.resumed;
  report.attached = words.attached;
  report.left = words.left;
  return report;
}

std::string describe(const CampaignReport& report) {
  std::string text = fmt::format("{:.1f} s;", report.clients.seconds);
  for (size_t i = 0; i < kVerdicts; i++) {
    text += fmt::format(" {} {}{}", report.clients.verdicts[i], name_of(static_cast<Verdict>(i)),
                        i + 1 < kVerdicts ? "," : "\n");
  }
  text += "faults:";
  for (size_t i = 0; i < kFaultKinds; i++) {
    if (report.faults[i] == 0) continue;
    text += fmt::format(" {} {}", report.faults[i], name_of(static_cast<FaultKind>(i)));
  }
  auto gaps = report.clients.longest_gap_s;
  text +=
      fmt::format("\nlongest gap of a stream: p50 {:.0f} ms, p90 {:.0f}, p99 {:.0f}, most {:.0f}\n",
                  1e3 * gaps.quantile(0.5), 1e3 * gaps.quantile(0.9), 1e3 * gaps.quantile(0.99),
                  1e3 * gaps.max());
  text +=
      fmt::format("resumed {}, attached {}, left in workers {}; resident {:.0f} MiB, then {:.0f}\n",
                  report.resumed, report.attached, report.left, report.router_mib_before,
                  report.router_mib_after);
  for (const std::string& one : report.clients.examples) text += "  " + one + "\n";
  for (const std::string& one : report.complaints) text += "  a worker complains: " + one + "\n";
  return text;
}

}  // namespace bessemer::failover
