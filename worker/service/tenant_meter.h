// Charges what the engine does to the accounts of those it does it for.
//
// Invariants
//   M1  A prompt is charged once, when its first token comes; what was resumed has been charged
//       where it began. Output is charged as it comes.
#pragma once
#include <cstdint>
#include <mutex>
#include <span>
#include <unordered_map>

#include "worker/engine/request.h"
#include "worker/service/tenant_ledger.h"

namespace bessemer {

// Thread-safe. One engine pass is one call, so that its lock is taken once.
class TenantMeter {
 public:
  explicit TenantMeter(TenantLedger& ledger) : ledger_(ledger) {}  // outlives this

  void begin(const Request& request);
  // The engine did not take it.
  void forget(AttemptId attempt);
  void charge(std::span<const EngineEvent> events, TimePoint now);

 private:
  struct Attempt {
    uint64_t tenant = 0;
    int64_t prompt = 0, cached = 0;
    bool is_charged = true, prompt_due = true;
  };
  using Attempts = std::unordered_map<uint64_t, Attempt>;  // by AttemptId
  static TenantGiven cost_of(const EngineEvent& event, Attempt& attempt);

  TenantLedger& ledger_;
  std::mutex mutex_;
  Attempts attempts_;
};

}  // namespace bessemer
