#include "worker/service/replay_tail.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/random.h"

namespace bessemer::testing {
namespace {

using ::testing::ElementsAre;

constexpr AttemptId kId{7};

ReplayTail make_tail(std::vector<int32_t> first_offsets, bool keeps = true) {
  return {first_offsets, keeps};
}
std::optional<std::vector<EngineEvent>> since(const ReplayTail& tail,
                                              std::vector<uint32_t> offsets) {
  return tail.since(offsets, kId);
}

// The ids of one choice, checked to follow each other from `offset` on.
std::vector<int32_t> ids_of(const std::vector<EngineEvent>& events, int32_t choice,
                            int32_t offset) {
  std::vector<int32_t> ids;
  for (const EngineEvent& event : events) {
    EXPECT_EQ(event.attempt, kId);
    const auto* tokens = std::get_if<Tokens>(&event.what);
    if (tokens == nullptr || tokens->choice != choice) continue;
    EXPECT_EQ(tokens->offset, offset + static_cast<int32_t>(ids.size()));
    append(ids, tokens->ids);
  }
  return ids;
}

TEST(ReplayTail, GivesWhatCameBehindAnOffset) {
  ReplayTail tail = make_tail({0, 5});
  tail.note({kId, Admitted{}});
  tail.note({kId, Tokens{0, 0, {1, 2}, {}}});
  tail.note({kId, Tokens{1, 5, {3}, {}}});
  tail.note({kId, Tokens{0, 2, {4}, {}}});
  EXPECT_EQ(tail.next(0), 3);
  EXPECT_EQ(tail.next(1), 6);
  const auto events = since(tail, {1, 5});
  ASSERT_TRUE(events);
  EXPECT_THAT(ids_of(*events, 0, 1), ElementsAre(2, 4));
  EXPECT_THAT(ids_of(*events, 1, 5), ElementsAre(3));
  EXPECT_TRUE(since(tail, {3, 6})->empty());
}

TEST(ReplayTail, RefusesOffsetsOfAnotherStory) {
  ReplayTail tail = make_tail({4});
  tail.note({kId, Tokens{0, 4, {1, 2}, {}}});
  EXPECT_FALSE(since(tail, {3}));  // delivered before this attempt began
  EXPECT_FALSE(since(tail, {7}));  // not said yet
  EXPECT_FALSE(since(tail, {4, 4}));
  EXPECT_FALSE(since(tail, {}));
}

TEST(ReplayTail, EndsAreToldAgainUnlessTheyWereHeard) {
  ReplayTail tail = make_tail({0, 0});
  tail.note({kId, ChoiceEnd{0, EndReason::stop, 2, 0}});
  tail.note({kId, ChoiceEnd{1, EndReason::length, -1, 0}});
  EXPECT_FALSE(tail.is_over());
  tail.note({kId, Done{}});
  EXPECT_TRUE(tail.is_over());
  const auto events = since(tail, {kEndHeard, 0});
  ASSERT_TRUE(events);
  ASSERT_EQ(events->size(), 2u);
  EXPECT_EQ(std::get<ChoiceEnd>((*events)[0].what).choice, 1);
  EXPECT_TRUE(std::holds_alternative<Done>((*events)[1].what));
}

TEST(ReplayTail, LogprobsGoWithTheirTokens) {
  ReplayTail tail = make_tail({0});
  for (int32_t i = 0; i < 50; ++i) {
    tail.note({kId, Tokens{0, i, {i}, {{i, -1.0f, 1}, {i + 1, -2.0f, 2}}}});
  }
  const auto events = since(tail, {20});
  ASSERT_TRUE(events);
  EXPECT_EQ(ids_of(*events, 0, 20).size(), 30u);
  for (const EngineEvent& event : *events) {
    const Tokens& tokens = std::get<Tokens>(event.what);
    ASSERT_EQ(tokens.logprobs.size(), 2 * tokens.ids.size());
    EXPECT_LE(tokens.ids.size(), 16u);
    for (size_t i = 0; i < tokens.ids.size(); ++i)
      EXPECT_EQ(tokens.logprobs[2 * i].token, tokens.ids[i]);
  }
}

// R1, R2: whatever comes in whatever pieces, the newest kTailTokens can be had, and what is older
// than twice that cannot.
TEST(ReplayTail, KeepsTheNewestAndNotMore) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    ReplayTail tail = make_tail({0});
    int32_t next = 0;
    while (next < 5000) {
      Tokens tokens{0, next, {}, {}};
      const int64_t count = random.between(1, 9);
      for (int64_t i = 0; i < count; ++i) tokens.ids.push_back(next++);
      tail.note({kId, std::move(tokens)});
    }
    const uint32_t end = static_cast<uint32_t>(next);
    const uint32_t back = static_cast<uint32_t>(random.between(0, kTailTokens));
    const auto events = since(tail, {end - back});
    ASSERT_TRUE(events) << seed;
    const std::vector<int32_t> ids = ids_of(*events, 0, next - static_cast<int32_t>(back));
    ASSERT_EQ(ids.size(), back);
    for (uint32_t i = 0; i < back; ++i) ASSERT_EQ(ids[i], static_cast<int32_t>(end - back + i));
    EXPECT_FALSE(since(tail, {end - 2 * static_cast<uint32_t>(kTailTokens)}));
  }
}

TEST(ReplayTail, ManyLogprobsLeaveFewerTokens) {
  ReplayTail tail = make_tail({0});
  const std::vector<Logprob> wide(21);
  for (int32_t i = 0; i < 2000; ++i) tail.note({kId, Tokens{0, i, {i}, wide}});
  constexpr uint32_t kMost = kTailBytes / (4 + 21 * sizeof(Logprob));
  EXPECT_TRUE(since(tail, {2000 - kMost}));
  EXPECT_FALSE(since(tail, {2000 - 2 * kMost}));
}

TEST(ReplayTail, NothingIsKeptForWhoCannotAttachOrScoredItsPrompt) {
  ReplayTail unkept = make_tail({0}, false);
  unkept.note({kId, Tokens{0, 0, {1}, {}}});
  EXPECT_EQ(unkept.next(0), 1);
  EXPECT_FALSE(since(unkept, {0}));
  ReplayTail scored = make_tail({0});
  scored.note({kId, PromptScores{}});
  scored.note({kId, Tokens{0, 0, {1}, {}}});
  EXPECT_FALSE(since(scored, {0}));
}

}  // namespace
}  // namespace bessemer::testing
