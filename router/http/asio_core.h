// The event loop behind Core, for the files of this folder only.
#pragma once
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <unordered_set>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "common/random.h"
#include "router/http/core.h"
#include "router/http/exchange.h"
#include "router/http/limits.h"

namespace bessemer {

class Connection;
class TlsContext;

// What all cores of a server share.
struct FrontShared {
  std::shared_ptr<const TlsContext> tls;  // null: plain HTTP
  RequestHandler handle;
  ErrorRenderer render_error;
  std::atomic<size_t> body_bytes{0}, output_bytes{0};  // of all requests, of all whole answers
  std::atomic<bool> draining{false};                   // every answer closes its connection
  std::atomic<bool> idle_closes{false};                // and so does a connection without a request
};

class AsioCore final : public Core {
 public:
  AsioCore(size_t index, const HttpLimits& limits, FrontShared& shared);
  ~AsioCore() override;

  void start();
  // Closes every connection and ends the thread; idempotent. Not on the core's thread.
  void stop();
  // Fires `reason` on every unanswered request. Any thread.
  void abort_all(Abort reason);
  // Closes the connections that have no request in them. Any thread.
  void close_idle();
  // For what begins from then on; time-outs hold for what is under way too. Any thread.
  void set_limits(const HttpLimits& limits);

  size_t index() const override { return index_; }
  void post(Task task) override;
  void after(Duration delay, Task task) override;
  size_t connections() const override { return connections_.load(std::memory_order_relaxed); }
  size_t live_requests() const override { return requests_.load(std::memory_order_relaxed); }

  // For connections, on the core's thread.
  boost::asio::io_context& io() { return io_; }
  FrontShared& shared() { return shared_; }
  const HttpLimits& limits() const { return limits_; }
  std::array<char, 64 * 1024>& scratch() { return scratch_; }
  const std::string& date();
  std::string make_request_id() { return new_request_id(random_); }
  HttpResponse render_error(int status, std::string_view message) {
    return shared_.render_error(index_, status, message);
  }
  void adopt(std::shared_ptr<Connection> connection);
  void forget(const std::shared_ptr<Connection>& connection);
  void count_request(int by) override {
    requests_.fetch_add(static_cast<size_t>(by), std::memory_order_relaxed);
  }
  // Called by the acceptor when it has chosen this core, so that a burst spreads.
  void count_connection() { connections_.fetch_add(1, std::memory_order_relaxed); }

 private:
  void arm_sweep();
  void sweep();

  const size_t index_;
  HttpLimits limits_;  // its own copy: they may change
  FrontShared& shared_;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::steady_timer sweep_timer_;
  bool sweeping_ = false;
  std::unordered_set<std::shared_ptr<Connection>> open_;
  std::atomic<size_t> connections_{0}, requests_{0};
  std::array<char, 64 * 1024>
      scratch_;  // what was just read; no connection keeps a buffer of its own while it waits
  Random random_;
  int64_t date_second_ = -1;
  std::string date_;
  std::thread thread_;
};

}  // namespace bessemer
