// The worker behind a SessionCore under test: notes what it is asked, and does nothing by itself.
#pragma once
#include <utility>
#include <vector>

#include "worker/service/session_core.h"

namespace bessemer::testing {

class FakeHost final : public SessionHost {
 public:
  AttemptId new_attempt() override { return AttemptId{next_++}; }
  bool submit(Request request) override {
    if (full) return false;
    submitted.push_back(std::move(request));
    return true;
  }
  void cancel(AttemptId attempt, std::span<const int32_t> choices) override {
    cancelled.emplace_back(attempt, std::vector<int32_t>(choices.begin(), choices.end()));
  }
  void credit(AttemptId attempt, int32_t send_until) override {
    credited.emplace_back(attempt, send_until);
  }
  std::optional<Orphan> adopt(const std::string& request_id, uint32_t epoch) override {
    if (!orphan || orphan->request_id != request_id || orphan->epoch != epoch) return std::nullopt;
    return std::exchange(orphan, std::nullopt);
  }
  void abandon(AttemptId attempt) override { abandoned.push_back(attempt); }
  EngineStats stats() const override { return engine; }
  GrantShare grant_share() const override { return share; }
  bool draining() const override { return drains; }

  bool full = false, drains = false;
  EngineStats engine;
  GrantShare share;
  std::optional<Orphan> orphan;
  std::vector<Request> submitted;
  std::vector<std::pair<AttemptId, std::vector<int32_t>>> cancelled;
  std::vector<std::pair<AttemptId, int32_t>> credited;
  std::vector<AttemptId> abandoned;

 private:
  uint64_t next_ = 1;
};

// A worker of 100 tokens of vocabulary and 64 of context.
inline WorkerFacts small_facts() {
  WorkerFacts facts;
  facts.card.set_card_hash("c0ffee");
  facts.card.set_vocab_size(100);
  facts.card.set_block_tokens(16);
  facts.card.set_numerics("reference/kv-f16");
  facts.end_of_generation = {2};
  facts.max_len = 64;
  facts.max_choices = 8;
  facts.incarnation = 42;
  facts.features = offered_features();
  return facts;
}

// A Start that small_facts() accepts; `number` makes request id and handle.
inline v1::Start small_start(uint64_t number, std::vector<uint32_t> ids = {5, 6, 7}) {
  v1::Start start;
  start.set_attempt(number);
  start.set_request_id(std::string(15, 'r') + static_cast<char>(number));
  start.mutable_input()->mutable_ids()->Add(ids.begin(), ids.end());
  start.mutable_generate()->set_max_tokens(4);
  return start;
}

}  // namespace bessemer::testing
