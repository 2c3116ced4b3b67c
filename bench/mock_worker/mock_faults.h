// What goes wrong in a mock worker, and when. Every switch may be set at any time, from any thread.
#pragma once
#include <atomic>
#include <cstdint>
#include <string_view>

#include "bessemer/v1/engine.pb.h"
#include "common/status.h"

namespace bessemer {

// What load reports say instead of the truth.
enum class MockLie : uint8_t {
  none,
  idle,  // nothing runs, nothing waits, all blocks are free
  full,  // a long backlog, no block is free
};

struct MockFaults {
  // The worker.
  std::atomic<bool> hang{false};    // no step is taken; pings are answered, load reports flow
  std::atomic<bool> frozen{false};  // nothing is read, written or computed, as under SIGSTOP
  std::atomic<int32_t> slow{1};     // a step takes so many times as long
  std::atomic<MockLie> lie{MockLie::none};
  std::atomic<int64_t> sever_after_tokens{-1};  // all lanes break once so many have been emitted

  // Its answers.
  std::atomic<int32_t> reject_next{0};                        // so many Starts are refused ...
  std::atomic<int32_t> reject_reason{v1::REJECT_QUEUE_FULL};  // ... with this reason
  std::atomic<int64_t> max_live{INT64_MAX};  // attempts; further Starts are refused likewise
  std::atomic<int32_t> fail_next{0};         // so many attempts fail after their first token ...
  std::atomic<uint32_t> fail_code{13};       // ... with this gRPC status code
  std::atomic<int32_t> skip_offsets{0};      // so many rows claim a later offset than is right
  std::atomic<bool> repeat_rows{false};      // every row is sent twice

  // Its frames with tokens and events, each by chance, in thousandths.
  std::atomic<int32_t> drop{0}, duplicate{0}, reorder{0}, delay{0};
  std::atomic<int32_t> delay_ms{300};
};

// Takes one of what is left of a switch that counts down. False: nothing is.
bool take_one(std::atomic<int32_t>& budget);

// By name, for who controls a mock from outside: hang, frozen, slow, lie (0 to 2), drop, duplicate,
// reorder, delay, delay_ms, max_live.
Status set_fault(MockFaults& faults, std::string_view name, int64_t value);

}  // namespace bessemer
