// What a prompt adds to a worker's load, and for how long; what is counted when the worker answers.
#include "router/endpoints/prompt_route.h"

#include <gtest/gtest.h>

namespace bessemer {
namespace {

PlaceOn placed(int64_t matched) {
  PlaceOn place;
  place.worker = 2;
  place.matched_tokens = matched;
  place.choice.reason = ChoiceReason::prefix;
  place.choice.seconds = 1.5;
  place.choice.next_seconds = 2;
  place.choice.ttft_seconds = 1;
  return place;
}

v1::Admitted admission(uint32_t matched, uint64_t backlog) {
  v1::Admitted admitted;
  admitted.set_matched_tokens(matched);
  admitted.set_backlog_tokens(backlog);
  return admitted;
}

const ChainPtr kNoBlocks = std::make_shared<const std::vector<uint64_t>>();

struct FakeBook final : PledgeBook {
  bool pledge(KvPledgePtr pledge) override {
    if (full) return false;
    pledged.push_back(std::move(pledge));
    return true;
  }
  void release(KvPledgePtr, bool computed) override { released.push_back(computed); }
  std::vector<KvPledgePtr> pledged;
  std::vector<bool> released;
  bool full = false;
};
FakeBook unread;

TEST(PromptRoute, WhatCouldNotBePledgedIsNotReleased) {
  const auto chain = std::make_shared<const std::vector<uint64_t>>(std::vector<uint64_t>{1, 2});
  FakeBook book;
  book.full = true;
  RoutingStats stats;
  {
    PromptRoute route(chain, 40, book);
    route.claim(std::make_shared<LoadSlot>(), placed(0), stats);
    route.computed();
  }
  EXPECT_TRUE(book.released.empty());
}

TEST(PromptRoute, ItsBlocksArePledgedUntilTheyAreComputedOrGivenUp) {
  const auto chain = std::make_shared<const std::vector<uint64_t>>(std::vector<uint64_t>{1, 2});
  FakeBook book;
  RoutingStats stats;
  {
    PromptRoute route(chain, 40, book);
    route.claim(std::make_shared<LoadSlot>(), placed(0), stats);
    ASSERT_EQ(book.pledged.size(), 1u);
    EXPECT_EQ(book.pledged[0]->worker, 2u);
    EXPECT_EQ(book.pledged[0]->chain, chain);
    route.admitted(admission(0, 0));
    EXPECT_TRUE(book.released.empty());
    route.computed();
    route.computed();
    EXPECT_EQ(book.released, std::vector<bool>{true});
    route.claim(std::make_shared<LoadSlot>(), placed(0), stats);  // lost, and placed again
  }
  EXPECT_EQ(book.released, (std::vector<bool>{true, false}));
}

TEST(PromptRoute, ItsTokensAreLoadUntilTheWorkerSaysSo) {
  const auto load = std::make_shared<LoadSlot>();
  load->said_backlog = 50;
  RoutingStats stats;
  PromptRoute route(kNoBlocks, 1000, unread);
  route.claim(load, placed(600), stats);
  EXPECT_EQ(load->backlog(), 450);
  route.admitted(admission(600, 70));
  EXPECT_EQ(load->unadmitted, 0);
  EXPECT_EQ(load->backlog(), 470) << "what was before it, and what it lacks itself";
  route.release();
  EXPECT_EQ(load->unadmitted, 0);
}

TEST(PromptRoute, ALostOrRefusedAttemptTakesItsTokensBack) {
  const auto first = std::make_shared<LoadSlot>(), second = std::make_shared<LoadSlot>();
  RoutingStats stats;
  {
    PromptRoute route(kNoBlocks, 1000, unread);
    route.claim(first, placed(0), stats);
    route.claim(second, placed(0), stats);
    EXPECT_EQ(first->backlog(), 0);
    EXPECT_EQ(second->backlog(), 1000);
  }
  EXPECT_EQ(second->backlog(), 0);
}

TEST(PromptRoute, ComparesWhatWasPredictedWithWhatWasFound) {
  const auto load = std::make_shared<LoadSlot>();
  RoutingStats stats;
  PromptRoute route(kNoBlocks, 1000, unread);
  route.note_best(900);
  route.claim(load, placed(600), stats);
  route.finished(500, stats);
  route.claim(load, placed(100), stats);
  route.finished(950, stats);
  EXPECT_EQ(stats.decisions[static_cast<size_t>(ChoiceReason::prefix)].value(), 2u);
  EXPECT_EQ(stats.predicted_tokens.value(), 700u);
  EXPECT_EQ(stats.found_tokens.value(), 1450u);
  EXPECT_EQ(stats.missed_tokens.value(), 100u);
  EXPECT_EQ(stats.unforeseen_tokens.value(), 850u);
  EXPECT_EQ(stats.recomputed_tokens.value(), 400u) << "another had 900, this one 500";
}

TEST(PromptRoute, ExplainsItself) {
  RoutingStats stats;
  PromptRoute route(kNoBlocks, 1000, unread);
  route.note_best(600);
  route.claim(std::make_shared<LoadSlot>(), placed(600), stats);
  EXPECT_EQ(route.explain("10.0.0.1:80"),
            "worker=10.0.0.1:80 reason=prefix prompt_tokens=1000 matched_tokens=600 "
            "best_matched_tokens=600 bounces=0 cost_ms=1500.0 ttft_ms=1000.0 next_ms=2000.0");
}

}  // namespace
}  // namespace bessemer
