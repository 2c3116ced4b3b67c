#include "router/discovery/discovery.h"

#include <map>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "router/discovery/dns_watcher.h"
#include "router/discovery/kubernetes_watcher.h"

namespace bessemer {
namespace {

namespace asio = boost::asio;

class DiscoveryThread final : public Discovery {
 public:
  DiscoveryThread(const DiscoveryOptions& options, Sink sink)
      : options_(options), sink_(std::move(sink)), work_(asio::make_work_guard(io_)) {
    thread_ = std::thread([this] { io_.run(); });
  }
  ~DiscoveryThread() override {
    io_.stop();
    thread_.join();
  }

  void set_sources(std::vector<WorkerSource> sources) override {
    asio::post(io_, [this, sources = std::move(sources)] { replace(sources); });
  }

 private:
  void replace(const std::vector<WorkerSource>& sources);
  void begin(const WorkerSource& source);
  std::shared_ptr<Watcher> make_watcher(const WorkerSource& source, SeeMembers see);

  const DiscoveryOptions options_;
  const Sink sink_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  Roster roster_;
  std::map<std::string, std::shared_ptr<Watcher>> watchers_;  // by text; null: an address
  std::thread thread_;
};

void DiscoveryThread::replace(const std::vector<WorkerSource>& sources) {
  std::set<std::string> wanted;
  for (const auto& source : sources) wanted.insert(source.text);
  const auto before = roster_.members();
  std::erase_if(watchers_, [&](const auto& entry) {
    if (wanted.contains(entry.first)) return false;
    if (entry.second != nullptr) entry.second->stop();
    roster_.forget(entry.first);
    return true;
  });
  for (const auto& source : sources) {
    if (!watchers_.contains(source.text)) begin(source);
  }
  if (roster_.members() != before) sink_(roster_.members());
}

void DiscoveryThread::begin(const WorkerSource& source) {
  auto& watcher = watchers_[source.text];
  if (source.kind == WorkerSource::Kind::address) {
    roster_.see(source.text, {{source.text, MemberStanding::serving}});
    return;
  }
  watcher = make_watcher(source, [this, text = source.text](std::vector<Member> members) {
    if (roster_.see(text, std::move(members))) sink_(roster_.members());
  });
  watcher->start();
}

std::shared_ptr<Watcher> DiscoveryThread::make_watcher(const WorkerSource& source, SeeMembers see) {
  if (source.kind == WorkerSource::Kind::kubernetes)
    return make_kubernetes_watcher(io_, source, options_.kubernetes, std::move(see));
  return make_dns_watcher(io_, source, make_system_lookup(io_), options_.dns_interval,
                          std::move(see));
}

}  // namespace

std::unique_ptr<Discovery> Discovery::create(const DiscoveryOptions& options, Sink sink) {
  return std::make_unique<DiscoveryThread>(options, std::move(sink));
}

}  // namespace bessemer
