// Steps recorded as CUDA graphs: one launch instead of hundreds.
#pragma once
#include <cstdint>
#include <map>
#include <vector>

#include <cuda_runtime_api.h>

#include "worker/backend/backend.h"
#include "worker/backend/cuda/device.h"

namespace bessemer::cuda {

class Recordings {
 public:
  // What a recording is good for: the step's key, and where and in what shape its inputs lie.
  struct Key {
    StepKey step;
    std::vector<int32_t> shape;
    bool operator<(const Key& other) const;
  };
  struct Recording {
    bool seen = false;  // ran once, so that libraries have chosen and modules are loaded
    cudaGraphExec_t graph = nullptr;  // null: not recorded yet
    int64_t ops = 0;                  // that the body issued; every replay must issue as many
  };

  Recordings() = default;
  ~Recordings() { clear(); }
  Recordings(const Recordings&) = delete;
  Recordings& operator=(const Recordings&) = delete;

  // The recording of `key`, made if there is none. Beyond kMost all are dropped first: the shapes that come back are soon
  // recorded again, and nothing but their time is lost.
  Recording& at(const Key& key);
  // Runs `body`, whose launches on `stream` are recorded and not run.
  static Status record(Recording& to, const Stream& stream, const std::function<void()>& body);
  void clear();

 private:
  // 64 batch sizes, two upload slots, and two lengths of context while one grows into the next.
  static constexpr size_t kMost = 256;
  std::map<Key, Recording> recordings_;
};

// Lengths grow from step to step, shapes must not: the least value of {1, 1.25, 1.5, 1.75} x 2^n from `least` (a power of two
// of at least 4) on that is not below `length`. So at most a quarter is too much.
int32_t length_bucket(int32_t length, int32_t least);
// Of the longest context of a step, which decides how attention is cut.
inline int32_t kv_bucket(int32_t longest_kv) {
  return length_bucket(longest_kv, 256);
}

}  // namespace bessemer::cuda
