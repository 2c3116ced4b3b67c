#include "router/upstream/lane_protocol.h"

#include <functional>
#include <map>
#include <optional>

#include <gtest/gtest.h>

#include "proto/features.h"
#include "router/openai/limits.h"

namespace bessemer {
namespace {

using Frame = std::shared_ptr<v1::WorkerFrame>;

Frame make_frame() {
  return std::make_shared<v1::WorkerFrame>();
}

Frame hello_frame(bool all_features = true) {
  auto frame = make_frame();
  auto* hello = frame->mutable_hello();
  hello->set_protocol_min(1);
  hello->set_protocol_max(1);
  hello->set_incarnation(7);
  hello->add_features(static_cast<uint32_t>(Feature::generate));
  if (all_features) hello->add_features(static_cast<uint32_t>(Feature::chunked_input));
  return frame;
}

void add_row(v1::StepBatch& step, uint64_t attempt, uint32_t choice, uint32_t offset,
             std::vector<uint32_t> ids) {
  step.add_attempt(attempt);
  step.add_choice(choice);
  step.add_offset(offset);
  step.add_count(static_cast<uint32_t>(ids.size()));
  for (const uint32_t id : ids) step.add_ids(id);
}

v1::Start start_of(size_t prompt = 3, uint32_t n = 1) {
  v1::Start start;
  start.mutable_generate()->set_n(n);
  for (size_t i = 0; i < prompt; i++) start.mutable_input()->add_ids(static_cast<uint32_t>(i));
  return start;
}

class LaneProtocolTest : public ::testing::Test {
 protected:
  void connect(bool all_features = true) {
    EXPECT_TRUE(take().has_hello());
    ASSERT_TRUE(receive(hello_frame(all_features)).ok());
  }
  Status receive(const Frame& frame) {
    deliveries_ = Deliveries(frame);
    return lane_->receive(frame, now_, deliveries_);
  }
  // The next frame to the worker; an empty one when there is none.
  v1::RouterFrame take() {
    v1::RouterFrame frame;
    lane_->next_frame(frame);
    return frame;
  }
  uint64_t start(uint64_t serial, uint32_t core = 0, uint32_t n = 1) {
    EXPECT_TRUE(lane_->start({core, serial}, start_of(3, n)).ok());
    const auto frame = take();
    EXPECT_TRUE(frame.has_start());
    return frame.start().attempt();
  }
  // A ping a second later, and what the worker says to it.
  void answer_ping(uint64_t engine_steps, bool work_pending) {
    now_ += std::chrono::seconds(1);
    EXPECT_TRUE(lane_->tick(now_).ok());
    const auto ping = take();
    EXPECT_TRUE(ping.has_ping());
    auto frame = make_frame();
    *frame->mutable_ping() = ping.ping();
    frame->mutable_ping()->set_reply(true);
    frame->mutable_ping()->set_engine_steps(engine_steps);
    frame->mutable_ping()->set_work_pending(work_pending);
    EXPECT_TRUE(receive(frame).ok());
  }
  std::vector<Delivery> delivered() {
    std::vector<Delivery> all;
    for (auto& batch : deliveries_.batches())
      all.insert(all.end(), batch.items.begin(), batch.items.end());
    return all;
  }
  static std::vector<uint32_t> ids_of(const Delivery& item) {
    const auto& row = std::get<TokenRow>(item.what);
    return {row.ids.begin(), row.ids.end()};
  }
  static bool is_lost(const Delivery& item) {
    return std::holds_alternative<AttemptLost>(item.what);
  }

