#include "bench/mock_worker/frame_chaos.h"

#include <utility>

namespace bessemer {
namespace {

// A frame that nothing overtakes goes out after this time.
constexpr int64_t kOvertakenUs = 100'000;

}  // namespace

void FrameChaos::pass(v1::WorkerFrame frame, int64_t now_us, std::vector<v1::WorkerFrame>& out) {
  if (!frame.has_step()) return out.push_back(std::move(frame));
  if (chance(faults_.drop)) return;
  if (chance(faults_.delay)) {
    held_.push_back({std::move(frame), now_us + int64_t{1000} * faults_.delay_ms, false});
    return;
  }
  if (chance(faults_.reorder)) {
    held_.push_back({std::move(frame), now_us + kOvertakenUs, true});
    return;
  }
  if (chance(faults_.duplicate)) out.push_back(frame);
  out.push_back(std::move(frame));
  for (Held& one : held_) {
    if (one.overtaken) out.push_back(std::move(one.frame));
  }
  std::erase_if(held_, [](const Held& one) { return one.overtaken; });
}

void FrameChaos::release(int64_t now_us, std::vector<v1::WorkerFrame>& out) {
  for (Held& one : held_) {
    if (one.until_us <= now_us) out.push_back(std::move(one.frame));
  }
  std::erase_if(held_, [&](const Held& one) { return one.until_us <= now_us; });
}

}  // namespace bessemer
