#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/block_hash.h"
#include "router/cluster/registry.h"
#include "router/cluster/vocabulary_cache.h"
#include "router/cluster/worker_news.h"

namespace bessemer {

namespace {

using testing::HasSubstr;

TEST(LoadSlot, ReadsAreNeverTorn) {
  struct Pair {
    uint64_t a, b[5];
  };
  SeqLock<Pair> lock;
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (uint64_t i = 1; !stop; i++) lock.store({i, {i, i, i, i, i}});
  });
  std::thread other([&] {
    for (uint64_t i = 1; !stop; i++)
      lock.store({i << 32, {i << 32, i << 32, i << 32, i << 32, i << 32}});
  });
  for (int i = 0; i < 200'000; i++) {
    const Pair read = lock.load();
    for (const uint64_t b : read.b) ASSERT_EQ(read.a, b);
  }
  stop = true;
  writer.join();
  other.join();
}

TEST(LoadSlot, CountsOwnSequencesAsOfNowAndOthersAsReported) {
  LoadSlot slot;
  slot.own = 3;
  LoadReading reading;
  reading.running = 10;
  reading.own_then = 4;
  EXPECT_EQ(slot.sequences(reading), 9);  // 6 of others, 3 of ours
  reading.own_then = 20;                  // the report is older than our count
  EXPECT_EQ(slot.sequences(reading), 3);
}

class RegistryTest : public ::testing::Test {
 protected:
  v1::Hello hello(uint64_t incarnation) {
    v1::Hello hello;
    hello.set_incarnation(incarnation);
    hello.add_features(1);
    hello.add_features(5);
    return hello;
  }
  v1::ModelCard card(const std::string& name, const std::string& hash) {
    v1::ModelCard card;
    card.set_name(name);
    card.set_card_hash(hash);
    card.set_tokenizer_hash("t-" + hash);
    card.add_aliases("alias-" + name);
    return card;
  }
  void make_ready(uint32_t worker, uint64_t incarnation, const std::string& name,
                  const std::string& hash) {
    registry_.lane_up(worker, 0, hello(incarnation));
    const auto wishes = registry_.card(worker, card(name, hash), now_);
    if (!wishes.empty()) registry_.text(worker, "t-" + hash, text_, now_);
  }
  WorkerState state(uint32_t worker) { return registry_.view()->workers[worker].state; }
  void SetUp() override {
    registry_.set_members({{"a:1"}, {"b:1"}, {"c:1"}});
    EXPECT_EQ(registry_.reconcile(now_).joined, (std::vector<uint32_t>{0, 1, 2}));
  }

  TimePoint now_{std::chrono::seconds(1)};
  const char opaque_ = 0;  // the registry never looks into a text
  ModelTextPtr text_{std::make_shared<char>(), reinterpret_cast<const ModelText*>(&opaque_)};
  Registry registry_;
};

TEST_F(RegistryTest, AWorkerJoinsStepByStep) {
  EXPECT_EQ(state(0), WorkerState::down);
  const auto wishes = registry_.lane_up(0, 0, hello(7));
  ASSERT_EQ(wishes.size(), 2u);
  EXPECT_EQ(state(0), WorkerState::joining);
  EXPECT_TRUE(registry_.lane_up(0, 1, hello(7)).empty());  // its second lane
  const auto text = registry_.card(0, card("m", "h"), now_);
  ASSERT_EQ(text.size(), 1u);
  EXPECT_EQ(text[0].tokenizer_hash, "t-h");
  registry_.text(0, "t-h", text_, now_);
  EXPECT_EQ(state(0), WorkerState::ready);
  const auto view = registry_.view();
  EXPECT_EQ(view->workers[0].features, 0b100010u);
  ASSERT_TRUE(view->models.contains("m"));
  EXPECT_TRUE(view->models.contains("alias-m"));
  EXPECT_EQ(view->models.at("m")->workers, std::vector<uint32_t>{0});
}

TEST_F(RegistryTest, AKnownVocabularyIsNotFetchedAgain) {
  make_ready(0, 7, "m", "h");
  registry_.lane_up(1, 0, hello(8));
  EXPECT_TRUE(registry_.card(1, card("m", "h"), now_).empty());
  EXPECT_EQ(state(1), WorkerState::ready);
}

TEST_F(RegistryTest, ANewIncarnationStartsOver) {
  make_ready(0, 7, "m", "h");
  registry_.lane_up(0, 1, hello(9));
  EXPECT_EQ(state(0), WorkerState::joining);
  EXPECT_EQ(registry_.view()->workers[0].card, nullptr);
  registry_.lane_down(0, 0, "the end of the one before");
  EXPECT_EQ(state(0), WorkerState::joining);
}

