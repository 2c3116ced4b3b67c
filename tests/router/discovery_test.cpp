// Sources that are looked at again and again, with scripted answers instead of a network.
#include "router/discovery/discovery.h"

#include <deque>
#include <mutex>

#include <boost/asio/steady_timer.hpp>
#include <gtest/gtest.h>

#include "common/log.h"
#include "router/discovery/api_request.h"
#include "router/discovery/dns_watcher.h"

namespace bessemer {
namespace {

using std::chrono::milliseconds;
using Addresses = StatusOr<std::vector<std::string>>;
using Members = std::vector<Member>;

// Gives each answer once; the last one again and again.
class ScriptedLookup final : public Lookup {
 public:
  explicit ScriptedLookup(std::deque<Addresses> script) : script_(std::move(script)) {}
  boost::asio::awaitable<Addresses> find(std::string host, std::string port) override {
    EXPECT_EQ(host + ":" + port, "workers:9000");
    Addresses answer = script_.front();
    if (script_.size() > 1) script_.pop_front();
    co_return answer;
  }
  void cancel() override {}

 private:
  std::deque<Addresses> script_;
};

class DnsWatcherTest : public ::testing::Test {
 protected:
  DnsWatcherTest() { log().set_level(LogLevel::off); }
  // What is seen until the script has been gone through `turns` times.
  std::vector<Members> watch(std::deque<Addresses> script, milliseconds duration) {
    std::vector<Members> seen;
    auto watcher = make_dns_watcher(io_, *parse_worker_source("dns://workers:9000"),
                                    std::make_unique<ScriptedLookup>(std::move(script)),
                                    milliseconds(5), [&](Members members) {
                                      if (seen.empty() || seen.back() != members)
                                        seen.push_back(std::move(members));
                                    });
    watcher->start();
    io_.run_for(duration);
    watcher->stop();
    io_.restart();
    io_.run();  // ends: nothing is left to wait for
    return seen;
  }
  boost::asio::io_context io_;
};

TEST_F(DnsWatcherTest, SeesWhatComesAndGoes) {
  const auto seen =
      watch({Addresses({"10.0.0.1:9000"}), Addresses({"10.0.0.1:9000", "10.0.0.2:9000"}),
             Addresses({"10.0.0.2:9000"})},
            milliseconds(500));
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[1], (Members{{"10.0.0.1:9000"}, {"10.0.0.2:9000"}}));
  EXPECT_EQ(seen[2], (Members{{"10.0.0.2:9000"}}));
}

TEST_F(DnsWatcherTest, AFailedLookupChangesNothing) {  // N1
  const auto seen = watch({Addresses({"10.0.0.1:9000"}), absl::UnavailableError("no answer"),
                           absl::NotFoundError("no such name")},
                          milliseconds(200));
  EXPECT_EQ(seen, (std::vector<Members>{{{"10.0.0.1:9000"}}}));
}

TEST_F(DnsWatcherTest, GoesOnAfterFailures) {
  const auto seen = watch({absl::UnavailableError("no answer"), absl::UnavailableError("no answer"),
                           Addresses({"10.0.0.1:9000"})},
                          milliseconds(500));
  EXPECT_EQ(seen, (std::vector<Members>{{{"10.0.0.1:9000"}}}));
}

class DiscoveryTest : public ::testing::Test {
 protected:
  DiscoveryTest() { log().set_level(LogLevel::off); }
  static std::vector<WorkerSource> sources(const std::vector<std::string>& texts) {
    return *parse_worker_sources(texts);
  }
  bool eventually_sees(const std::function<bool(const Members&)>& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return condition(seen_); });
  }
  bool eventually_sees(const Members& members) {
    return eventually_sees([&](const Members& seen) { return seen == members; });
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  Members seen_;
  std::unique_ptr<Discovery> discovery_ =
      Discovery::create({}, [this](const std::vector<Member>& members) {
        std::lock_guard lock(mutex_);
        seen_ = members;
        changed_.notify_all();
      });
};

TEST_F(DiscoveryTest, SourcesChangeWhileItRuns) {
  discovery_->set_sources(sources({"a:1", "b:1"}));
  EXPECT_TRUE(eventually_sees({{"a:1"}, {"b:1"}}));
  discovery_->set_sources(sources({"b:1", "c:1"}));
  EXPECT_TRUE(eventually_sees({{"b:1"}, {"c:1"}}));
}

TEST_F(DiscoveryTest, TheSystemResolvesNames) {
  discovery_->set_sources(sources({"a:1", "dns://localhost:9000"}));
  EXPECT_TRUE(eventually_sees([](const Members& seen) {
    return seen.size() > 1 &&
           (seen[0].address == "127.0.0.1:9000" || seen[0].address == "[::1]:9000");
  }));
  discovery_->set_sources(sources({"a:1"}));
  EXPECT_TRUE(eventually_sees({{"a:1"}}));
}

TEST_F(DiscoveryTest, EndsInTheMiddleOfEverything) {
  discovery_->set_sources(sources({"dns://localhost:9000", "k8s://a/b:grpc"}));
  discovery_.reset();
}

TEST(ApiRequest, CredentialsAreNamedWhenTheyCannotBeUsed) {
  boost::asio::io_context io;
  KubernetesOptions options;
  options.credentials = "/nonexistent";
  options.api = "http://1.2.3.4:443";
  EXPECT_NE(make_api_request(io, options).status().message().find("is no https://host:port"),
            std::string::npos);
  options.api = "https://[::1]:6443";
  EXPECT_EQ(make_api_request(io, options).status().message(),
            "cannot read /nonexistent/token: No such file or directory");
}

TEST(ApiRequest, QueriesAreEncoded) {
  EXPECT_EQ(percent_encoded("kubernetes.io/service-name=a b"),
            "kubernetes.io%2Fservice-name%3Da%20b");
}

}  // namespace
}  // namespace bessemer
