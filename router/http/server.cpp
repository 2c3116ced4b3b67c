#include "router/http/server.h"

#include <algorithm>
#include <atomic>
#include <ctime>

#include <boost/asio/ip/tcp.hpp>
#include <fmt/format.h>

#include "common/address.h"
#include "common/log.h"
#include "common/ports.h"
#include "router/http/asio_core.h"
#include "router/http/connection.h"
#include "router/http/tls_context.h"

namespace bessemer {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

// After EMFILE and the like: long enough not to spin, short enough not to be noticed.
constexpr auto kAcceptRetry = std::chrono::milliseconds(50);

class AsioServer final : public HttpServer {
 public:
  explicit AsioServer(const HttpServerOptions& options)
      : options_(options), max_connections_(options.limits.max_connections) {
    shared_.tls = options.tls;
    for (size_t i = 0; i < options.cores; i++) {
      cores_.push_back(std::make_unique<AsioCore>(i, options.limits, shared_));
      cores_.back()->start();
    }
  }
  ~AsioServer() override { stop(); }

  Status start(RequestHandler handle, ErrorRenderer render_error) override;
  uint16_t port() const override { return port_; }
  void set_limits(const HttpLimits& limits) override {
    max_connections_ = limits.max_connections;
    for (auto& core : cores_) core->set_limits(limits);
  }
  std::vector<Core*> cores() override;
  void announce_drain() override { shared_.draining = true; }
  void drain() override;
  void stop_accepting() override;
  size_t live_requests() const override;
  void abort_all() override {
    for (auto& core : cores_) core->abort_all(Abort::shutdown);
  }
  void stop() override;

 private:
  void arm_accept();
  void accept_ready();
  void pause_accepting();
  void place(AsioCore& core, tcp::socket socket);
  void turn_away(tcp::socket socket);
  AsioCore& emptiest_core();
  size_t open_connections() const;

  const HttpServerOptions options_;
  std::atomic<size_t> max_connections_;
  FrontShared shared_;
  std::vector<std::unique_ptr<AsioCore>> cores_;
  asio::io_context accept_io_{1};
  tcp::acceptor acceptor_{accept_io_};
  asio::steady_timer retry_{accept_io_};
  Random random_{random_seed()};  // of the acceptor
  std::thread accept_thread_;
  uint16_t port_ = 0;
};

const char* listen_remedy(const error_code& error) {
  if (error == boost::system::errc::address_not_available)
    return "no interface of this machine has that address; 0.0.0.0 means all of them";
  if (error == boost::system::errc::permission_denied)
    return "ports below 1024 are the system's: choose a higher one";
  return "choose another port";
}

Status AsioServer::start(RequestHandler handle, ErrorRenderer render_error) {
  shared_.handle = std::move(handle);
  shared_.render_error = std::move(render_error);
  error_code error;
  const auto address = asio::ip::make_address(address_to_bind(options_.host), error);
  if (error) {
    return absl::InvalidArgumentError("host '" + options_.host +
                                      "' is not an IP address; use 0.0.0.0 for all interfaces");
  }
  const tcp::endpoint endpoint(address, options_.port);
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (!error) acceptor_.non_blocking(true, error);
  if (error) {
    return absl::UnavailableError(fmt::format("cannot listen on {}: {}; {}",
                                              host_and_port(options_.host, options_.port),
                                              error.message(), listen_remedy(error)));
  }
  port_ = acceptor_.local_endpoint(error).port();
  arm_accept();
  accept_thread_ = std::thread([this] { accept_io_.run(); });
  return absl::OkStatus();
}

std::vector<Core*> AsioServer::cores() {
  std::vector<Core*> all;
  for (auto& core : cores_) all.push_back(core.get());
  return all;
}

void AsioServer::arm_accept() {
  acceptor_.async_wait(tcp::acceptor::wait_read, [this](const error_code& error) {
    if (!error) accept_ready();
  });
}

// Accepts all that wait; the core is chosen at the last moment, when the counts are fresh.
void AsioServer::accept_ready() {
  while (true) {
    AsioCore& core = emptiest_core();
    tcp::socket socket(core.io());
    error_code error;
    acceptor_.accept(socket, error);
    if (error == asio::error::would_block) return arm_accept();
    if (error == asio::error::connection_aborted || error == asio::error::interrupted) continue;
    if (error) {
      log().warn("accept failed: {}; raise the open files limit if this persists", error.message());
      return pause_accepting();
    }
    if (open_connections() >= max_connections_) {
      turn_away(std::move(socket));
    } else {
      place(core, std::move(socket));
    }
  }
}

void AsioServer::pause_accepting() {
  retry_.expires_after(kAcceptRetry);
  retry_.async_wait([this](const error_code& error) {
    if (!error) arm_accept();
  });
}

void AsioServer::place(AsioCore& core, tcp::socket socket) {
  core.count_connection();
  core.post([&core, socket = std::move(socket)]() mutable {
    const auto& tls = core.shared().tls;
    SslPtr session = tls != nullptr ? tls->make_session(socket.native_handle()) : nullptr;
    auto connection =
        std::make_shared<Connection>(core, ByteStream(std::move(socket), std::move(session)));
    core.adopt(connection);
    connection->start();
  });
}

void AsioServer::turn_away(tcp::socket socket) {
  // Counts it and writes it down, too.
  const HttpResponse response = shared_.render_error(kAcceptor, 503, "too many open connections");
  if (shared_.tls != nullptr) return;  // a handshake only to say no would cost what there is not
  const std::string id = new_request_id(random_), date = http_date(std::time(nullptr));
  HeadOptions options{.request_id = id, .date = date};
  options.keep_alive = false;
  options.content_length = static_cast<long>(response.body.size());
  const std::string text =
      render_head(response.status, response.content_type, response.headers, options) +
      response.body;
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(text), ignored);
  socket.shutdown(tcp::socket::shutdown_both, ignored);
}

AsioCore& AsioServer::emptiest_core() {
  const auto load = [](const std::unique_ptr<AsioCore>& core) {
    return std::pair(core->live_requests(), core->connections());
  };
  return **std::min_element(cores_.begin(), cores_.end(),
                            [&](const auto& a, const auto& b) { return load(a) < load(b); });
}

size_t AsioServer::open_connections() const {
  size_t total = 0;
  for (const auto& core : cores_) total += core->connections();
  return total;
}

size_t AsioServer::live_requests() const {
  size_t total = 0;
  for (const auto& core : cores_) total += core->live_requests();
  return total;
}

void AsioServer::drain() {
  shared_.draining = true;
  shared_.idle_closes = true;
  for (auto& core : cores_) core->close_idle();
}

void AsioServer::stop_accepting() {
  if (!accept_thread_.joinable()) return;
  accept_io_.stop();
  accept_thread_.join();
  error_code ignored;
  acceptor_.close(ignored);
}

void AsioServer::stop() {
  stop_accepting();
  for (auto& core : cores_) core->stop();
}

}  // namespace

std::unique_ptr<HttpServer> HttpServer::create(const HttpServerOptions& options) {
  return std::make_unique<AsioServer>(options);
}

}  // namespace bessemer
