// What a core counts, as plain relaxed atomics that only its own thread writes; merged when
// somebody scrapes.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "router/cluster/loss_cause.h"

namespace bessemer {

// One writer, any readers.
class Counter {
 public:
  void add(uint64_t by = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Upper bounds in seconds. The first two are vLLM's, so that dashboards can lay them side by side.
inline constexpr std::array kTtftBounds{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,  0.25, 0.5,
                                        0.75,  1.0,   2.5,  5.0,  7.5,  10.0, 20.0, 40.0, 80.0};
inline constexpr std::array kInterTokenBounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1,
                                              0.15,  0.2,    0.3,   0.4,  0.5,   0.75, 1.0,   2.5};
inline constexpr std::array kRequestBounds{0.005, 0.05, 0.3,  0.5,   0.8,   1.0,  1.5,
                                           2.0,   2.5,  5.0,  10.0,  15.0,  20.0, 30.0,
                                           40.0,  50.0, 60.0, 120.0, 240.0, 480.0};

class Histogram {
 public:
  static constexpr size_t kMaxBuckets = 24;
  explicit Histogram(std::span<const double> bounds) : bounds_(bounds) {}
  void observe(double seconds) {
    size_t bucket = 0;
    while (bucket < bounds_.size() && seconds > bounds_[bucket]) bucket++;
    buckets_[bucket].add();
    const double sum = sum_.load(std::memory_order_relaxed);
    sum_.store(sum + seconds, std::memory_order_relaxed);
  }
  std::span<const double> bounds() const { return bounds_; }
  uint64_t bucket(size_t i) const {
    return buckets_[i].value();
  }  // i == bounds().size(): beyond the last bound
  double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  std::span<const double> bounds_;
  std::array<Counter, kMaxBuckets> buckets_;
  std::atomic<double> sum_{0};
};

// From an orphan that was attached at once to a wait for a model to load.
inline constexpr std::array kGapBounds{0.01, 0.025, 0.05, 0.1, 0.25, 0.5,  1.0,
                                       2.0,  3.0,   5.0,  7.5, 10.0, 30.0, 60.0};

inline constexpr std::array kStatuses{200, 204, 400, 401, 404, 405, 408, 413,
                                      417, 429, 431, 499, 500, 501, 503, 504};
inline constexpr size_t kMaxEndpoints = 32;

struct CoreStats {
  // By endpoint (its row in the table; the last one: no endpoint) and status (499: the client hung
  // up).
  std::array<std::array<Counter, kStatuses.size()>, kMaxEndpoints> requests;
  void count_request(size_t endpoint, int status);

  Counter prompt_tokens, cached_tokens, generated_tokens;
  Counter discarded_tokens;                  // came for a choice behind its stop string
  Counter cancelled;                         // requests whose client hung up
  Counter bounces;                           // refusals that another attempt answered
  Counter replaced;                          // attempts lost with a worker and placed again
  Counter failed_streams;                    // ended by an error frame
  std::array<Counter, kLossCauses> resumes;  // streams that went on elsewhere, by what they lost
  Counter recomputed_tokens;                 // of prompt and output, for resumes
  Counter foreign_numerics;                  // resumes on a worker of other numerics
  Counter poisoned;                          // requests that crashed a worker alone
  Counter journals_given_up;
  Histogram failover_gap{kGapBounds};
  Histogram ttft{kTtftBounds}, inter_token{kInterTokenBounds}, request{kRequestBounds};
};

}  // namespace bessemer
