// Why an attempt's worker gave no more of it. Placement and metrics tell them apart.
#pragma once
#include <cstddef>
#include <cstdint>

namespace bessemer {

enum class LossCause : uint8_t {
  lane,      // the connection broke and the attempt could not be attached to a new one
  crash,     // the worker's process is gone, or another one answers in its place
  lease,     // the worker was silent for its lease
  stuck,     // the worker has work and takes no step (stuck_detector.h)
  protocol,  // it broke the session's rules: a gap in the tokens, an end that never came
  failed,    // it said so itself, and that another may succeed
  handoff,   // it handed the attempt over
};
constexpr size_t kLossCauses = 7;

constexpr const char* loss_cause_name(LossCause cause) {
  switch (cause) {
    case LossCause::lane:
      return "lane";
    case LossCause::crash:
      return "crash";
    case LossCause::lease:
      return "lease";
    case LossCause::stuck:
      return "stuck";
    case LossCause::protocol:
      return "protocol";
    case LossCause::failed:
      return "failed";
    case LossCause::handoff:
      return "handoff";
  }
  return "lane";
}

}  // namespace bessemer