TEST_F(RegistryTest, TheLastLaneTakesTheWorkerDownAndTheModelStaysKnown) {
  make_ready(0, 7, "m", "h");
  registry_.lane_up(0, 1, hello(7));
  registry_.lane_down(0, 1, "one lane");
  EXPECT_EQ(state(0), WorkerState::ready);
  registry_.lane_down(0, 0, "killed");
  EXPECT_EQ(state(0), WorkerState::down);
  const auto view = registry_.view();
  EXPECT_EQ(view->workers[0].problem, "killed");
  ASSERT_TRUE(view->models.contains("m"));
  EXPECT_TRUE(view->models.at("m")->workers.empty());
}

TEST_F(RegistryTest, LanesThatOnlyWaitForHelloDoNotHoldAWorkerUp) {
  make_ready(0, 7, "m", "h");
  registry_.lane_up(0, 1, hello(7));
  registry_.lane_down(0, 0, "silent");
  registry_.lane_down(0, 0, "the worker did not answer Hello");  // while lane 1 is up still
  EXPECT_EQ(state(0), WorkerState::ready);
  registry_.lane_down(0, 1, "silent");  // while lane 0 is being tried again
  EXPECT_EQ(state(0), WorkerState::down);
}

TEST_F(RegistryTest, OneLoadWatchAWorker) {
  const auto watches = [](const std::vector<Wish>& wishes) {
    return std::count_if(wishes.begin(), wishes.end(),
                         [](const Wish& wish) { return wish.kind == Wish::Kind::load; });
  };
  EXPECT_EQ(watches(registry_.lane_up(0, 0, hello(7))), 1);
  registry_.lane_down(0, 0, "its lane only");
  EXPECT_EQ(watches(registry_.lane_up(0, 0, hello(7))), 0);  // the first one still runs
  registry_.load_watch_ended(0, now_);
  now_ += std::chrono::seconds(1);
  EXPECT_EQ(watches(registry_.retries(now_)), 1);
  EXPECT_EQ(watches(registry_.lane_up(0, 0, hello(8))), 0);
  registry_.load_watch_ended(0, now_);
  EXPECT_EQ(watches(registry_.lane_up(0, 0, hello(9))), 1);  // instead of the retry
  EXPECT_EQ(watches(registry_.retries(now_ + std::chrono::seconds(1))), 0);
  registry_.lane_down(0, 0, "killed");
  registry_.load_watch_ended(0, now_);
  EXPECT_EQ(watches(registry_.retries(now_ + std::chrono::seconds(1))), 0);  // nobody to ask
  EXPECT_EQ(watches(registry_.lane_up(0, 0, hello(10))), 1);
}

TEST_F(RegistryTest, FailuresAreTriedAgainLater) {
  registry_.lane_up(0, 0, hello(7));
  EXPECT_TRUE(registry_.card(0, absl::UnavailableError("busy"), now_).empty());
  EXPECT_TRUE(registry_.retries(now_).empty());
  now_ += std::chrono::seconds(1);
  const auto due = registry_.retries(now_);
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].kind, Wish::Kind::card);
  EXPECT_TRUE(registry_.retries(now_).empty());
}

TEST_F(RegistryTest, AnswersOfADeadIncarnationAreDropped) {
  registry_.lane_up(0, 0, hello(7));
  registry_.lane_down(0, 0, "killed");
  EXPECT_TRUE(registry_.card(0, card("m", "h"), now_).empty());
  EXPECT_EQ(state(0), WorkerState::down);
}

TEST_F(RegistryTest, ANameBelongsToTheCardOfMostWorkers) {
  make_ready(0, 1, "m", "old");
  make_ready(1, 2, "m", "new");
  make_ready(2, 3, "m", "new");
  EXPECT_EQ(registry_.view()->models.at("m")->workers, (std::vector<uint32_t>{1, 2}));
}

TEST_F(RegistryTest, WhoServesAnotherModelUnderANameIsTold) {
  make_ready(0, 1, "m", "old");
  EXPECT_EQ(registry_.view()->workers[0].problem, "");
  make_ready(1, 2, "m", "new");
  make_ready(2, 3, "m", "new");
  const auto view = registry_.view();
  EXPECT_THAT(view->workers[0].problem, HasSubstr("gets no requests for 'm'"));
  EXPECT_THAT(view->workers[0].problem, HasSubstr("card old"));
  EXPECT_THAT(view->workers[0].problem, HasSubstr("b:1 serves under that name (card new)"));
  EXPECT_EQ(view->workers[1].problem, "");
  registry_.lane_down(1, 0, "killed");
  registry_.lane_down(2, 0, "killed");
  EXPECT_EQ(registry_.view()->workers[0].problem, "");
}

