// Where lanes leave batches for a core. A core that lags finds several at once and handles them as
// one, so that what it writes merges instead of queueing. Bounded by what the core's live attempts
// may still generate.
#pragma once
#include <mutex>
#include <utility>
#include <vector>

#include "router/upstream/delivery.h"

namespace bessemer {

class CoreInbox {
 public:
  // True: nobody has been woken for what is inside; wake the core. Any thread.
  bool put(CoreBatch batch) {
    std::lock_guard lock(mutex_);
    batches_.push_back(std::move(batch));
    return batches_.size() == 1;
  }
  // Everything, oldest first. On the core's thread.
  std::vector<CoreBatch> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(batches_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<CoreBatch> batches_;
};

}  // namespace bessemer
