// Many streaming clients on one thread, straight on sockets and epoll, so that the client costs
// little beside what it measures.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/common/samples.h"

namespace bessemer::bench {

struct StreamLoad {
  uint16_t port = 0;
  int streams = 1;
  int max_tokens = 100;
  bool repeat = false;  // each connection asks again when its answer is whole
  bool whole = false;   // answers that are not streamed; nothing is known of their tokens' age
  double warm_up_s = 1, measure_s = 5;
};

struct StreamLoadResult {
  Samples added;  // from the emission in the worker to the client's read, of each token
  int64_t tokens = 0, sends = 0, requests = 0, errors = 0;
  double seconds = 0;
};

// `on_measure` is called when the warm-up is over.
StreamLoadResult run_load(const StreamLoad& options, const std::function<void()>& on_measure);

}  // namespace bessemer::bench
