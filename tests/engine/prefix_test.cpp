// What requests share: which prefix a choice finds, for whom it waits, who takes over, and who
// shares nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/harness.h"

namespace bessemer {
namespace {

using ::testing::SizeIs;

// Blocks have 4 tokens (Harness::limits).
std::vector<int32_t> numbers(int32_t first, int32_t count) {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < count; ++i) ids.push_back((first + i) % 1000);
  return ids;
}

// `shared` tokens that all such requests have, and `own` that only this one has.
Request sharing(uint64_t id, int32_t shared, int32_t own, int32_t max_tokens = 3) {
  Request request;
  request.id = AttemptId{id};
  request.prompt = numbers(100, shared);
  append(request.prompt, numbers(static_cast<int32_t>(id) * 31 + 500, own));
  request.max_tokens = max_tokens;
  return request;
}

std::vector<int32_t> undisturbed(const Request& request, int32_t choice = 0) {
  return fake::answer(request, choice, 1000, 128).ids;
}

int32_t rows_of(const StepPlan& plan) {
  int32_t rows = 0;
  for (const Work& work : plan.work) rows += work.count;
  return rows;
}

class Prefixes : public ::testing::Test {
 protected:
  explicit Prefixes(int32_t step_tokens = 16)
      : h_(Harness::limits(), {.step_tokens = step_tokens}) {}
  void add(Request request) {
    requests_.push_back(request);
    h_.scheduler.add(std::move(request), h_.now);
  }
  Usage usage(uint64_t id) { return h_.all<Done>(id).at(0).usage; }
  // Everybody who was not cancelled got the answer of an undisturbed run.
  void expect_right_answers() {
    for (const Request& request : requests_) {
      const uint64_t id = static_cast<uint64_t>(request.id);
      if (!h_.all<Failed>(id).empty()) continue;
      ASSERT_THAT(h_.all<Done>(id), SizeIs(1)) << id;
      if (h_.all<ChoiceEnd>(id)[0].reason == EndReason::cancelled) continue;
      for (int32_t choice = 0; choice < request.n; ++choice) {
        EXPECT_EQ(h_.ids(id, choice), undisturbed(request, choice)) << id;
      }
    }
    EXPECT_EQ(h_.scheduler.kv().held_count(), 0);
    h_.scheduler.kv().check();
  }
  uint64_t prefilled() const { return h_.scheduler.stats().tokens_prefilled; }

