#include "router/upstream/kv_follower.h"

#include <thread>
#include <variant>

#include "common/log.h"
#include "common/mailbox.h"
#include "router/cluster/discovery.h"
#include "router/cluster/load_slot.h"

namespace bessemer {
namespace {

// Of each worker its stream's update and end, and what is expected of it before and after a
// restart; as much again for a burst of them.
constexpr size_t kMaxKvNews = 8 * kMaxWorkers;
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
struct KvNews {
  uint32_t worker = 0;
  std::variant<Expected, Updated, Ended> what;
};

class KvFollowerImpl final : public KvFollower {
 public:
  KvFollowerImpl(KvIndex& index, std::function<void(const KvWanted&)> want)
      : index_(index), following_(index), want_(std::move(want)), thread_([this] { run(); }) {}
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
  KvCounts counts() const override { return counts_.load(); }

 private:
  void run();
  void learn(KvNews& news);
  static TimePoint now() { return std::chrono::steady_clock::now(); }

  KvIndex& index_;
  KvFollowing following_;
  const std::function<void(const KvWanted&)> want_;
  Mailbox<KvNews> news_{kMaxKvNews, kMaxKvNews};
  SeqLock<KvCounts> counts_;
  std::thread thread_;
};

void KvFollowerImpl::run() {
  std::vector<KvNews> all;
  bool untidy = false;
  while (news_.wait_drain_until(all, now() + (untidy ? Duration(kTidyPause) : Duration(kLook)))) {
    for (KvNews& news : all) learn(news);
    for (const KvWanted& wanted : following_.wanted(now())) want_(wanted);
    untidy = index_.tidy();
    counts_.store(following_.counts());
  }
}

void KvFollowerImpl::learn(KvNews& news) {
  if (const auto* expected = std::get_if<Expected>(&news.what)) {
    following_.expect(news.worker, expected->incarnation, now());
  } else if (const auto* ended = std::get_if<Ended>(&news.what)) {
    log().debug("worker {}: its cache is not followed any more: {}", news.worker,
                std::string(ended->why.message()));
    following_.ended(news.worker, ended->stream, ended->why, now());
  } else {
    const Updated& updated = std::get<Updated>(news.what);
    const bool go_on = following_.update(news.worker, updated.stream, updated.delivery->update());
    go_on ? updated.delivery->read_on() : updated.delivery->stop();
  }
}

}  // namespace

std::unique_ptr<KvFollower> KvFollower::create(KvIndex& index,
                                               std::function<void(const KvWanted&)> want) {
  return std::make_unique<KvFollowerImpl>(index, std::move(want));
}

}  // namespace bessemer