  TimePoint now_{std::chrono::seconds(100)};
  LaneOptions options_;
  std::optional<LaneProtocol> lane_{std::in_place, options_, now_};
  Deliveries deliveries_;
};

TEST_F(LaneProtocolTest, SaysHelloFirstAndNothingBeforeTheAnswer) {
  EXPECT_FALSE(lane_->start({0, 1}, start_of()).ok());
  const auto hello = take();
  ASSERT_TRUE(hello.has_hello());
  EXPECT_EQ(hello.hello().protocol_min(), 1u);
  EXPECT_EQ(hello.hello().lease_ms(), 3000u);
  EXPECT_EQ(take().body_case(), v1::RouterFrame::BODY_NOT_SET);
  EXPECT_TRUE(receive(hello_frame()).ok());
  EXPECT_TRUE(lane_->start({0, 1}, start_of()).ok());
}

TEST_F(LaneProtocolTest, BringsWhatAWorkerGrants) {
  EXPECT_FALSE(lane_->may_bring()) << "nobody is there yet";
  take();
  auto hello = hello_frame();
  hello->mutable_hello()->add_features(static_cast<uint32_t>(Feature::grant));
  ASSERT_TRUE(receive(hello).ok());
  EXPECT_FALSE(lane_->may_bring());
  auto grant = make_frame();
  grant->mutable_grant()->set_tokens_until(5);
  grant->mutable_grant()->set_attempts_until(10);
  ASSERT_TRUE(receive(grant).ok());
  EXPECT_TRUE(lane_->may_bring());
  start(1);
  EXPECT_TRUE(lane_->may_bring()) << "3 of 5";
  start(2);
  EXPECT_FALSE(lane_->may_bring()) << "6 of 5: a prompt may go beyond";
  grant->mutable_grant()->set_tokens_until(100);
  grant->mutable_grant()->set_attempts_until(2);
  ASSERT_TRUE(receive(grant).ok());
  EXPECT_FALSE(lane_->may_bring()) << "2 attempts of 2";
}

// The worker would never grant anything more for it.
TEST_F(LaneProtocolTest, WhatIsTakenBackBeforeItLeftWasNotBrought) {
  take();
  auto hello = hello_frame();
  hello->mutable_hello()->add_features(static_cast<uint32_t>(Feature::grant));
  ASSERT_TRUE(receive(hello).ok());
  auto grant = make_frame();
  grant->mutable_grant()->set_tokens_until(5);
  grant->mutable_grant()->set_attempts_until(10);
  ASSERT_TRUE(receive(grant).ok());
  for (uint64_t i = 1; i <= 50; i++) {
    ASSERT_TRUE(lane_->start({0, i}, start_of()).ok());
    lane_->cancel({0, i}, {});
    EXPECT_TRUE(lane_->may_bring()) << i;
  }
  EXPECT_EQ(take().body_case(), v1::RouterFrame::BODY_NOT_SET);
}

TEST_F(LaneProtocolTest, AWorkerThatDoesNotGrantTakesWhatComes) {
  connect();
  EXPECT_TRUE(lane_->may_bring());
}

TEST_F(LaneProtocolTest, SaysTheNewestDemandToWhoeverHeedsIt) {
  v1::Demand demand;
  demand.add_tenant(7);
  connect();
  lane_->demand(demand);
  EXPECT_EQ(take().body_case(), v1::RouterFrame::BODY_NOT_SET);
  lane_.emplace(options_, now_);
  take();
  auto hello = hello_frame();
  hello->mutable_hello()->add_features(static_cast<uint32_t>(Feature::tenants));
  ASSERT_TRUE(receive(hello).ok());
  lane_->demand(demand);
  demand.add_tenant(8);
  lane_->demand(demand);
  EXPECT_EQ(take().demand().tenant_size(), 2);
  EXPECT_EQ(take().body_case(), v1::RouterFrame::BODY_NOT_SET);
}

TEST_F(LaneProtocolTest, RefusesFramesBeforeHelloAndASecondHello) {
  auto step = make_frame();
  step->mutable_step();
  EXPECT_FALSE(receive(step).ok());
  ASSERT_TRUE(receive(hello_frame()).ok());
  EXPECT_FALSE(receive(hello_frame()).ok());
}

TEST_F(LaneProtocolTest, RefusesAnotherProtocol) {
  auto frame = hello_frame();
  frame->mutable_hello()->set_protocol_min(2);
  frame->mutable_hello()->set_protocol_max(3);
  const Status status = receive(frame);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_FALSE(lane_->ready());
}

TEST_F(LaneProtocolTest, DeliversRowsInOrderAndDropsDuplicates) {
  connect();
  const uint64_t handle = start(42);
  auto frame = make_frame();
  add_row(*frame->mutable_step(), handle, 0, 0, {5, 6});
  add_row(*frame->mutable_step(), handle, 0, 2, {7});
  add_row(*frame->mutable_step(), handle, 0, 0, {5, 6});  // again
  ASSERT_TRUE(receive(frame).ok());
  const auto items = delivered();
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0].serial, 42u);
  EXPECT_EQ(ids_of(items[0]), (std::vector<uint32_t>{5, 6}));
  EXPECT_EQ(ids_of(items[1]), (std::vector<uint32_t>{7}));
}

TEST_F(LaneProtocolTest, AGapLosesTheAttemptAndCancelsIt) {
  connect();
  const uint64_t handle = start(1);
  auto frame = make_frame();
  add_row(*frame->mutable_step(), handle, 0, 1, {9});
  ASSERT_TRUE(receive(frame).ok());
  ASSERT_EQ(delivered().size(), 1u);
  EXPECT_TRUE(is_lost(delivered()[0]));
  const auto cancel = take();
  ASSERT_TRUE(cancel.has_cancel());
  EXPECT_EQ(cancel.cancel().attempt(), handle);
  EXPECT_EQ(lane_->attempts(), 0u);
}

TEST_F(LaneProtocolTest, ChoicesCountSeparately) {
  connect();
  const uint64_t handle = start(1, 0, 2);
  auto frame = make_frame();
  add_row(*frame->mutable_step(), handle, 1, 0, {4});
  add_row(*frame->mutable_step(), handle, 0, 0, {3});
  add_row(*frame->mutable_step(), handle, 1, 1, {5});
  ASSERT_TRUE(receive(frame).ok());
  EXPECT_EQ(delivered().size(), 3u);
  auto wrong = make_frame();
  add_row(*wrong->mutable_step(), handle, 2, 0, {4});
  ASSERT_TRUE(receive(wrong).ok());
  ASSERT_EQ(delivered().size(), 1u);
  EXPECT_TRUE(is_lost(delivered()[0]));
}

