#include "tests/failover/mock_victim.h"

namespace bessemer::failover {
namespace {

// In thousandths: during a fault of some 250 ms a worker sends some 25 frames; a few of them suffer.
constexpr int32_t kSomeFrames = 150;

// What the fault sets, and to what it is set back.
void set(FaultKind kind, bool on, MockFaults& faults) {
  const int32_t frames = on ? kSomeFrames : 0;
  switch (kind) {
    case FaultKind::hang:
      faults.hang = on;
      return;
    case FaultKind::freeze:
      faults.frozen = on;
      return;
    case FaultKind::slow:
      faults.slow = on ? 20 : 1;
      return;
    case FaultKind::drop:
      faults.drop = frames;
      return;
    case FaultKind::duplicate:
      faults.duplicate = frames;
      return;
    case FaultKind::reorder:
      faults.reorder = frames;
      return;
    case FaultKind::delay:
      faults.delay = frames;
      return;
    case FaultKind::lie_idle:
      faults.lie = on ? MockLie::idle : MockLie::none;
      return;
    case FaultKind::lie_full:
      faults.lie = on ? MockLie::full : MockLie::none;
      return;
    default:
      return;
  }
}

}  // namespace

std::vector<FaultKind> MockVictim::can_suffer() const {
  return {FaultKind::crash, FaultKind::hang,     FaultKind::freeze,    FaultKind::slow,
          FaultKind::sever, FaultKind::drop,     FaultKind::duplicate, FaultKind::reorder,
          FaultKind::delay, FaultKind::lie_idle, FaultKind::lie_full};
}

void MockVictim::begin(FaultKind kind) {
  if (kind == FaultKind::crash) return worker_->crash();
  if (kind == FaultKind::sever) {
    worker_->faults().sever_after_tokens = 0;
    return;
  }
  set(kind, true, worker_->faults());
}

// Its port may be a client's for a moment: then it comes back later.
bool MockVictim::end(FaultKind kind) {
  if (kind == FaultKind::crash) return worker_->revive().ok();
  set(kind, false, worker_->faults());
  return true;
}

}  // namespace bessemer::failover