  Harness h_;
  std::vector<Request> requests_;
};

// A prompt takes one step.
class PrefixesOfWideSteps : public Prefixes {
 protected:
  PrefixesOfWideSteps() : Prefixes(64) {}
};

TEST_F(Prefixes, ASecondRequestComputesOnlyWhatIsNew) {
  add(sharing(1, 10, 1));
  h_.run();
  add(sharing(2, 10, 1));
  EXPECT_EQ(rows_of(*h_.plan()), 3);  // 8 of 11 are there
  h_.commit();
  h_.run();
  EXPECT_EQ(usage(1).cached, 0);
  EXPECT_EQ(usage(2).cached, 8);
  EXPECT_EQ(h_.all<Admitted>(2)[0].matched_tokens, 8);
  EXPECT_EQ(h_.scheduler.stats().prefix_tokens_asked, 22u);
  EXPECT_EQ(h_.scheduler.stats().prefix_tokens_found, 8u);
  expect_right_answers();
}

TEST_F(Prefixes, OneRowAtLeastIsComputed) {
  add(sharing(1, 8, 0));
  h_.run();
  add(sharing(2, 8, 0));
  EXPECT_EQ(rows_of(*h_.plan()), 4);  // the last block again, for its last row's logits
  h_.commit();
  h_.run();
  EXPECT_EQ(usage(2).cached, 4);
  expect_right_answers();
}

TEST_F(Prefixes, TheNextTurnFindsTheAnswer) {
  Request first = sharing(1, 6, 0, 10);
  add(first);
  h_.run();
  Request second = sharing(2, 6, 0);
  append(second.prompt, undisturbed(first));
  append(second.prompt, numbers(700, 3));
  add(second);
  h_.run();
  EXPECT_EQ(usage(2).cached, 12);  // of 15 rows that were computed: the last token never was
  expect_right_answers();
}

TEST_F(Prefixes, SixteenRequestsComputeAColdPrefixOnce) {
  for (uint64_t id = 1; id <= 16; ++id) add(sharing(id, 40, 3));
  h_.run();
  EXPECT_EQ(prefilled(), 43u + 15u * 3u);
  for (uint64_t id = 2; id <= 16; ++id) EXPECT_EQ(usage(id).cached, 40) << id;
  expect_right_answers();
}

TEST_F(Prefixes, OfTwoFamiliesEachComputesItsOwnOnce) {
  for (uint64_t id = 1; id <= 8; ++id) {
    Request request = sharing(id, 16, 0);                          // all share four blocks
    append(request.prompt, numbers(id % 2 == 0 ? 300 : 400, 16));  // halves share four more
    append(request.prompt, numbers(static_cast<int32_t>(id), 2));
    add(request);
  }
  h_.run();
  EXPECT_EQ(prefilled(), 16u + 2u * 16u + 8u * 2u);
  expect_right_answers();
}

TEST_F(Prefixes, WhoWaitsForAPrefixHoldsUpNobody) {
  add(sharing(1, 20, 1));
  add(sharing(2, 20, 1));
  add(Harness::request(9, 3, 3));
  EXPECT_EQ(rows_of(*h_.plan()), 13 + 3);  // the first one's, and the unrelated request
  h_.commit();
  EXPECT_EQ(rows_of(*h_.plan()), 8 + 1);  // its last ones, and a token of the other
  EXPECT_EQ(h_.scheduler.stats().waiting, 1);
  h_.commit();
  EXPECT_EQ(rows_of(*h_.plan()), 1 + 1 + 1);
  h_.commit();
  h_.run();
  EXPECT_EQ(prefilled(), 21u + 1u + 3u);
  expect_right_answers();
}

TEST_F(Prefixes, WhenTheOwnerIsCancelledTheNextGoesOn) {
  for (uint64_t id = 1; id <= 3; ++id) add(sharing(id, 60, 2));
  h_.step();
  h_.step();
  ASSERT_EQ(prefilled(), 32u);
  h_.scheduler.cancel(AttemptId{1}, {}, h_.now);
  h_.run();
  EXPECT_EQ(usage(2).cached, 32);  // what the first one had computed
  EXPECT_EQ(usage(3).cached, 60);
  EXPECT_EQ(prefilled(), 32u + 30u + 2u);
  expect_right_answers();
}

TEST_F(Prefixes, WhenTheOwnerFailsNobodyReadsItsLastStep) {
  for (uint64_t id = 1; id <= 2; ++id) add(sharing(id, 60, 2));
  h_.step();
  h_.plan();
  StepResult result = h_.device.execute(h_.launched.front());
  h_.device.spoil(0);
  result.outcomes[0] = {{}, {}, {}, Fault::numeric};
  h_.commit(result);
  ASSERT_THAT(h_.all<Failed>(1), SizeIs(1));
  h_.run();
  EXPECT_EQ(usage(2).cached, 0);  // what the failed request had before is doubted too
  expect_right_answers();
}

TEST_F(Prefixes, AFailedStepLeavesNothing) {
  add(sharing(1, 12, 1));
  h_.plan();
  h_.commit(Fault::device);
  add(sharing(2, 12, 1));
  h_.run();
  EXPECT_EQ(usage(2).cached, 0);
  expect_right_answers();
}

TEST_F(Prefixes, WhenTheOwnerIsDisplacedOthersGoOn) {
  Limits limits = Harness::limits();
  limits.slots = 1;
  Harness h(limits, {.step_tokens = 16});
  const Request first = sharing(1, 60, 2);
  h.scheduler.add(first, h.now);
  h.step();
  h.step();
  Request urgent = sharing(2, 60, 2);
  urgent.priority = 1;  // does not wait for what a lower one computes at its leisure
  h.scheduler.add(urgent, h.now);
  h.run();
  EXPECT_EQ(h.all<Done>(2)[0].usage.cached, 32);
  EXPECT_EQ(h.all<Done>(1)[0].usage.recomputed,
            0);  // it found its own blocks, and those of the other
  EXPECT_EQ(h.all<Done>(1)[0].timing.preemptions, 1);
  EXPECT_EQ(h.scheduler.stats().tokens_prefilled, 32u + 30u + 2u);
  EXPECT_EQ(h.ids(1), undisturbed(first));
  EXPECT_EQ(h.ids(2), undisturbed(urgent));
}

TEST_F(Prefixes, PromptLogprobsReadNothingAndLeaveEverything) {
  add(sharing(1, 12, 1));
  h_.run();
  Request scored = sharing(2, 12, 1);
  scored.prompt_logprobs = 1;
  add(scored);
  h_.run();
  EXPECT_EQ(usage(2).cached, 0);
  size_t scores = 0;
  for (const PromptScores& part : h_.all<PromptScores>(2)) scores += part.logprobs.size();
  EXPECT_EQ(scores, 12u * 2u);
  EXPECT_EQ(h_.scheduler.stats().prefix_tokens_asked, 13u);  // it did not ask

  Request alone = sharing(3, 0, 13);
  alone.prompt_logprobs = 0;
  add(alone);
  h_.run();
  Request after = sharing(4, 0, 0);
  after.prompt = alone.prompt;
  add(after);
  h_.run();
  EXPECT_EQ(usage(4).cached, 12);
  expect_right_answers();
}

TEST_F(Prefixes, RootsShareNothing) {
  Request ours = sharing(1, 20, 1), theirs = sharing(2, 20, 1), ours_again = sharing(3, 20, 1);
  ours.cache_root = ours_again.cache_root = "us";
  theirs.cache_root = "them";
  for (const Request& request : {ours, theirs, ours_again}) add(request);
  h_.run();
  EXPECT_EQ(usage(2).cached, 0);
  EXPECT_EQ(usage(3).cached, 20);
  EXPECT_EQ(prefilled(), 21u + 21u + 1u);
  expect_right_answers();
}

TEST_F(Prefixes, WhatMustNotBeStoredIsNotAndMayStillRead) {
  Request secret = sharing(1, 20, 5);
  secret.cache_store = false;
  add(secret);
  add(sharing(2, 20, 1));  // does not wait for it
  h_.run();
  EXPECT_EQ(prefilled(), 25u + 21u);
  secret.id = AttemptId{3};
  add(secret);
  h_.run();
  EXPECT_EQ(usage(3).cached, 20);
  expect_right_answers();
}

TEST_F(Prefixes, ALostGroupEmptiesTheCache) {
  add(sharing(1, 12, 1));
  h_.run();
  add(sharing(2, 12, 1));
  h_.plan();
  h_.commit(Fault::group_lost);
  EXPECT_EQ(h_.scheduler.kv().cached_count(), 0);
  add(sharing(3, 12, 1));
  h_.run();
  EXPECT_EQ(usage(3).cached, 0);
  expect_right_answers();
}

TEST_F(Prefixes, CachedBlocksMakeRoomForWhoNeedsIt) {
  Harness h(Harness::limits(16), {.step_tokens = 16});  // 64 tokens
  for (uint64_t id = 1; id <= 3; ++id) {
    h.scheduler.add(sharing(id, 0, 20), h.now);
    h.run();
  }
  EXPECT_GE(h.scheduler.kv().cached_count(), 15);
  const Request large = sharing(4, 0, 60, 5);
  h.scheduler.add(large, h.now);
  h.run();
  EXPECT_EQ(h.ids(4), undisturbed(large));
  EXPECT_EQ(h.scheduler.stats().preemptions, 0u);
  h.scheduler.kv().check();
}

TEST_F(Prefixes, TheDisplacedFindTheirOwnBlocks) {
  Limits limits = Harness::limits();
  limits.slots = 1;
  Harness h(limits);
  const Request slow = Harness::request(1, 21, 20);
  h.scheduler.add(slow, h.now);
  for (int i = 0; i < 8; ++i) h.step();
  Request urgent = Harness::request(2, 5, 2);
  urgent.priority = 1;
  h.scheduler.add(urgent, h.now);
  h.run();
  EXPECT_EQ(h.ids(1), undisturbed(slow));
  const Done done = h.all<Done>(1)[0];
  EXPECT_EQ(done.timing.preemptions, 1);
  EXPECT_LE(done.usage.recomputed, 4);  // 28 rows, of which 28 or 24 lay in full blocks
  EXPECT_EQ(done.usage.cached, 0);      // it had found nothing when it started
}

// Two requests that compute the same at the same time, one of them with forks: neither waits, since
// the other reads scores. In the end there is one block of each content.
TEST_F(Prefixes, EqualBlocksBecomeOne) {
  for (const int32_t steps_in_flight : {1, 2, 3}) {
    Harness h(Harness::limits(64, steps_in_flight));
    Request forked = sharing(1, 18, 0, 12), scored = sharing(2, 18, 0, 12);
    forked.n = 3;
    scored.prompt_logprobs = 0;
    h.scheduler.add(forked, h.now);
    h.scheduler.add(scored, h.now);
    int32_t most = 0;
    while (h.plan() != nullptr || !h.launched.empty()) {
      while (h.plan() != nullptr) continue;
      h.commit();
      most = std::max(most, h.scheduler.kv().held_count());
      h.scheduler.kv().check();
    }
    EXPECT_EQ(h.ids(2), undisturbed(scored));
    for (int32_t choice = 0; choice < 3; ++choice) {
      EXPECT_EQ(h.ids(1, choice), undisturbed(forked, choice)) << choice;
    }
    // Four blocks of the prompt once, and four sequences with at most 30 - 16 rows of their own; one
    // more while what was replaced retires.
    EXPECT_LE(most, 4 + 4 * 4 + 4) << steps_in_flight;
    EXPECT_EQ(h.scheduler.kv().held_count(), 0);
  }
}

TEST_F(Prefixes, ForksOfTwoRequestsShareThePrompt) {
  for (uint64_t id = 1; id <= 3; ++id) {
    Request request = sharing(id, 30, 1, 8);
    request.n = 3;
    add(request);
  }
  h_.run();
  // The last row of each prompt is computed by each of its choices.
  EXPECT_EQ(prefilled(), 31u + 2u + 2u * (3u + 2u));
  expect_right_answers();
}

TEST_F(Prefixes, TheBacklogLeavesOutWhatNobodyWillCompute) {
  add(sharing(1, 40, 1, 100));
  h_.run();
  add(sharing(2, 40, 1));
  EXPECT_EQ(h_.scheduler.stats().backlog_tokens, 1);
  h_.run();
  expect_right_answers();
}

// Of what several have in common only the first computes it.
TEST_F(Prefixes, TheBacklogCountsASharedPrefixOnce) {
  for (uint64_t id = 1; id <= 4; ++id) add(sharing(id, 40, 1));
  EXPECT_EQ(h_.scheduler.stats().backlog_tokens, 41 + 3);
  EXPECT_EQ(h_.all<Admitted>(2).size(), 0u);
  h_.run();
  EXPECT_EQ(h_.all<Admitted>(2)[0].matched_tokens, 0) << "when it came, nothing was there yet";
  EXPECT_EQ(h_.all<Admitted>(4)[0].backlog_tokens, 41 + 2);
  EXPECT_EQ(usage(4).cached, 40);
  EXPECT_EQ(h_.scheduler.stats().backlog_tokens, 0);
  Request secret = sharing(5, 40, 1);
  secret.cache_store = false;
  secret.cache_root = "apart";
  add(secret);
  Request other = sharing(6, 40, 1);
  other.cache_root = "apart";
  add(other);
  EXPECT_EQ(h_.scheduler.stats().backlog_tokens, 41 + 41) << "nobody will share it";
  h_.run();
  expect_right_answers();
}

TEST_F(PrefixesOfWideSteps, TheEstimateKnowsWhatIsCached) {
  add(sharing(1, 60, 1));
  h_.run();  // its 61 rows took a millisecond
  Request cached = sharing(2, 60, 1), cold = sharing(3, 0, 61), patient = cold;
  cached.max_ttft_us = cold.max_ttft_us = 500;
  patient.id = AttemptId{4};
  patient.max_ttft_us = 1500;
  add(cached);
  h_.scheduler.add(cold, h_.now);
  add(patient);
  h_.run();
  EXPECT_THAT(h_.all<Admitted>(2), SizeIs(1));
  ASSERT_THAT(h_.all<Rejected>(3), SizeIs(1));
  EXPECT_EQ(h_.all<Rejected>(3)[0].reason, RejectReason::too_slow);
  EXPECT_NEAR(static_cast<double>(h_.all<Rejected>(3)[0].est_ttft_us), 1000.0 * 62 / 61, 1);
  ASSERT_THAT(h_.all<Admitted>(4), SizeIs(1));
  EXPECT_NEAR(static_cast<double>(h_.all<Admitted>(4)[0].est_ttft_us), 1000.0 * 62 / 61, 1);
  expect_right_answers();
}

TEST_F(PrefixesOfWideSteps, TheTailsOfCachedPromptsDoNotMakeItLookSlow) {
  add(sharing(1, 60, 1));
  h_.run();
  const double speed = h_.scheduler.stats().prefill_tokens_per_s;
  EXPECT_NEAR(speed, 61'000, 1);
  for (uint64_t id = 2; id <= 60; ++id) {
    add(sharing(id, 60, 1, 1));
    h_.run();
  }
  EXPECT_GT(h_.scheduler.stats().prefill_tokens_per_s, 0.9 * speed);
}

// The first step of a process is slow: its weights are cold.
TEST_F(PrefixesOfWideSteps, ShortPromptsCorrectWhatAColdStartMeasured) {
  add(sharing(1, 0, 10, 1));
  h_.plan();
  h_.now += std::chrono::milliseconds(99);
  h_.commit();
  EXPECT_NEAR(h_.scheduler.stats().prefill_tokens_per_s, 100, 1);
  for (uint64_t id = 2; id <= 41; ++id) {
    add(sharing(id, 0, 10, 1));
    h_.run();
  }
  EXPECT_GT(h_.scheduler.stats().prefill_tokens_per_s, 9'000) << "ten rows in a millisecond";
}

// The router reckons from it what company costs; the mean is a prompt's for many steps after it.
TEST_F(PrefixesOfWideSteps, AStepWithoutPromptsIsMeasuredByItself) {
  add(sharing(1, 0, 10, 3));
  h_.plan();
  h_.now += std::chrono::milliseconds(99);
  h_.commit();
  EXPECT_EQ(h_.scheduler.stats().decode_us, 0);
  h_.run();
  EXPECT_EQ(h_.scheduler.stats().decode_us, 1000);
  EXPECT_EQ(h_.scheduler.stats().decode_rows, 1);
  EXPECT_GT(h_.scheduler.stats().step_us, 50'000);
}

TEST_F(Prefixes, OffMeansOff) {
  Harness h(Harness::limits(), {.prefix_cache = false});
  for (uint64_t id = 1; id <= 2; ++id) {
    h.scheduler.add(sharing(id, 20, 1), h.now);
    h.run();
    EXPECT_EQ(h.all<Done>(id)[0].usage.cached, 0);
    EXPECT_EQ(h.scheduler.kv().cached_count(), 0);
  }
  EXPECT_EQ(h.scheduler.stats().prefix_tokens_asked, 0u);
}

BlockHash always_the_same(BlockHash, std::span<const int32_t>) {
  return {1, 1};
}

// E8, with hashes that say nothing: it takes longer, and nothing else changes.
TEST_F(Prefixes, AHashThatTellsNothingApartServesNobodyWrongly) {
  Harness h(Harness::limits(), {.step_tokens = 16, .block_hash = always_the_same});
  std::vector<Request> requests;
  for (uint64_t id = 1; id <= 12; ++id) {
    requests.push_back(sharing(id, static_cast<int32_t>(id % 3) * 8, 9));
    h.scheduler.add(requests.back(), h.now);
    if (id % 4 == 0) h.run();
  }
  for (const Request& request : requests) {
    EXPECT_EQ(h.ids(static_cast<uint64_t>(request.id)), undisturbed(request));
  }
  EXPECT_GT(h.scheduler.stats().prefix_tokens_found, 0u);
}

TEST_F(Prefixes, ADeadlineEndsWhoWaitsForAPrefix) {
  add(sharing(1, 100, 1));
  Request late = sharing(2, 100, 1);
  late.deadline = h_.now + std::chrono::milliseconds(4);
  add(late);
  h_.run();
  ASSERT_THAT(h_.all<Failed>(2), SizeIs(1));
  EXPECT_EQ(h_.all<Failed>(2)[0].fault, Fault::deadline);
  expect_right_answers();
}

}  // namespace
}  // namespace bessemer