TEST_F(LaneProtocolTest, NothingFollowsTheEndOfAChoice) {
  connect();
  const uint64_t handle = start(1);
  auto frame = make_frame();
  auto* event = frame->mutable_step()->add_before();
  event->set_attempt(handle);
  event->mutable_choice_end()->set_reason(v1::END_STOP);
  add_row(*frame->mutable_step(), handle, 0, 0, {4});
  ASSERT_TRUE(receive(frame).ok());
  ASSERT_EQ(delivered().size(), 2u);
  EXPECT_TRUE(is_lost(delivered()[1]));
}

TEST_F(LaneProtocolTest, TerminalEventsEndTheAttempt) {
  connect();
  const uint64_t handle = start(1);
  auto frame = make_frame();
  auto* event = frame->mutable_step()->add_after();
  event->set_attempt(handle);
  event->mutable_done();
  ASSERT_TRUE(receive(frame).ok());
  EXPECT_EQ(delivered().size(), 1u);
  EXPECT_EQ(lane_->attempts(), 0u);
  auto late = make_frame();
  add_row(*late->mutable_step(), handle, 0, 0, {4});
  ASSERT_TRUE(receive(late).ok());
  EXPECT_TRUE(delivered().empty());
}

TEST_F(LaneProtocolTest, CancelledAttemptsHearNothingMore) {
  connect();
  const uint64_t handle = start(1);
  lane_->cancel({0, 1}, {});
  lane_->cancel({0, 1}, {});  // idempotent
  EXPECT_TRUE(take().has_cancel());
  EXPECT_EQ(take().body_case(), v1::RouterFrame::BODY_NOT_SET);
  auto late = make_frame();
  add_row(*late->mutable_step(), handle, 0, 0, {4});
  ASSERT_TRUE(receive(late).ok());
  EXPECT_TRUE(delivered().empty());
}

TEST_F(LaneProtocolTest, AStartThatNeverLeftIsTakenBack) {
  connect();
  ASSERT_TRUE(lane_->start({0, 1}, start_of()).ok());
  ASSERT_TRUE(lane_->start({0, 2}, start_of()).ok());
  lane_->cancel({0, 1}, {});
  const auto frame = take();
  ASSERT_TRUE(frame.has_start());
  EXPECT_EQ(frame.start().attempt(), 2u);
  EXPECT_EQ(take().body_case(), v1::RouterFrame::BODY_NOT_SET);
  EXPECT_EQ(lane_->queued_bytes(), 0u);
}

v1::Start resumed_start() {
  v1::Start start = start_of(3, 3);
  auto* first = start.mutable_resume()->add_choices();
  first->add_ids(4);
  first->add_ids(5);
  start.mutable_resume()->add_choices()->set_end(v1::END_STOP);
  start.mutable_resume()->add_choices();
  return start;
}

TEST_F(LaneProtocolTest, ResumedChoicesGoOnBehindWhatTheyWereStartedWith) {
  connect();
  ASSERT_TRUE(lane_->start({0, 1}, resumed_start()).ok());
  const uint64_t handle = take().start().attempt();
  auto frame = make_frame();
  add_row(*frame->mutable_step(), handle, 0, 1, {5});  // had it
  add_row(*frame->mutable_step(), handle, 0, 2, {6});
  add_row(*frame->mutable_step(), handle, 2, 0, {7});
  add_row(*frame->mutable_step(), handle, 1, 0, {8});  // had ended
  ASSERT_TRUE(receive(frame).ok());
  ASSERT_EQ(delivered().size(), 3u);
  EXPECT_EQ(ids_of(delivered()[0]), std::vector<uint32_t>{6});
  EXPECT_EQ(ids_of(delivered()[1]), std::vector<uint32_t>{7});
  EXPECT_TRUE(is_lost(delivered()[2]));
}

