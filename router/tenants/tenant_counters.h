// What each tenant asked and got since the router began, for /metrics. Thread-safe: one short lock a
// request.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace bessemer {

struct TenantTotals {
  // Answers: 2xx; 429; 499, whose client hung up; other 4xx, the client's mistakes; 5xx.
  uint64_t answered = 0, refused = 0, cancelled = 0, invalid = 0, failed = 0;
  uint64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
};

class TenantCounters {
 public:
  // Names beyond the first so many that asked are counted together: a label's values must be few.
  // The first, not the largest, so that no counter ever falls.
  static constexpr size_t kMostNames = 50;
  static constexpr const char* kOther = "(other)";  // no tenant can have this name

  void count(const std::string& tenant, int status, int64_t prompt_tokens, int64_t cached_tokens,
             int64_t generated_tokens);
  std::map<std::string, TenantTotals> totals() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, TenantTotals> totals_;
};

}  // namespace bessemer
