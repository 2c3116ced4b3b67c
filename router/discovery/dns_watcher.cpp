#include "router/discovery/dns_watcher.h"

#include <algorithm>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>

#include "common/backoff.h"
#include "common/log.h"

namespace bessemer {
namespace {

namespace asio = boost::asio;

constexpr Duration kFirstRetry = std::chrono::milliseconds(200);

class DnsWatcher final : public Watcher, public std::enable_shared_from_this<DnsWatcher> {
 public:
  DnsWatcher(asio::io_context& io, WorkerSource source, std::unique_ptr<Lookup> lookup,
             Duration interval, SeeMembers see)
      : io_(io),
        timer_(io),
        source_(std::move(source)),
        lookup_(std::move(lookup)),
        interval_(interval),
        see_(std::move(see)),
        retry_(std::min(kFirstRetry, interval), interval, random_seed()) {}

  void start() override { asio::co_spawn(io_, run(shared_from_this()), asio::detached); }
  void stop() override {
    stopped_ = true;
    lookup_->cancel();
    timer_.cancel();
  }

 private:
  // `self` keeps this object for as long as the coroutine is.
  asio::awaitable<void> run(std::shared_ptr<DnsWatcher> self) {
    while (!stopped_) {
      const auto found = co_await lookup_->find(source_.host, source_.port);
      if (stopped_) co_return;
      timer_.expires_after(found.ok() ? interval_ : retry_.next());
      learn(found);
      co_await timer_.async_wait(kAwaitTuple);
    }
  }

  void learn(const StatusOr<std::vector<std::string>>& found) {
    if (!found.ok()) {
      if (!std::exchange(failing_, true)) {
        log().warn("{}: the lookup failed ({}); who was there before stays", source_.text,
                   std::string(found.status().message()));
      }
      return;
    }
    if (std::exchange(failing_, false)) log().info("{} is found again", source_.text);
    retry_.reset();
    std::vector<Member> members;
    for (const auto& address : *found) members.push_back({address, MemberStanding::serving});
    see_(std::move(members));
  }

  asio::io_context& io_;
  asio::steady_timer timer_;
  const WorkerSource source_;
  const std::unique_ptr<Lookup> lookup_;
  const Duration interval_;
  const SeeMembers see_;
  Backoff retry_;
  bool stopped_ = false, failing_ = false;
};

}  // namespace

std::shared_ptr<Watcher> make_dns_watcher(asio::io_context& io, WorkerSource source,
                                          std::unique_ptr<Lookup> lookup, Duration interval,
                                          SeeMembers see) {
  return std::make_shared<DnsWatcher>(io, std::move(source), std::move(lookup), interval,
                                      std::move(see));
}

}  // namespace bessemer
