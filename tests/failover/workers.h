// The workers of a campaign, wherever they are.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/mock_worker/mock_worker.h"
#include "tests/failover/campaign.h"
#include "tests/failover/faults.h"

namespace bessemer::failover {

// What is said of all workers at the end.
struct WorkerWords {
  std::vector<std::string> complaints;
  int64_t resumed = 0, attached = 0, left = 0;
};

class Workers {
 public:
  static StatusOr<std::unique_ptr<Workers>> start(const CampaignOptions& options,
                                                  const MockModel& model);
  virtual ~Workers() = default;

  virtual std::vector<std::string> addresses() const = 0;
  virtual const std::vector<std::unique_ptr<Victim>>& victims() const = 0;
  // When no fault is at work any more. Waits for the last attempts to end, for `patience` at most.
  virtual WorkerWords last_words(Duration patience) = 0;
};

}  // namespace bessemer::failover