class WorkerNewsTest : public RegistryTest {
 protected:
  std::string news() {
    std::string all;
    for (const auto& line : news_.look(*registry_.view(), now_))
      all += (line.warning ? "!" : "") + line.text + "\n";
    return all;
  }
  WorkerNews news_;
};

TEST_F(WorkerNewsTest, JoinsAndLossesAreSaidOnce) {
  EXPECT_EQ(news(), "");  // N3: nobody has answered yet
  registry_.lane_up(0, 0, hello(7));
  EXPECT_EQ(news(), "");
  make_ready(0, 7, "m", "h");
  EXPECT_EQ(news(), "worker a:1 joined: it serves m\n");
  EXPECT_EQ(news(), "");
  registry_.lane_down(1, 0, "connection refused");
  EXPECT_EQ(news(), "");  // N3: it may be loading its model
  EXPECT_FALSE(news_.due(now_));
  now_ += kStartGrace;
  EXPECT_TRUE(news_.due(now_));
  EXPECT_EQ(news(), "!worker b:1 cannot be reached: connection refused\n");
  registry_.draining(0);
  EXPECT_EQ(news(), "worker a:1 takes no more requests (draining)\n");
  registry_.lane_down(0, 0, "it closed the session");
  EXPECT_EQ(news(), "!worker a:1 is lost: it closed the session\n");
}

TEST_F(WorkerNewsTest, WhoCrashesAgainAndAgainIsSaidRarelyAndRightly) {
  make_ready(0, 1, "m", "h");
  EXPECT_EQ(news(), "worker a:1 joined: it serves m\n");
  registry_.lane_down(0, 0, "killed");
  EXPECT_EQ(news(), "!worker a:1 is lost: killed\n");
  int lines = 0;
  for (uint64_t i = 2; i < 90; i++) {  // within nine seconds
    now_ += std::chrono::milliseconds(100);
    make_ready(0, i, "m", "h");
    lines += news().empty() ? 0 : 1;
    registry_.lane_down(0, 0, "killed");
    lines += news().empty() ? 0 : 1;
  }
  EXPECT_EQ(lines, 1);  // that it is back
  EXPECT_FALSE(news_.due(now_));
  now_ += kQuietAfterLoss;
  EXPECT_TRUE(news_.due(now_));
  EXPECT_EQ(news(), "!worker a:1 is lost: killed\n");  // N1
  EXPECT_FALSE(news_.due(now_));
}

TEST_F(WorkerNewsTest, TwoModelsOfOneNameAreSaid) {
  make_ready(0, 1, "m", "old");
  make_ready(1, 2, "m", "new");
  make_ready(2, 3, "m", "new");
  const std::string all = news();
  EXPECT_THAT(all,
              HasSubstr("worker a:1 joined: it serves m\n!worker a:1 gets no requests for 'm'"));
  EXPECT_EQ(std::count(all.begin(), all.end(), '!'), 1);
  EXPECT_EQ(news(), "");
}

TEST_F(RegistryTest, DrainingWorkersLeaveTheirModel) {
  make_ready(0, 1, "m", "h");
  registry_.take_changed();
  registry_.draining(0);
  EXPECT_TRUE(registry_.take_changed());
  EXPECT_EQ(state(0), WorkerState::draining);
  EXPECT_TRUE(registry_.view()->models.at("m")->workers.empty());
  registry_.draining(0);
  EXPECT_FALSE(registry_.take_changed());
}

TEST(VocabularyCache, KeepsByHashAndDistrustsWhatChanged) {
  const std::string folder = ::testing::TempDir() + "/vocabulary_cache_test";
  std::filesystem::remove_all(folder);
  const VocabularyCache cache(folder);
  const std::string bytes = "some vocabulary", hash = content_hash_hex(bytes);
  EXPECT_FALSE(cache.load(hash));
  ASSERT_TRUE(cache.store(hash, bytes).ok());
  EXPECT_EQ(cache.load(hash), bytes);
  std::ofstream(folder + "/" + hash + ".vocabulary") << "tampered";
  EXPECT_FALSE(cache.load(hash));
  EXPECT_FALSE(cache.store("../../etc/passwd", bytes).ok());
  EXPECT_FALSE(cache.load("../../etc/passwd"));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace bessemer
