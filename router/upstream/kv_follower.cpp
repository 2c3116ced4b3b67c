#include "router/upstream/kv_follower.h"

#include <thread>
#include <variant>

#include "common/log.h"
#include "common/mailbox.h"
#include "router/cluster/load_slot.h"
#include "router/cluster/worker_source.h"

namespace bessemer {
namespace {

// Of each worker its stream's update and end, and what is expected of it before and after a
// restart; as much again for a burst of them.
constexpr size_t kMaxKvNews = 8 * kMaxWorkers;
// Pledges and their ends that wait: half a second of 60,000 requests a second. Beyond it a pledge is
// not made.
constexpr size_t kMaxPledgeNews = 64 * 1024;
constexpr auto kLook = std::chrono::milliseconds(100);  // for streams that are due
// Between the steps of a sweep: all shards in a third of a second, and some percent of a core.
constexpr auto kTidyPause = std::chrono::milliseconds(1);

struct Expected {
  uint64_t incarnation = 0;
};
struct Updated {
  uint64_t stream = 0;
  KvDelivery* delivery = nullptr;  // alive until it is answered
};
struct Ended {
  uint64_t stream = 0;
  Status why;
};
struct Pledged {
  KvPledgePtr pledge;
};
struct Released {
  KvPledgePtr pledge;
  bool computed = false;
};
struct KvNews {
  uint32_t worker = 0;
  std::variant<Expected, Updated, Ended, Pledged, Released> what;
};

class KvFollowerImpl final : public KvFollower {
 public:
  KvFollowerImpl(KvIndex& index, KvIndex& pledged, std::function<void(const KvWanted&)> want)
      : index_(index),
        pledged_(pledged),
        following_(index),
        pledges_(pledged),
        want_(std::move(want)),
        thread_([this] { run(); }) {}
  ~KvFollowerImpl() override {
    news_.close();
    thread_.join();
  }

  void expect(uint32_t worker, uint64_t incarnation) override {
    news_.push_reserved({worker, Expected{incarnation}});
  }
  void update(uint32_t worker, uint64_t stream, KvDelivery& delivery) override {
    if (!news_.push_reserved({worker, Updated{stream, &delivery}})) delivery.stop();
  }
  void ended(uint32_t worker, uint64_t stream, const Status& why) override {
    news_.push_reserved({worker, Ended{stream, why}});
  }
  bool pledge(KvPledgePtr pledge) override {
    const uint32_t worker = pledge->worker;
    return news_.push({worker, Pledged{std::move(pledge)}});
  }
  void release(KvPledgePtr pledge, bool computed) override {
    const uint32_t worker = pledge->worker;
    news_.push_reserved({worker, Released{std::move(pledge), computed}});
  }
  KvCounts counts() const override { return counts_.load(); }

 private:
  void run();
  void learn(KvNews& news);
  void learn(uint32_t worker, Expected& fact);
  void learn(uint32_t worker, Updated& fact);
  void learn(uint32_t worker, Ended& fact);
  void learn(uint32_t, Pledged& fact) { pledges_.pledge(*fact.pledge); }
  void learn(uint32_t, Released& fact) {
    pledges_.release(std::move(fact.pledge), fact.computed, now());
  }
  static TimePoint now() { return std::chrono::steady_clock::now(); }

  KvIndex& index_;
  KvIndex& pledged_;
  KvFollowing following_;
  KvPledges pledges_;
  const std::function<void(const KvWanted&)> want_;
  Mailbox<KvNews> news_{kMaxPledgeNews, kMaxPledgeNews + kMaxKvNews};
  SeqLock<KvCounts> counts_;
  std::thread thread_;
};

void KvFollowerImpl::run() {
  std::vector<KvNews> all;
  bool untidy = false;
  while (news_.wait_drain_until(all, now() + (untidy ? Duration(kTidyPause) : Duration(kLook)))) {
    for (KvNews& news : all) learn(news);
    for (const KvWanted& wanted : following_.wanted(now())) want_(wanted);
    pledges_.expire(now());
    untidy = index_.tidy();
    untidy = pledged_.tidy() || untidy;
    counts_.store(following_.counts());
  }
}

void KvFollowerImpl::learn(KvNews& news) {
  std::visit([&](auto& what) { learn(news.worker, what); }, news.what);
}

void KvFollowerImpl::learn(uint32_t worker, Expected& fact) {
  if (following_.incarnation(worker) != fact.incarnation) pledges_.drop(worker);
  following_.expect(worker, fact.incarnation, now());
}

void KvFollowerImpl::learn(uint32_t worker, Updated& fact) {
  const bool go_on = following_.update(worker, fact.stream, fact.delivery->update());
  go_on ? fact.delivery->read_on() : fact.delivery->stop();
}

void KvFollowerImpl::learn(uint32_t worker, Ended& fact) {
  log().debug("worker {}: its cache is not followed any more: {}", worker,
              std::string(fact.why.message()));
  following_.ended(worker, fact.stream, fact.why, now());
}

}  // namespace

std::unique_ptr<KvFollower> KvFollower::create(KvIndex& index, KvIndex& pledged,
                                               std::function<void(const KvWanted&)> want) {
  return std::make_unique<KvFollowerImpl>(index, pledged, std::move(want));
}

}  // namespace bessemer
