#include "router/discovery/kubernetes_watcher.h"

#include <string>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include "common/backoff.h"
#include "common/log.h"
#include "router/cluster/endpoint_slices.h"
#include "router/discovery/api_request.h"

namespace bessemer {
namespace {

namespace asio = boost::asio;

constexpr Duration kFirstRetry = std::chrono::milliseconds(200);
constexpr Duration kMostRetry = std::chrono::seconds(30);
// A watch that ends sooner and says nothing is not one: asking again at once would be a storm.
constexpr Duration kShortWatch = std::chrono::seconds(1);
constexpr int kPageSlices = 100;

class KubernetesWatcher final : public Watcher,
                                public std::enable_shared_from_this<KubernetesWatcher> {
 public:
  KubernetesWatcher(asio::io_context& io, WorkerSource source, KubernetesOptions options,
                    SeeMembers see)
      : io_(io),
        timer_(io),
        source_(std::move(source)),
        options_(std::move(options)),
        see_(std::move(see)),
        slices_(source_.port),
        backoff_(kFirstRetry, kMostRetry, random_seed()) {}

  void start() override { asio::co_spawn(io_, run(shared_from_this()), asio::detached); }
  void stop() override {
    stopped_ = true;
    timer_.cancel();
    if (request_ != nullptr) request_->cancel();
  }

 private:
  asio::awaitable<void> run(std::shared_ptr<KubernetesWatcher> self);
  asio::awaitable<Status> list();
  asio::awaitable<Status> watch();
  StatusOr<std::string> target(const std::string& query) const;
  Status take(std::string_view line);
  void report(const Status& status);

  asio::io_context& io_;
  asio::steady_timer timer_;
  const WorkerSource source_;
  const KubernetesOptions options_;
  const SeeMembers see_;
  EndpointSlices slices_;
  Backoff backoff_;
  std::shared_ptr<ApiRequest> request_;  // under way
  bool stopped_ = false, listed_ = false, failing_ = false;
};

// `self` keeps this object for as long as the coroutine is.
asio::awaitable<void> KubernetesWatcher::run(std::shared_ptr<KubernetesWatcher> self) {
  while (!stopped_) {
    const Status status = listed_ ? co_await watch() : co_await list();
    request_.reset();
    if (stopped_) co_return;
    report(status);
    if (status.ok()) continue;
    timer_.expires_after(backoff_.next());
    co_await timer_.async_wait(kAwaitTuple);
  }
}

void KubernetesWatcher::report(const Status& status) {
  if (status.ok()) {
    if (std::exchange(failing_, false)) log().info("{} is watched again", source_.text);
    return;
  }
  const std::string why(status.message());
  if (absl::IsOutOfRange(status)) {
    log().debug("{}: the list is had anew: {}", source_.text, why);
  } else if (!std::exchange(failing_, true)) {
    log().warn("{}: {}; who was there before stays", source_.text, why);
  } else {
    log().debug("{}: {}", source_.text, why);
  }
}

StatusOr<std::string> KubernetesWatcher::target(const std::string& query) const {
  std::string name_space = source_.name_space;
  if (name_space.empty()) {
    ASSIGN_OR_RETURN(name_space, read_credential(options_, "namespace"));
  }
  return fmt::format("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices?labelSelector={}{}",
                     percent_encoded(name_space),
                     percent_encoded("kubernetes.io/service-name=" + source_.service), query);
}

asio::awaitable<Status> KubernetesWatcher::list() {
  slices_.begin_list();
  std::string next;
  do {
    std::string query = fmt::format("&limit={}", kPageSlices);
    if (!next.empty()) query += "&continue=" + percent_encoded(next);
    const auto where = target(query);
    if (!where.ok()) co_return where.status();
    auto request = make_api_request(io_, options_);
    if (!request.ok()) co_return request.status();
    request_ = *request;
    const auto body = co_await request_->get(*where);
    if (!body.ok()) co_return body.status();
    auto token = slices_.add_page(*body);
    if (!token.ok()) co_return token.status();
    next = *std::move(token);
  } while (!next.empty() && !stopped_);
  if (stopped_) co_return absl::OkStatus();
  slices_.end_list();
  listed_ = true;  // the pause between tries is short again once a watch has lasted
  see_(slices_.members());
  co_return absl::OkStatus();
}

asio::awaitable<Status> KubernetesWatcher::watch() {
  const auto where = target(
      fmt::format("&watch=true&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}",
                  percent_encoded(slices_.version()), microseconds(options_.watch) / 1'000'000));
  if (!where.ok()) co_return where.status();
  auto request = make_api_request(io_, options_);
  if (!request.ok()) co_return request.status();
  request_ = *request;
  const auto began = std::chrono::steady_clock::now();
  bool heard = false;
  const Status ended = co_await request_->watch(*where, [&](std::string_view line) {
    const Status taken = take(line);
    heard = heard || taken.ok();
    listed_ = listed_ && taken.ok();  // the view is not what the server's is any more
    return taken;
  });
  if (absl::IsOutOfRange(ended)) listed_ = false;  // U2
  const bool lasted = heard || std::chrono::steady_clock::now() - began >= kShortWatch;
  if (lasted) backoff_.reset();
  if (ended.ok() && !lasted)
    co_return absl::UnavailableError("the API server ended a watch at once");
  co_return ended;
}

Status KubernetesWatcher::take(std::string_view line) {
  if (stopped_) return absl::CancelledError("stopped");
  if (line.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(slices_.apply(line));
  if (std::exchange(failing_, false)) log().info("{} is watched again", source_.text);
  see_(slices_.members());
  return absl::OkStatus();
}

}  // namespace

std::shared_ptr<Watcher> make_kubernetes_watcher(asio::io_context& io, WorkerSource source,
                                                 KubernetesOptions options, SeeMembers see) {
  return std::make_shared<KubernetesWatcher>(io, std::move(source), std::move(options),
                                             std::move(see));
}

}  // namespace bessemer
