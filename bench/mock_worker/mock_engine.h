// The mock's engine: a thread that takes a step every so often and emits one token for each
// sequence that is past its prefill. No gRPC in here; what it emits goes to MockSinks.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "bench/mock_worker/mock_model.h"
#include "bessemer/v1/engine.pb.h"

namespace bessemer {

// One lane.
class MockSink {
 public:
  virtual ~MockSink() = default;
  virtual void send(v1::WorkerFrame frame) = 0;
  // The lane breaks off, as when a process dies.
  virtual void sever() = 0;
};

struct MockTiming {
  int64_t step_us = 10'000;
  double prefill_tok_s = 50'000;
};

// What goes wrong, and when. Set at any time.
struct MockFaults {
  std::atomic<int64_t> sever_after_tokens{
      -1};                              // all lanes break once so many tokens have been emitted
  std::atomic<bool> hang{false};        // no step is taken, pings are still answered
  std::atomic<int32_t> reject_next{0};  // so many Starts are refused ...
  std::atomic<int32_t> reject_reason{v1::REJECT_QUEUE_FULL};  // ... with this reason
  std::atomic<uint64_t> backlog_tokens{0};                    // what the load reports say
  std::atomic<int64_t> max_live{INT64_MAX};  // attempts; further Starts are refused likewise
  std::atomic<int32_t> fail_next{
      0};  // so many attempts end with Failed after their first token ...
  std::atomic<uint32_t> fail_code{13};   // ... with this gRPC status code
  std::atomic<int32_t> skip_offsets{0};  // so many rows claim a later offset than is right
  std::atomic<bool> repeat_rows{false};  // every row is sent twice
};

class MockEngine {
 public:
  MockEngine(const MockModel& model, const MockTiming& timing) : model_(model), timing_(timing) {
    thread_ = std::thread([this] { run(); });
  }
  ~MockEngine();

  void start(const std::shared_ptr<MockSink>& sink, const v1::Start& start,
             std::vector<uint32_t> ids);
  void cancel(const MockSink* sink, const v1::Cancel& cancel);
  void forget(const MockSink* sink);  // the lane is gone

  MockFaults& faults() { return faults_; }
  v1::Load load() const;
  int64_t live() const { return live_.load(); }  // attempts
  int64_t started() const { return started_.load(); }
  int64_t cancelled() const { return cancelled_.load(); }  // by Cancel, not by a lost lane
  int64_t emitted() const { return emitted_.load(); }      // tokens
  void add_lane(const std::shared_ptr<MockSink>& sink);

 private:
  struct Sequence {
    std::shared_ptr<MockSink> sink;
    uint64_t attempt = 0, seed = 0, prompt_hash = 0;
    uint32_t prompt_tokens = 0, max_tokens = 0, produced = 0;
    bool ignore_eos = false, admitted = false, fails = false;
    std::optional<uint32_t> logprobs, prompt_logprobs;
    std::vector<uint32_t> stop_ids;
    std::vector<bool> open;  // choices
    std::vector<uint32_t> counts;
    std::vector<uint32_t> prompt;  // only where prompt_logprobs asks for it
    int64_t ready_us = 0;          // prefill is over
    int64_t deadline_us = INT64_MAX;
  };
  struct Batch {
    std::shared_ptr<MockSink> sink;
    v1::WorkerFrame frame;
  };

  void run();
  void step(std::vector<Batch>& batches, int64_t now_us);
  bool advance(Sequence& sequence, v1::StepBatch& batch, int64_t now_us);
  void emit(Sequence& sequence, uint32_t choice, v1::StepBatch& batch, int64_t now_us);
  void end_choice(Sequence& sequence, uint32_t choice, v1::EndReason reason,
                  std::optional<uint32_t> stop_id, v1::StepBatch& batch);
  void finish(Sequence& sequence, v1::StepBatch& batch);
  static void fail(const Sequence& sequence, uint32_t code, const std::string& detail,
                   v1::StepBatch& batch);
  void add_prompt_logprobs(const Sequence& sequence, v1::StepBatch& batch) const;
  void sever_all();
  static Batch& batch_of(std::vector<Batch>& batches, const std::shared_ptr<MockSink>& sink);

  const MockModel model_;
  const MockTiming timing_;
  MockFaults faults_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::list<Sequence> sequences_;
  std::vector<std::weak_ptr<MockSink>> lanes_;
  uint64_t steps_ = 0;
  std::atomic<int64_t> live_{0}, started_{0}, cancelled_{0}, emitted_{0};
  std::thread thread_;
};

}  // namespace bessemer
