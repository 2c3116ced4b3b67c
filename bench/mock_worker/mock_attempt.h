// A request in a mock's engine: plain state, changed by the engine alone.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bench/mock_worker/mock_writer.h"
#include "common/status.h"
#include "worker/engine/request.h"
#include "worker/kv/kv_space.h"

namespace bessemer {

// One lane, as the engine sees it.
class MockSink {
 public:
  virtual ~MockSink() = default;
  virtual void send(v1::WorkerFrame frame) = 0;
  // The lane breaks off, as when a process dies.
  virtual void sever() = 0;
};

struct MockChoice {
  explicit MockChoice(MockWriter w) : writer(std::move(w)) {}

  MockWriter writer;
  std::vector<int32_t> history;  // prompt and output
  KvTable kv;
  bool placed = false;       // has its blocks, and a share of the steps
  int64_t prefill_left = 0;  // rows to be computed before it writes; of placed ones
  bool open = true;
  v1::EndReason reason = v1::END_UNSPECIFIED;  // of closed ones
  std::optional<uint32_t> stop_id;

  bool writes() const { return open && placed && prefill_left == 0; }
};

struct MockAttempt {
  std::shared_ptr<MockSink> sink;  // null: an orphan
  uint64_t handle = 0;
  AttemptId id{};
  std::string request_id;
  uint32_t epoch = 0;
  std::shared_ptr<const MockSampling> sampling;
  uint32_t prompt_tokens = 0;
  std::string root;  // whose prefixes it shares
  bool stores = true;
  bool looked_up = false;   // in the prefix cache
  uint32_t cached = 0;      // prompt tokens that the cache had when it was placed
  uint32_t send_until = 0;  // per choice, in output tokens; 0: no limit
  std::optional<uint32_t> logprobs, prompt_logprobs;
  bool admitted = false, fails = false;
  int64_t deadline_us = INT64_MAX, orphan_until_us = INT64_MAX;
  std::vector<MockChoice> choices;

  bool finished() const;
  // The choice whose prompt the others wait for: the first that is open.
  const MockChoice* leader() const;
  bool may_place(const MockChoice& choice) const;
  bool may_write(const MockChoice& choice) const;
  std::span<const int32_t> output(const MockChoice& choice) const;
};

// Of a Start with all of its input. An error says what in it contradicts itself, or what this worker
// would have written: a resume is right only if every delivered token is the one that it would
// deliver (W1).
StatusOr<MockAttempt> make_mock_attempt(const MockModel& model, const v1::Start& start,
                                        std::span<const uint32_t> ids);

}  // namespace bessemer
