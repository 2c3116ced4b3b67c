// What a mock worker promises (bench/mock_worker/README.md), seen at its engine.
#include "bench/mock_worker/mock_engine.h"

#include <algorithm>
#include <map>
#include <thread>

#include <gtest/gtest.h>

#include "common/random.h"

namespace bessemer {
namespace {

// A lane that remembers.
class Listener final : public MockSink {
 public:
  struct Heard {
    std::map<uint32_t, std::vector<uint32_t>> ids;  // by choice
    std::map<uint32_t, uint32_t> first_offset;
    std::map<uint32_t, v1::ChoiceEnd> ends;
    std::optional<v1::Rejected> rejected;
    std::optional<v1::Done> done;
    int admitted = 0;
  };
  void send(v1::WorkerFrame frame) override {
    std::lock_guard lock(mutex_);
    const v1::StepBatch& step = frame.step();
    for (const auto& event : step.before()) take(event);
    int id = 0;
    for (int row = 0; row < step.attempt_size(); row++) {
      Heard& heard = heard_[step.attempt(row)];
      heard.first_offset.try_emplace(step.choice(row), step.offset(row));
      for (uint32_t i = 0; i < step.count(row); i++)
        heard.ids[step.choice(row)].push_back(step.ids(id++));
    }
    for (const auto& event : step.after()) take(event);
  }
  void sever() override {}
  Heard heard(uint64_t attempt) {
    std::lock_guard lock(mutex_);
    return heard_[attempt];
  }

 private:
  void take(const v1::Event& event) {
    Heard& heard = heard_[event.attempt()];
    heard.admitted += event.has_admitted() ? 1 : 0;
    if (event.has_rejected()) heard.rejected = event.rejected();
    if (event.has_choice_end()) heard.ends[event.choice_end().choice()] = event.choice_end();
    if (event.has_done()) heard.done = event.done();
  }
  std::mutex mutex_;
  std::map<uint64_t, Heard> heard_;
};

class MockEngineTest : public ::testing::Test {
 protected:
  MockEngineTest() {
    timing_.step_us = 200;
    timing_.prefill_tok_s = 1e7;
    model_.end_every = 60;
  }
  void begin() {
    engine_ = std::make_unique<MockEngine>(model_, 1, timing_, limits_, faults_, complaints_,
                                           [](int64_t) {});
  }
  template <typename Condition>
  static bool eventually(Condition condition) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition() && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return condition();
  }
  v1::Start make_start(uint64_t handle, Random& random) const {
    v1::Start start;
    start.set_attempt(handle);
    start.set_request_id("request " + std::to_string(handle));
    auto& generate = *start.mutable_generate();
    generate.set_seed(random.next());
    generate.set_n(static_cast<uint32_t>(random.between(1, 3)));
    generate.set_max_tokens(static_cast<uint32_t>(random.between(1, 60)));
    generate.set_min_tokens(static_cast<uint32_t>(random.between(0, generate.max_tokens())));
    if (random.chance(0.5)) generate.set_presence_penalty(0.5f);
    for (int64_t i = random.between(1, 90); i > 0; i--)
      start.mutable_input()->add_ids(
          static_cast<uint32_t>(MockModel::kFirstNumber + random.between(0, 999)));
    return start;
  }
  static std::vector<uint32_t> prompt_of(const v1::Start& start) {
    return {start.input().ids().begin(), start.input().ids().end()};
  }
  MockAnswer right(const v1::Start& start, uint32_t choice) const {
    return mock_answer(model_, MockSampling::of(start.generate()), choice, prompt_of(start));
  }
  void send(const v1::Start& start) { engine_->start(sink_, start, prompt_of(start)); }
  Listener::Heard wait_for_end(uint64_t handle) {
    EXPECT_TRUE(eventually([&] {
      const auto heard = listener_->heard(handle);
      return heard.done || heard.rejected;
    }));
    return listener_->heard(handle);
  }
  bool all_blocks_free() {
    const EngineStats stats = engine_->stats();
    return stats.kv_free + stats.kv_cached == stats.kv_total && stats.running == 0 &&
           stats.waiting == 0;
  }

