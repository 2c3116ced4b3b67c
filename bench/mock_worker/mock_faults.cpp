#include "bench/mock_worker/mock_faults.h"

#include <fmt/format.h>

namespace bessemer {

bool take_one(std::atomic<int32_t>& budget) {
  int32_t left = budget.load(std::memory_order_relaxed);
  while (left > 0 && !budget.compare_exchange_weak(left, left - 1)) {
  }
  return left > 0;
}

Status set_fault(MockFaults& faults, std::string_view name, int64_t value) {
  const auto number = static_cast<int32_t>(value);
  if (name == "hang") {
    faults.hang = value != 0;
  } else if (name == "frozen") {
    faults.frozen = value != 0;
  } else if (name == "slow" && value > 0) {
    faults.slow = number;
  } else if (name == "lie" && value >= 0 && value <= static_cast<int64_t>(MockLie::full)) {
    faults.lie = static_cast<MockLie>(value);
  } else if (name == "drop") {
    faults.drop = number;
  } else if (name == "duplicate") {
    faults.duplicate = number;
  } else if (name == "reorder") {
    faults.reorder = number;
  } else if (name == "delay") {
    faults.delay = number;
  } else if (name == "delay_ms") {
    faults.delay_ms = number;
  } else if (name == "max_live") {
    faults.max_live = value;
  } else {
    return absl::InvalidArgumentError(fmt::format("no fault {} {}", name, value));
  }
  return absl::OkStatus();
}

}  // namespace bessemer