TEST_F(LaneProtocolTest, WhatWasDeliveredTravelsInChunksToo) {
  connect();
  v1::Start start = start_of(60'000, 2);
  for (uint32_t choice = 0; choice < 2; choice++) {
    auto* delivered = start.mutable_resume()->add_choices();
    for (uint32_t i = 0; i < 70'000; i++) delivered->add_ids(choice * 100'000 + i);
  }
  ASSERT_TRUE(lane_->start({0, 1}, std::move(start)).ok());
  std::map<uint32_t, std::vector<uint32_t>> parts;
  bool last = false;
  for (auto frame = take(); frame.body_case() != v1::RouterFrame::BODY_NOT_SET; frame = take()) {
    EXPECT_LE(frame.ByteSizeLong(), options_.max_frame_bytes);
    const auto add = [&](uint32_t part, const auto& ids) {
      parts[part].insert(parts[part].end(), ids.begin(), ids.end());
    };
    if (frame.has_start()) {
      EXPECT_EQ(frame.start().input().total_ids(), 60'000u);
      add(0, frame.start().input().ids());
      for (int i = 0; i < 2; i++)
        add(static_cast<uint32_t>(i) + 1, frame.start().resume().choices(i).ids());
    } else {
      EXPECT_FALSE(last);
      add(frame.chunk().part(), frame.chunk().ids());
      last = frame.chunk().last();
    }
  }
  EXPECT_TRUE(last);
  EXPECT_EQ(parts[0].size(), 60'000u);
  for (uint32_t choice = 0; choice < 2; choice++) {
    ASSERT_EQ(parts[choice + 1].size(), 70'000u);
    for (uint32_t i = 0; i < 70'000; i++) ASSERT_EQ(parts[choice + 1][i], choice * 100'000 + i);
  }
  EXPECT_EQ(lane_->queued_bytes(), 0u);
}

TEST_F(LaneProtocolTest, AnEndBehindMissingTokensLosesTheAttempt) {
  connect();
  const auto end = [&](uint64_t handle, bool done) {
    auto frame = make_frame();
    add_row(*frame->mutable_step(), handle, 0, 0, {4});
    auto* event = frame->mutable_step()->add_after();
    event->set_attempt(handle);
    if (done) {
      event->mutable_done();
    } else {
      event->mutable_choice_end()->set_reason(v1::END_STOP);
      event->mutable_choice_end()->set_end_offset(2);
    }
    EXPECT_TRUE(receive(frame).ok());
    return delivered().size() == 2 && is_lost(delivered()[1]);
  };
  EXPECT_TRUE(end(start(1), false));
  EXPECT_TRUE(take().has_cancel());
  EXPECT_TRUE(end(start(2), true));
  EXPECT_TRUE(take().has_cancel());
  EXPECT_TRUE(lane_->ready());
}

TEST_F(LaneProtocolTest, RepeatedEndsAreDropped) {
  connect();
  const uint64_t handle = start(1, 0, 2);
  auto frame = make_frame();
  auto* event = frame->mutable_step()->add_after();
  event->set_attempt(handle);
  event->mutable_choice_end()->set_reason(v1::END_STOP);
  ASSERT_TRUE(receive(frame).ok());
  EXPECT_EQ(delivered().size(), 1u);
  ASSERT_TRUE(receive(frame).ok());
  EXPECT_TRUE(delivered().empty());
  EXPECT_EQ(lane_->attempts(), 1u);
}

TEST_F(LaneProtocolTest, AWorkerWithoutWorkOwesNothingMore) {
  connect();
  const auto answer = [&](bool pending) {
    answer_ping(9, pending);
    return !delivered().empty() && is_lost(delivered()[0]);
  };
  const uint64_t handle = start(1);
  EXPECT_FALSE(answer(false));
  auto row = make_frame();
  add_row(*row->mutable_step(), handle, 0, 0, {4});
  ASSERT_TRUE(receive(row).ok());
  EXPECT_FALSE(answer(false));  // something came in between
  EXPECT_FALSE(answer(true));
  EXPECT_FALSE(answer(false));
  EXPECT_TRUE(answer(false));
  EXPECT_EQ(lane_->attempts(), 0u);
}

// A worker that keeps what it says, and steps on for others while nothing comes of ours.
class QuietAttemptTest : public LaneProtocolTest {
 protected:
  void SetUp() override {
    ASSERT_TRUE(take().has_hello());
    const auto hello = hello_frame();
    hello->mutable_hello()->add_features(static_cast<uint32_t>(Feature::attach));
    hello->mutable_hello()->set_orphan_ms(2000);
    ASSERT_TRUE(receive(hello).ok());
  }
  // A ping and its answer, a second later and `steps` further on. True: an Attach is due.
  bool word(uint64_t steps = 2) {
    answer_ping(steps_ += steps, true);
    asked_ = take();
    return asked_.has_attach();
  }
  Status row(uint64_t handle, uint32_t offset, uint32_t choice = 0) {
    auto frame = make_frame();
    add_row(*frame->mutable_step(), handle, choice, offset, {4});
    return receive(frame);
  }
  Status event(uint64_t handle, const std::function<void(v1::Event&)>& fill) {
    auto frame = make_frame();
    auto* event = frame->mutable_step()->add_after();
    event->set_attempt(handle);
    fill(*event);
    return receive(frame);
  }
  Status admitted(uint64_t handle) {
    return event(handle, [](v1::Event& event) { event.mutable_admitted(); });
  }

  uint64_t steps_ = 100;
  v1::RouterFrame asked_;
};

TEST_F(QuietAttemptTest, IsAskedForOnItsOwnLaneAndGoesOn) {
  auto limited = start_of(3, 2);
  limited.set_request_id("sixteen bytes...");
  limited.set_epoch(5);
  ASSERT_TRUE(lane_->start({0, 1}, limited).ok());
  const uint64_t handle = take().start().attempt();
  ASSERT_TRUE(row(handle, 0, 1).ok());
  EXPECT_FALSE(word());
  EXPECT_FALSE(word());
  ASSERT_TRUE(word());
  const v1::Attach& attach = asked_.attach();
  EXPECT_GT(attach.attempt(), handle);
  EXPECT_EQ(attach.request_id(), "sixteen bytes...");
  EXPECT_EQ(attach.epoch(), 5u);
  ASSERT_EQ(attach.next_offset_size(), 2);
  EXPECT_EQ(attach.next_offset(0), 0u);
  EXPECT_EQ(attach.next_offset(1), 1u);
  ASSERT_TRUE(admitted(attach.attempt()).ok());
  ASSERT_TRUE(row(attach.attempt(), 1, 1).ok());
  ASSERT_EQ(delivered().size(), 1u);
  EXPECT_EQ(ids_of(delivered()[0]), std::vector<uint32_t>{4});
  lane_->cancel({0, 1}, {});
  EXPECT_EQ(take().cancel().attempt(), attach.attempt());
}

TEST_F(QuietAttemptTest, WhatComesUnderTheOldHandleCountsUntilTheAnswer) {
  const uint64_t handle = start(1);
  while (!word()) continue;
  const uint64_t later = asked_.attach().attempt();
  ASSERT_TRUE(row(handle, 0).ok());
  EXPECT_EQ(delivered().size(), 1u);
  ASSERT_TRUE(admitted(later).ok());
  ASSERT_TRUE(row(handle, 1).ok());  // overtaken by the answer, which has it too
  EXPECT_TRUE(delivered().empty());
  ASSERT_TRUE(row(later, 1).ok());
  EXPECT_EQ(delivered().size(), 1u);

  lane_->cancel({0, 1}, {});
  EXPECT_TRUE(take().has_cancel());
  const uint64_t other = start(2);
  while (!word()) continue;
  const auto rejected = [](v1::Event& event) {
    event.mutable_rejected()->set_reason(v1::REJECT_QUEUE_FULL);
  };
  ASSERT_TRUE(event(other, rejected).ok());
  ASSERT_EQ(delivered().size(), 1u);
  EXPECT_FALSE(is_lost(delivered()[0]));  // the answer to its Start
}

TEST_F(QuietAttemptTest, IsLostWhereTheWorkerDoesNotKnowIt) {
  start(1);
  while (!word()) continue;
  const auto unknown = [](v1::Event& event) {
    event.mutable_rejected()->set_reason(v1::REJECT_NOT_FOUND);
    event.mutable_rejected()->set_detail("it has ended");
  };
  ASSERT_TRUE(event(asked_.attach().attempt(), unknown).ok());
  ASSERT_EQ(delivered().size(), 1u);
  ASSERT_TRUE(is_lost(delivered()[0]));
  EXPECT_EQ(std::get<AttemptLost>(delivered()[0].what).cause, LossCause::protocol);
  EXPECT_EQ(lane_->attempts(), 0u);
}

TEST_F(QuietAttemptTest, IsAskedForAgainWhenTheAnswerIsLostToo) {
  start(1);
  while (!word()) continue;
  const uint64_t first = asked_.attach().attempt();
  EXPECT_FALSE(word());
  EXPECT_FALSE(word());
  ASSERT_TRUE(word());
  EXPECT_GT(asked_.attach().attempt(), first);
  ASSERT_TRUE(row(asked_.attach().attempt(), 0).ok());
  EXPECT_EQ(delivered().size(), 1u);
}

TEST_F(QuietAttemptTest, NobodyElseIsAskedFor) {
  const uint64_t handle = start(1);
  for (uint32_t i = 0; i < 10; i++) {
    EXPECT_FALSE(word());
    ASSERT_TRUE(row(handle, i).ok());  // something comes
  }
  for (int i = 0; i < 5; i++) EXPECT_FALSE(word(0));  // no step: the StuckDetector's
  lane_->cancel({0, 1}, {});
  EXPECT_TRUE(take().has_cancel());

  auto parked = start_of();
  parked.set_send_until(1);
  ASSERT_TRUE(lane_->start({0, 2}, parked).ok());
  ASSERT_TRUE(row(take().start().attempt(), 0).ok());
  auto scored = start_of();
  scored.mutable_generate()->set_prompt_logprobs(1);  // its worker could not go on
  ASSERT_TRUE(lane_->start({0, 3}, scored).ok());
  EXPECT_TRUE(take().has_start());
  for (int i = 0; i < 5; i++) EXPECT_FALSE(word());
}

TEST_F(QuietAttemptTest, AWorkerThatCannotAttachIsNotAsked) {
  lane_.emplace(options_, now_);
  connect();
  start(1);
  for (int i = 0; i < 5; i++) EXPECT_FALSE(word());
  EXPECT_EQ(lane_->attempts(), 1u);
}

TEST_F(QuietAttemptTest, HandlesRiseAlsoBehindStartsThatWait) {
  start(1);
  EXPECT_FALSE(word());
  EXPECT_FALSE(word());
  ASSERT_TRUE(lane_->start({0, 2}, start_of()).ok());  // waits for the wire
  EXPECT_FALSE(word());
  ASSERT_TRUE(asked_.has_start());
  const auto next = take();
  ASSERT_TRUE(next.has_attach());
  EXPECT_GT(next.attach().attempt(), asked_.start().attempt());
}

TEST_F(LaneProtocolTest, CreditRisesAndFollowsItsStart) {
  connect();
  v1::Start limited = start_of();
  limited.set_send_until(10);
  ASSERT_TRUE(lane_->start({0, 1}, limited).ok());
  lane_->credit({0, 1}, 20);
  const auto first = take();
  ASSERT_TRUE(first.has_start());
  lane_->credit({0, 1}, 15);  // lower than what was said
  lane_->credit({0, 1}, 30);
  const auto credit = take();
  ASSERT_TRUE(credit.has_credit());
  EXPECT_EQ(credit.credit().attempt(), first.start().attempt());
  EXPECT_EQ(credit.credit().send_until(), 30u);
  EXPECT_EQ(take().body_case(), v1::RouterFrame::BODY_NOT_SET);
  start(2);
  lane_->credit({0, 2}, 10);  // was started without a limit
  EXPECT_EQ(take().body_case(), v1::RouterFrame::BODY_NOT_SET);
  lane_->credit({0, 1}, 40);
  lane_->cancel({0, 1}, {});
  EXPECT_TRUE(take().has_cancel());
  EXPECT_EQ(take().body_case(), v1::RouterFrame::BODY_NOT_SET);
}

TEST_F(LaneProtocolTest, WhoWaitsForCreditIsOwedNothing) {
  connect();
  v1::Start limited = start_of();
  limited.set_send_until(2);
  ASSERT_TRUE(lane_->start({0, 1}, limited).ok());
  const uint64_t handle = take().start().attempt();
  const auto idle = [&] {
    now_ += std::chrono::seconds(1);
    EXPECT_TRUE(lane_->tick(now_).ok());
    auto frame = make_frame();
    *frame->mutable_ping() = take().ping();
    frame->mutable_ping()->set_reply(true);
    frame->mutable_ping()->set_engine_steps(9);
    EXPECT_TRUE(receive(frame).ok());
  };
  auto row = make_frame();
  add_row(*row->mutable_step(), handle, 0, 0, {4, 5});
  ASSERT_TRUE(receive(row).ok());
  for (int i = 0; i < 5; i++) idle();
  EXPECT_EQ(lane_->attempts(), 1u);
  lane_->credit({0, 1}, 3);
  EXPECT_TRUE(take().has_credit());
  idle();
  idle();
  EXPECT_EQ(lane_->attempts(), 0u);
}

TEST_F(LaneProtocolTest, ADrainIsToldToThoseThatRun) {
  connect();
  start(1);
  auto frame = make_frame();
  frame->mutable_drain()->set_deadline_ms(3000);
  ASSERT_TRUE(receive(frame).ok());
  ASSERT_EQ(delivered().size(), 1u);
  EXPECT_EQ(std::get<WorkerDrains>(delivered()[0].what).grace, std::chrono::seconds(3));
  ASSERT_TRUE(receive(frame).ok());
  EXPECT_TRUE(delivered().empty());
}

TEST_F(LaneProtocolTest, CoresGetTheirOwnBatches) {
  connect();
  const uint64_t first = start(1, 0), second = start(1, 1);
  auto frame = make_frame();
  add_row(*frame->mutable_step(), second, 0, 0, {4});
  add_row(*frame->mutable_step(), first, 0, 0, {5});
  add_row(*frame->mutable_step(), second, 0, 1, {6});
  ASSERT_TRUE(receive(frame).ok());
  ASSERT_EQ(deliveries_.batches().size(), 2u);
  EXPECT_EQ(deliveries_.batches()[0].core, 1u);
  EXPECT_EQ(deliveries_.batches()[0].items.size(), 2u);
  EXPECT_EQ(deliveries_.batches()[1].items.size(), 1u);
}

TEST_F(LaneProtocolTest, LogprobsComeWithTheirRow) {
  connect();
  const uint64_t handle = start(1);
  auto frame = make_frame();
  auto& step = *frame->mutable_step();
  add_row(step, handle, 0, 0, {5, 6});
  add_row(step, handle, 0, 2, {7});
  for (const auto& [row, index] : {std::pair(0u, 0u), std::pair(0u, 1u), std::pair(1u, 0u)}) {
    auto* logprobs = step.add_logprobs();
    logprobs->set_row(row);
    logprobs->set_index(index);
    logprobs->add_ids(row * 10 + index);
    logprobs->add_values(-1);
  }
  ASSERT_TRUE(receive(frame).ok());
  const auto items = delivered();
  ASSERT_EQ(std::get<TokenRow>(items[0].what).logprobs.size(), 2u);
  ASSERT_EQ(std::get<TokenRow>(items[1].what).logprobs.size(), 1u);
  EXPECT_EQ(std::get<TokenRow>(items[1].what).logprobs[0]->ids(0), 10u);
}

TEST_F(LaneProtocolTest, MalformedStepsEndTheLane) {
  connect();
  const uint64_t handle = start(1);
  const auto broken = [&](auto change) {
    auto frame = make_frame();
    add_row(*frame->mutable_step(), handle, 0, 0, {5, 6});
    change(*frame->mutable_step());
    const Status status = receive(frame);
    EXPECT_TRUE(delivered().empty());
    return !status.ok();
  };
  EXPECT_TRUE(broken([](v1::StepBatch& step) { step.add_attempt(3); }));
  EXPECT_TRUE(broken([](v1::StepBatch& step) { step.add_ids(3); }));
  EXPECT_TRUE(broken([](v1::StepBatch& step) { step.set_count(0, 0); }));
  EXPECT_TRUE(broken([](v1::StepBatch& step) { step.set_count(0, UINT32_MAX); }));
  EXPECT_TRUE(broken([](v1::StepBatch& step) { step.add_logprobs()->set_row(1); }));
  EXPECT_TRUE(broken([](v1::StepBatch& step) {
    auto* logprobs = step.add_logprobs();
    logprobs->add_ids(1);  // and no value
  }));
}

TEST_F(LaneProtocolTest, LongPromptsTravelInChunksTakingTurns) {
  connect();
  const size_t long_prompt = 120'000;
  ASSERT_TRUE(lane_->start({0, 1}, start_of(long_prompt)).ok());
  ASSERT_TRUE(lane_->start({0, 2}, start_of(long_prompt)).ok());
  std::map<uint64_t, std::vector<uint32_t>> got;
  std::vector<uint64_t> order;
  std::map<uint64_t, bool> last;
  for (auto frame = take(); frame.body_case() != v1::RouterFrame::BODY_NOT_SET; frame = take()) {
    EXPECT_LE(frame.ByteSizeLong(), options_.max_frame_bytes);
    if (frame.has_start()) {
      EXPECT_TRUE(frame.start().chunked());
      EXPECT_EQ(frame.start().input().total_ids(), long_prompt);
      auto& ids = got[frame.start().attempt()];
      ids.insert(ids.end(), frame.start().input().ids().begin(), frame.start().input().ids().end());
    } else {
      auto& ids = got[frame.chunk().attempt()];
      ids.insert(ids.end(), frame.chunk().ids().begin(), frame.chunk().ids().end());
      order.push_back(frame.chunk().attempt());
      last[frame.chunk().attempt()] = frame.chunk().last();
    }
  }
  ASSERT_GE(order.size(), 4u);
  EXPECT_NE(order[0], order[1]);
  ASSERT_EQ(got.size(), 2u);
  for (const auto& [attempt, ids] : got) {
    ASSERT_EQ(ids.size(), long_prompt);
    for (size_t i = 0; i < ids.size(); i++) ASSERT_EQ(ids[i], i);
    EXPECT_TRUE(last[attempt]);
  }
  EXPECT_EQ(lane_->queued_bytes(), 0u);
}

TEST_F(LaneProtocolTest, TheMostThatARequestMayAskForFits) {
  connect();
  constexpr uint32_t kLongId = (1u << 21) - 1;
  v1::Start start = start_of();
  start.set_request_id(std::string(16, 'r'));
  start.set_card_hash(std::string(64, 'c'));
  v1::Generate& generate = *start.mutable_generate();
  for (size_t i = 0; i < kMaxAllowedIds; i++) generate.add_allowed_ids(kLongId);
  for (size_t i = 0; i < kMaxStopTokenIds; i++) generate.add_stop_ids(kLongId);
  for (size_t i = 0; i < kMaxLogitBias; i++) {
    generate.add_bias_ids(kLongId);
    generate.add_bias(100);
  }
  for (size_t i = 0; i < 2 * kMaxBadWords; i++) {
    auto* sequence = generate.add_banned();
    for (size_t j = 0; j < kMaxBannedIds / (2 * kMaxBadWords); j++) sequence->add_ids(kLongId);
  }
  EXPECT_TRUE(lane_->start({0, 1}, std::move(start)).ok());
}

TEST_F(LaneProtocolTest, ParametersBeyondAFrameAreRefused) {
  connect();
  auto start = start_of();
  for (uint32_t id = 0; id < 100'000; id++) start.mutable_generate()->add_allowed_ids(id);
  EXPECT_TRUE(absl::IsInvalidArgument(lane_->start({0, 1}, std::move(start))));
  EXPECT_EQ(lane_->attempts(), 0u);
  EXPECT_EQ(take().body_case(), v1::RouterFrame::BODY_NOT_SET);
}

TEST_F(LaneProtocolTest, TheSmallerLeaseAndFrameHold) {
  EXPECT_TRUE(take().has_hello());
  auto hello = hello_frame();
  hello->mutable_hello()->set_lease_ms(1000);
  hello->mutable_hello()->set_max_frame_bytes(8192);
  ASSERT_TRUE(receive(hello).ok());
  ASSERT_TRUE(lane_->start({0, 1}, start_of(10'000)).ok());
  for (auto frame = take(); frame.body_case() != v1::RouterFrame::BODY_NOT_SET; frame = take()) {
    EXPECT_LE(frame.ByteSizeLong(), 8192u);
  }
  now_ += std::chrono::milliseconds(999);
  EXPECT_TRUE(lane_->tick(now_).ok());
  now_ += std::chrono::milliseconds(1);
  EXPECT_FALSE(lane_->tick(now_).ok());
}

TEST_F(LaneProtocolTest, LongPromptsNeedTheFeature) {
  connect(false);
  EXPECT_TRUE(absl::IsUnimplemented(lane_->start({0, 1}, start_of(120'000))));
  EXPECT_TRUE(lane_->start({0, 2}, start_of(3)).ok());
}

TEST_F(LaneProtocolTest, RefusesWhatTheWorkerCannotDo) {
  connect();
  auto start = start_of();
  start.add_required_features(static_cast<uint32_t>(Feature::min_p));
  EXPECT_TRUE(absl::IsUnimplemented(lane_->start({0, 1}, std::move(start))));
  EXPECT_EQ(lane_->attempts(), 0u);
}

TEST_F(LaneProtocolTest, TheQueueIsBounded) {
  options_.max_queued_bytes = 1 << 20;
  lane_.emplace(options_, now_);
  connect();
  Status status;
  uint64_t serial = 0;
  while (status.ok() && serial < 100'000) status = lane_->start({0, ++serial}, start_of(40'000));
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_LE(lane_->queued_bytes(), options_.max_queued_bytes + options_.max_frame_bytes);
}

TEST_F(LaneProtocolTest, PingsEachSecondAndExpiresWithTheLease) {
  connect();
  EXPECT_TRUE(lane_->tick(now_).ok());
  EXPECT_EQ(take().body_case(), v1::RouterFrame::BODY_NOT_SET);
  now_ += std::chrono::seconds(1);
  EXPECT_TRUE(lane_->tick(now_).ok());
  EXPECT_TRUE(take().has_ping());
  auto ping = make_frame();
  ping->mutable_ping()->set_nonce(77);
  ASSERT_TRUE(receive(ping).ok());
  const auto answer = take();
  ASSERT_TRUE(answer.has_ping());
  EXPECT_TRUE(answer.ping().reply());
  EXPECT_EQ(answer.ping().nonce(), 77u);
  now_ += std::chrono::milliseconds(2999);
  EXPECT_TRUE(lane_->tick(now_).ok());
  now_ += std::chrono::milliseconds(1);
  EXPECT_TRUE(absl::IsDeadlineExceeded(lane_->tick(now_)));
}

TEST_F(LaneProtocolTest, WaitsForHelloOnlySoLong) {
  now_ += std::chrono::milliseconds(4999);
  EXPECT_TRUE(lane_->tick(now_).ok());
  now_ += std::chrono::milliseconds(1);
  EXPECT_FALSE(lane_->tick(now_).ok());
}

TEST_F(LaneProtocolTest, ClosingLosesEveryAttempt) {
  connect();
  start(1, 0);
  start(2, 1);
  deliveries_ = Deliveries();
  lane_->close(LossCause::lane, "gone", deliveries_);
  const auto items = delivered();
  ASSERT_EQ(items.size(), 2u);
  EXPECT_TRUE(is_lost(items[0]) && is_lost(items[1]));
  EXPECT_EQ(*std::get<AttemptLost>(items[0].what).reason, "gone");
  EXPECT_FALSE(lane_->ready());
}

TEST_F(LaneProtocolTest, DrainingWorkersGetNothingNew) {
  connect();
  auto frame = make_frame();
  frame->mutable_drain();
  ASSERT_TRUE(receive(frame).ok());
  EXPECT_TRUE(absl::IsUnavailable(lane_->start({0, 1}, start_of())));
}

TEST_F(LaneProtocolTest, FramesForAHandleThatHasNotLeftAreSurvived) {
  connect();
  ASSERT_TRUE(lane_->start({0, 1}, start_of()).ok());  // handle 1, still queued
  auto frame = make_frame();
  add_row(*frame->mutable_step(), 1, 0, 5, {4});
  ASSERT_TRUE(receive(frame).ok());
  EXPECT_EQ(take().body_case(), v1::RouterFrame::BODY_NOT_SET);
  EXPECT_EQ(lane_->attempts(), 0u);
}

}  // namespace
}  // namespace bessemer