  MockModel model_;
  MockTiming timing_;
  MockLimits limits_;
  MockFaults faults_;
  Complaints complaints_;
  std::shared_ptr<Listener> listener_ = std::make_shared<Listener>();
  std::shared_ptr<MockSink> sink_ = listener_;
  std::unique_ptr<MockEngine> engine_;
};

TEST_F(MockEngineTest, AnswersAreThoseThatThePromptSays) {
  begin();
  Random random(1);
  std::vector<v1::Start> starts;
  for (uint64_t handle = 1; handle <= 50; handle++) starts.push_back(make_start(handle, random));
  for (const auto& start : starts) send(start);
  for (const auto& start : starts) {
    const auto heard = wait_for_end(start.attempt());
    for (uint32_t i = 0; i < start.generate().n(); i++) {
      const MockAnswer answer = right(start, i);
      EXPECT_EQ(heard.ids.contains(i) ? heard.ids.at(i) : std::vector<uint32_t>(), answer.ids);
      EXPECT_EQ(heard.ends.at(i).reason(), answer.reason);
      EXPECT_EQ(heard.ends.at(i).end_offset(), answer.ids.size());
    }
  }
  EXPECT_TRUE(eventually([&] { return all_blocks_free(); }));
}

// Broken off at any place, the rest is the rest.
TEST_F(MockEngineTest, AResumeGoesOnWhereItWasBrokenOff) {
  begin();
  Random random(2);
  for (uint64_t handle = 1; handle <= 60; handle++) {
    v1::Start start = make_start(handle, random);
    std::vector<size_t> cuts;
    for (uint32_t i = 0; i < start.generate().n(); i++) {
      const MockAnswer answer = right(start, i);
      auto& delivered = *start.mutable_resume()->add_choices();
      const bool ended = random.chance(0.3);
      cuts.push_back(ended ? answer.ids.size()
                           : static_cast<size_t>(random.below(answer.ids.size() + 1)));
      delivered.mutable_ids()->Add(answer.ids.begin(),
                                   answer.ids.begin() + static_cast<std::ptrdiff_t>(cuts[i]));
      if (ended) delivered.set_end(answer.reason);
    }
    send(start);
    const auto heard = wait_for_end(handle);
    for (uint32_t i = 0; i < start.generate().n(); i++) {
      const MockAnswer answer = right(start, i);
      const std::vector<uint32_t> rest(answer.ids.begin() + static_cast<std::ptrdiff_t>(cuts[i]),
                                       answer.ids.end());
      EXPECT_EQ(heard.ids.contains(i) ? heard.ids.at(i) : std::vector<uint32_t>(), rest);
      if (!rest.empty()) EXPECT_EQ(heard.first_offset.at(i), cuts[i]);
      const bool ended = start.resume().choices(static_cast<int>(i)).end() != 0;
      EXPECT_EQ(heard.ends.contains(i), !ended);
    }
    ASSERT_TRUE(heard.done);
    EXPECT_EQ(heard.done->usage().generated(0), right(start, 0).ids.size());
  }
  EXPECT_EQ(complaints_.count(), 0u);
}

TEST_F(MockEngineTest, AResumeThatIsNotTheTruthIsComplainedOf) {
  model_.end_every = 0;
  begin();
  Random random(3);
  v1::Start start = make_start(1, random);
  start.mutable_generate()->set_n(1);
  start.mutable_generate()->set_max_tokens(20);
  const MockAnswer answer = right(start, 0);
  auto& ids = *start.mutable_resume()->add_choices()->mutable_ids();
  ids.Add(answer.ids.begin(), answer.ids.begin() + 10);
  ids.Set(4, ids.Get(5));
  send(start);
  EXPECT_EQ(wait_for_end(1).rejected->reason(), v1::REJECT_BAD_INPUT);
  EXPECT_EQ(complaints_.count(), 1u);
  ids.Set(4, answer.ids[4]);
  start.set_attempt(2);
  start.mutable_resume()->add_choices();  // of two, for a request of one
  send(start);
  EXPECT_EQ(wait_for_end(2).rejected->reason(), v1::REJECT_BAD_INPUT);
  EXPECT_EQ(complaints_.count(), 2u);
}

TEST_F(MockEngineTest, LaterEpochsReplaceEarlierOnesAndNeverTheOtherWayRound) {
  begin();
  Random random(4);
  v1::Start start = make_start(1, random);
  start.set_epoch(3);
  start.mutable_generate()->set_max_tokens(100'000);
  start.mutable_generate()->set_min_tokens(100'000);
  send(start);
  start.set_attempt(2);
  start.set_epoch(2);
  send(start);
  EXPECT_EQ(wait_for_end(2).rejected->reason(), v1::REJECT_STALE_EPOCH);
  EXPECT_TRUE(eventually([&] { return listener_->heard(1).admitted == 1; }));
  start.set_attempt(3);
  start.set_epoch(4);
  send(start);
  EXPECT_EQ(wait_for_end(1).ends.at(0).reason(), v1::END_CANCELLED);
  EXPECT_EQ(engine_->live(), 1);
}

TEST_F(MockEngineTest, CancelledChoicesEndAndTheirBlocksComeBack) {
  begin();
  Random random(5);
  v1::Start start = make_start(1, random);
  start.mutable_generate()->set_n(2);
  start.mutable_generate()->set_max_tokens(100'000);
  start.mutable_generate()->set_min_tokens(100'000);
  send(start);
  EXPECT_TRUE(eventually([&] { return listener_->heard(1).ids[1].size() > 20; }));
  v1::Cancel cancel;
  cancel.set_attempt(1);
  cancel.add_choices(1);
  engine_->cancel(sink_.get(), cancel);
  EXPECT_EQ(listener_->heard(1).ends.at(1).reason(), v1::END_CANCELLED);
  EXPECT_FALSE(listener_->heard(1).done);
  EXPECT_EQ(engine_->live(), 1);
  cancel.clear_choices();
  engine_->cancel(sink_.get(), cancel);
  EXPECT_TRUE(listener_->heard(1).done);
  EXPECT_EQ(engine_->live(), 0);
  EXPECT_TRUE(all_blocks_free());
}

TEST_F(MockEngineTest, OrphansGoOnAndAreAttachedWhereTheyAre) {
  limits_.orphan_ms = 5000;
  begin();
  Random random(6);
  v1::Start start = make_start(1, random);
  start.mutable_generate()->set_n(1);
  start.mutable_generate()->set_max_tokens(60);
  start.mutable_generate()->set_min_tokens(60);
  send(start);
  EXPECT_TRUE(eventually([&] { return listener_->heard(1).ids[0].size() >= 5; }));
  engine_->forget(sink_.get());
  EXPECT_TRUE(eventually([&] { return engine_->emitted() == 60; }));  // to its end, unheard
  EXPECT_EQ(engine_->live(), 1);
  const auto other = std::make_shared<Listener>();
  v1::Attach attach;
  attach.set_attempt(9);
  attach.set_request_id(start.request_id());
  attach.set_epoch(start.epoch());
  attach.add_next_offset(5);
  engine_->attach(other, attach);
  const auto heard = other->heard(9);
  const MockAnswer answer = right(start, 0);
  EXPECT_EQ(heard.ids.at(0), std::vector<uint32_t>(answer.ids.begin() + 5, answer.ids.end()));
  EXPECT_EQ(heard.first_offset.at(0), 5u);
  EXPECT_TRUE(heard.done);
  EXPECT_EQ(engine_->live(), 0);
  attach.set_attempt(10);
  engine_->attach(other, attach);
  EXPECT_EQ(other->heard(10).rejected->reason(), v1::REJECT_NOT_FOUND);
}

TEST_F(MockEngineTest, OrphansThatNobodyAttachesAreGivenUp) {
  limits_.orphan_ms = 50;
  begin();
  Random random(7);
  v1::Start start = make_start(1, random);
  start.mutable_generate()->set_max_tokens(100'000);
  start.mutable_generate()->set_min_tokens(100'000);
  send(start);
  EXPECT_TRUE(eventually([&] { return engine_->emitted() > 0; }));
  engine_->forget(sink_.get());
  EXPECT_TRUE(eventually([&] { return engine_->live() == 0; }));
  EXPECT_TRUE(all_blocks_free());
}

TEST_F(MockEngineTest, CreditParksAChoiceAndLetsItGoOn) {
  begin();
  Random random(8);
  v1::Start start = make_start(1, random);
  start.mutable_generate()->set_n(1);
  start.mutable_generate()->set_max_tokens(50);
  start.mutable_generate()->set_min_tokens(50);
  start.set_send_until(10);
  send(start);
  EXPECT_TRUE(eventually([&] { return engine_->emitted() == 10; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(engine_->emitted(), 10);
  EXPECT_FALSE(engine_->stats().work_pending);
  v1::Credit credit;
  credit.set_attempt(1);
  credit.set_send_until(1000);
  engine_->credit(sink_.get(), credit);
  EXPECT_EQ(wait_for_end(1).ids.at(0), right(start, 0).ids);
}

TEST_F(MockEngineTest, TheSamePromptIsFoundInTheCacheAgain) {
  begin();
  Random random(9);
  v1::Start start = make_start(1, random);
  start.mutable_input()->mutable_ids()->Resize(100, MockModel::kFirstNumber);
  send(start);
  EXPECT_EQ(wait_for_end(1).done->usage().cached(), 0u);
  start.set_attempt(2);
  start.set_request_id("another");
  send(start);
  EXPECT_EQ(wait_for_end(2).done->usage().cached(), 96u);  // six blocks, never the last row
  start.set_attempt(3);
  start.set_request_id("a stranger");
  start.mutable_cache()->set_root("stranger");
  send(start);
  EXPECT_EQ(wait_for_end(3).done->usage().cached(), 0u);
  EXPECT_EQ(engine_->stats().prefix_tokens_found, 96u);
}

// Far too few blocks: choices wait and are thrown out, and answer all the same (ME1).
TEST_F(MockEngineTest, PreemptedChoicesAnswerWhatTheyWouldHave) {
  limits_.kv_blocks = 30;
  begin();
  Random random(10);
  std::vector<v1::Start> starts;
  for (uint64_t handle = 1; handle <= 40; handle++) starts.push_back(make_start(handle, random));
  for (const auto& start : starts) send(start);
  for (const auto& start : starts) {
    const auto heard = wait_for_end(start.attempt());
    for (uint32_t i = 0; i < start.generate().n(); i++) {
      EXPECT_EQ(heard.ids.contains(i) ? heard.ids.at(i) : std::vector<uint32_t>(),
                right(start, i).ids);
    }
  }
  EXPECT_GT(engine_->stats().preemptions, 0u);
  EXPECT_TRUE(eventually([&] { return all_blocks_free(); }));
}

TEST_F(MockEngineTest, WhatCanNeverFitAndWhatWouldTakeTooLongIsRefused) {
  limits_.kv_blocks = 10;
  begin();
  Random random(11);
  v1::Start start = make_start(1, random);
  start.mutable_input()->mutable_ids()->Resize(90, MockModel::kFirstNumber);
  start.mutable_generate()->set_max_tokens(1000);
  send(start);
  EXPECT_EQ(wait_for_end(1).rejected->reason(), v1::REJECT_TOO_LARGE);
  start.mutable_generate()->set_max_tokens(1);
  start.set_attempt(2);
  start.mutable_admission()->set_max_est_ttft_us(0);
  send(start);
  EXPECT_TRUE(wait_for_end(2).done);
  EXPECT_TRUE(eventually([&] { return engine_->live() == 0; }));
  faults_.hang = true;
  for (uint64_t handle = 3; handle < 6; handle++) {
    start.set_attempt(handle);
    start.set_request_id("request " + std::to_string(handle));
    start.mutable_admission()->set_max_est_ttft_us(handle == 3 ? 0 : 5);
    start.mutable_admission()->set_must_queue(handle == 5);
    send(start);
  }
  EXPECT_EQ(wait_for_end(4).rejected->reason(), v1::REJECT_TOO_SLOW);
  EXPECT_EQ(engine_->live(), 2);
}

TEST_F(MockEngineTest, AHangIsVisibleInItsStepsAndALieIsNot) {
  begin();
  Random random(12);
  v1::Start start = make_start(1, random);
  start.mutable_generate()->set_max_tokens(100'000);
  start.mutable_generate()->set_min_tokens(100'000);
  faults_.hang = true;
  send(start);
  const EngineStats before = engine_->stats();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(engine_->stats().steps, before.steps);
  EXPECT_TRUE(engine_->stats().work_pending);
  EXPECT_EQ(engine_->stats().waiting, 1);
  faults_.lie = MockLie::idle;
  EXPECT_EQ(engine_->stats().waiting, 0);
  EXPECT_EQ(engine_->stats().kv_free, engine_->stats().kv_total);
  faults_.lie = MockLie::full;
  EXPECT_EQ(engine_->stats().kv_free, 0);
}

}  // namespace
}  // namespace bessemer
