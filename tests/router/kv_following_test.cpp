// Whose stream is open, and when the next one is asked for; then the thread that does it.
#include "router/cluster/kv_following.h"

#include <condition_variable>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "router/upstream/kv_follower.h"

namespace bessemer {
namespace {

v1::KvUpdate update(uint64_t incarnation, uint64_t seq, std::vector<uint64_t> stored,
                    bool reset = false) {
  v1::KvUpdate one;
  one.set_incarnation(incarnation);
  one.set_seq(seq);
  one.set_exact(true);
  one.set_reset(reset);
  v1::KvRun& run = *one.add_runs();
  for (const uint64_t hash : stored) run.add_stored(hash);
  return one;
}

class KvFollowingTest : public ::testing::Test {
 protected:
  KvWanted one_wanted() {
    const auto wanted = following_.wanted(now_);
    EXPECT_EQ(wanted.size(), 1u);
    return wanted.empty() ? KvWanted() : wanted.front();
  }
  bool nothing_wanted() { return following_.wanted(now_).empty(); }

  TimePoint now_{std::chrono::seconds(1)};
  KvIndex index_{1, 1};
  KvFollowing following_{index_};
};

TEST_F(KvFollowingTest, OneStreamAWorkerFromItsFirstWordToItsEnd) {
  EXPECT_TRUE(nothing_wanted());
  following_.expect(3, 7, now_);
  following_.expect(3, 7, now_);  // its second lane
  const KvWanted first = one_wanted();
  EXPECT_EQ(first.worker, 3u);
  EXPECT_EQ(first.incarnation, 7u);
  EXPECT_EQ(first.request.incarnation(), 0u) << "a snapshot";
  EXPECT_TRUE(nothing_wanted());
  EXPECT_TRUE(following_.update(3, first.stream, update(7, 2, {1, 2}, true)));
  EXPECT_EQ(index_.count(3), 2u);
  EXPECT_EQ(following_.counts().exact, 1u);
  following_.ended(3, first.stream, absl::UnavailableError("broke"), now_);
  EXPECT_EQ(index_.count(3), 2u) << "still the best there is";
  EXPECT_TRUE(nothing_wanted());
  now_ += kKvRetry;
  const KvWanted second = one_wanted();
  EXPECT_NE(second.stream, first.stream);
  EXPECT_EQ(second.request.incarnation(), 7u) << "goes on where it was";
  EXPECT_EQ(second.request.after(), 2u);
  EXPECT_FALSE(following_.update(3, first.stream, update(7, 3, {3}))) << "the old stream's";
  EXPECT_TRUE(following_.update(3, second.stream, update(7, 3, {3})));
  EXPECT_EQ(index_.count(3), 3u);
}

TEST_F(KvFollowingTest, ARestartedWorkerIsFollowedAnewAtOnce) {
  following_.expect(3, 7, now_);
  const KvWanted before = one_wanted();
  following_.update(3, before.stream, update(7, 2, {1, 2}, true));
  following_.expect(3, 8, now_);  // before the end of its stream was told
  EXPECT_EQ(index_.pairs(), 0u);
  const KvWanted after = one_wanted();
  EXPECT_EQ(after.incarnation, 8u);
  EXPECT_FALSE(following_.update(3, before.stream, update(7, 3, {3})));
  following_.ended(3, before.stream, absl::UnavailableError("broke"), now_);
  now_ += kKvRetryLater;
  EXPECT_TRUE(nothing_wanted()) << "the new stream is still open";
  following_.expect(3, 0, now_);
  EXPECT_EQ(following_.counts().expected, 0u);
  EXPECT_TRUE(nothing_wanted());
}

TEST_F(KvFollowingTest, WhatDoesNotFitBeginsAnew) {
  following_.expect(3, 7, now_);
  const KvWanted first = one_wanted();
  following_.update(3, first.stream, update(7, 2, {1, 2}, true));
  EXPECT_FALSE(following_.update(3, first.stream, update(7, 9, {3})));
  EXPECT_EQ(following_.counts().diverged, 1u);
  EXPECT_EQ(following_.counts().exact, 0u);
  following_.ended(3, first.stream, absl::CancelledError(), now_);
  now_ += kKvRetry;
  EXPECT_EQ(one_wanted().request.incarnation(), 0u);
}

TEST_F(KvFollowingTest, AWorkerWithoutTheCallIsAskedRarely) {
  following_.expect(3, 7, now_);
  following_.ended(3, one_wanted().stream, absl::UnimplementedError("older"), now_);
  now_ += kKvRetry;
  EXPECT_TRUE(nothing_wanted());
  now_ += kKvRetryLater;
  EXPECT_FALSE(nothing_wanted());
}

// A stream as a session would bring it: says which of the two answers its update got.
class FakeDelivery final : public KvDelivery {
 public:
  explicit FakeDelivery(v1::KvUpdate update) : update_(std::move(update)) {}
  const v1::KvUpdate& update() const override { return update_; }
  void read_on() override { answer(true); }
  void stop() override { answer(false); }
  bool wait() {
    std::unique_lock lock(mutex_);
    answered_.wait(lock, [&] { return count_ > 0; });
    EXPECT_EQ(count_, 1);
    return goes_on_;
  }

 private:
  void answer(bool goes_on) {
    std::lock_guard lock(mutex_);
    goes_on_ = goes_on;
    count_++;
    answered_.notify_all();
  }
  const v1::KvUpdate update_;
  std::mutex mutex_;
  std::condition_variable answered_;
  int count_ = 0;
  bool goes_on_ = false;
};

TEST(KvFollower, AppliesOnItsOwnThreadWhatManySay) {
  constexpr uint32_t kWorkers = 4;
  KvIndex index(1, 1), pledged(1, 2);
  std::mutex mutex;
  std::condition_variable came;
  std::map<uint32_t, uint64_t> streams;
  auto follower = KvFollower::create(index, pledged, [&](const KvWanted& wanted) {
    std::lock_guard lock(mutex);
    streams[wanted.worker] = wanted.stream;
    came.notify_all();
  });
  std::vector<std::thread> sessions;
  for (uint32_t worker = 0; worker < kWorkers; worker++) {
    sessions.emplace_back([&, worker] {
      follower->expect(worker, 7);
      std::unique_lock lock(mutex);
      came.wait(lock, [&] { return streams.contains(worker); });
      const uint64_t stream = streams[worker];
      lock.unlock();
      for (uint64_t seq = 1; seq <= 50; seq++) {
        FakeDelivery delivery(update(7, seq, {100 + seq}, seq == 1));
        follower->update(worker, stream, delivery);
        ASSERT_TRUE(delivery.wait());
      }
      FakeDelivery wrong(update(7, 99, {1}));
      follower->update(worker, stream, wrong);
      ASSERT_FALSE(wrong.wait());
    });
  }
  std::vector<KvMatch> matches;  // a reader beside them
  for (int i = 0; i < 1000; i++) index.match(0, std::vector<uint64_t>{101, 102}, matches);
  for (auto& session : sessions) session.join();
  EXPECT_EQ(follower->counts().expected, kWorkers);
  follower.reset();
  EXPECT_EQ(index.pairs(), 0u) << "all had to begin anew";
}

}  // namespace
}  // namespace bessemer
