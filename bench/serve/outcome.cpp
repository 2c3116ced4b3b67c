#include "bench/serve/outcome.h"

namespace bessemer::bench {

const char* name_of(Failure failure) {
  switch (failure) {
    case Failure::none:
      return "none";
    case Failure::connect:
      return "connect";
    case Failure::lost:
      return "lost";
    case Failure::timeout:
      return "timeout";
    case Failure::status:
      return "status";
    case Failure::stream:
      return "stream";
    case Failure::truncated:
      return "truncated";
    case Failure::malformed:
      return "malformed";
    case Failure::overrun:
      return "overrun";
    case Failure::skipped:
      return "skipped";
  }
  return "unknown";
}

}  // namespace bessemer::bench
